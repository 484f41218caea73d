"""Decode run-length codes of masks: those of CVAT, and of Label Studio (thi.ng rle-pack)."""

from __future__ import annotations

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits


def decode_cvat(text: str, width: int, height: int, location: str) -> np.ndarray:
    """Return a mask, bool [height,width], from counts separated by commas.

    The counts run along the rows and begin with the background. Raises UserError if they do not
    fill the mask.

    >>> decode_cvat("1, 2, 1", 2, 2, "a.xml").tolist()
    [[False, True], [True, False]]
    """
    try:
        counts = np.array([int(part[:16]) for part in text.split(",")], dtype=np.int64)
    except (ValueError, OverflowError):
        raise UserError(
            f"`{_limits.quote_value(text)}` are not run lengths", location=location
        ) from None
    total = width * height
    if (counts < 0).any() or (counts > total).any() or int(counts.sum()) != total:
        raise UserError(
            f"the run lengths do not add up to the {width}×{height} = {total} pixels of the mask",
            location=location,
        )
    values = np.arange(counts.size) % 2 == 1
    return np.repeat(values, counts).reshape(height, width)


class _BitReader:
    """Read numbers of some bits, first bit first."""

    def __init__(self, data: bytes, location: str):
        self.data, self.location, self.at, self.end = data, location, 0, 8 * len(data)

    def read_number(self, count: int) -> int:
        """Return the number in the next `count` bits."""
        start, stop = self.at, self.at + count
        if stop > self.end:
            raise UserError("the brush's run-length code ends too early", location=self.location)
        self.at = stop
        last = (stop + 7) // 8
        piece = int.from_bytes(self.data[start // 8 : last], "big")
        return (piece >> (8 * last - stop)) & ((1 << count) - 1)

    def read_words(self, count: int) -> np.ndarray:
        """Return the next `count` bytes, uint8. They may begin at any bit."""
        start, stop = self.at, self.at + 8 * count
        if stop > self.end:
            raise UserError("the brush's run-length code ends too early", location=self.location)
        self.at = stop
        piece = np.frombuffer(self.data[start // 8 : (stop + 7) // 8], np.uint8)
        shift = start % 8
        if not shift:
            return piece
        wide = (piece[:-1].astype(np.uint16) << 8) | piece[1:]
        return (wide >> (8 - shift)).astype(np.uint8)


def decode_label_studio(code: bytes, width: int, height: int, location: str) -> np.ndarray:
    """Return the alpha, uint8 [height,width], from Label Studio's brush code.

    The code (thi.ng rle-pack) holds height*width*4 bytes, RGBA in rows. It consists of
    - 32 bits: the number of words,
    - 5 bits: the size of a word, less one,
    - four times 4 bits: the size of a run length, less one,
    - runs. One bit tells whether one word is repeated (1) or that many words follow (0). Two bits
      choose one of the four sizes. Then come the length, less one, and the word or words.

    Only words of 8 bits are images. Raises UserError if the code does not fill the image.

    Source: thi.ng/umbrella, packages/rle-pack, and label-studio-converter, brush.py.
    """
    bits = _BitReader(code, location)
    total, word = bits.read_number(32), bits.read_number(5) + 1
    lengths = [bits.read_number(4) + 1 for _ in range(4)]
    if word != 8 or total != 4 * width * height:
        raise UserError(
            f"the brush's run-length code holds {total} words of {word} bits, not the "
            f"{width}×{height}×4 bytes of the image",
            location=location,
        )
    alpha = np.zeros(width * height, np.uint8)
    done = 0
    while done < total:
        repeated = bits.read_number(1)
        end = done + 1 + bits.read_number(lengths[bits.read_number(2)])
        if end > total:
            raise UserError(
                "the brush's run-length code is longer than the image", location=location
            )
        # Byte 4 k + 3 is the alpha of pixel k: those in [done, end) are k in [done/4, end/4).
        first, last = done // 4, end // 4
        if repeated:
            value = bits.read_number(8)
            if value:
                alpha[first:last] = value
        else:
            alpha[first:last] = bits.read_words(end - done)[(3 - done) % 4 :: 4]
        done = end
    return alpha.reshape(height, width)
