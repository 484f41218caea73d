"""Change the pixels of whole batches as JPEG encoding and decoding do, without files.

Source: ITU-T T.81, baseline coding: YCbCr (JFIF), chroma at half size, 8x8 cosine transform,
quantisation by the tables of its annex K, scaled for a quality as libjpeg does. The entropy
coding in between loses nothing and is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Quantisation tables of quality 50, for brightness and for colour (annex K).
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)
# Rows: Y, Cb, Cr of R, G, B (JFIF 1.02). Cb and Cr are shifted by 128 afterwards.
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def compress_images(images: Tensor, quality: Tensor) -> Tensor:
    """Return images float [B,3,H,W] in 0..255 as they are after JPEG of a quality [B] in 1..100."""
    height, width = images.shape[-2:]
    padded = functional.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    matrix = images.new_tensor(YCBCR)
    colours = torch.einsum("kc,bchw->bkhw", matrix, padded)  # Cb and Cr around zero
    luma = _quantise_planes(colours[:, :1] - 128, LUMA, quality) + 128
    chroma = _quantise_planes(functional.avg_pool2d(colours[:, 1:], 2), CHROMA, quality)
    chroma = functional.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    # The inverse as JFIF gives it. A matrix inversion is not the same on every device.
    inverse = images.new_tensor(((1, 0, 1.402), (1, -0.344136, -0.714136), (1, 1.772, 0)))
    restored = torch.einsum("ck,bkhw->bchw", inverse, torch.cat([luma, chroma], dim=1))
    return restored[..., :height, :width].round().clamp(0, 255)


def scale_table(base: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Return quantisation tables [B,8,8] of a quality [B], as libjpeg's jpeg_quality_scaling."""
    quality = quality.round().clamp(1, 100)
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    tables = (quality.new_tensor(base) * scale[:, None, None] + 50) / 100
    return tables.floor().clamp(1, 255)


def _quantise_planes(planes: Tensor, base: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Return planes [B,C,H,W] (H, W multiples of 8) with their cosine coefficients rounded."""
    number, channels, height, width = planes.shape
    basis = _build_cosine_basis(planes)
    blocks = planes.reshape(number, channels, height // 8, 8, width // 8, 8)
    coefficients = torch.einsum("ui,bcyixj,vj->bcyxuv", basis, blocks, basis)
    steps = scale_table(base, quality)[:, None, None, None]
    coefficients = (coefficients / steps).round() * steps
    blocks = torch.einsum("ui,bcyxuv,vj->bcyixj", basis, coefficients, basis)
    return blocks.reshape(planes.shape)


def _build_cosine_basis(like: Tensor) -> Tensor:
    """Return the orthonormal 8-point cosine transform [8,8]: row u, sample i."""
    u = torch.arange(8, device=like.device, dtype=like.dtype)
    basis = torch.cos((2 * u[None] + 1) * u[:, None] * torch.pi / 16) / 2
    basis[0] /= 2**0.5
    return basis
