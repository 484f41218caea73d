"""Ready-made maps: layouts of names, bit depths, transparency, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.saliency.formats import heatmap
from cyborg.saliency.pictures import read_displayed_size, read_grey_map
from cyborg.saliency.read import read_annotations
from paths import SHARED

ANNOTATIONS = SHARED / "data" / "annotations" / "heatmaps"
RAMP = np.tile(np.array([0, 51, 102, 255], dtype=np.uint8), (3, 1))


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)  # type: ignore[arg-type]
    return path


def test_names_of_the_published_layouts(tmp_path: Path) -> None:
    save(tmp_path / "p1_100_fake.png", RAMP)
    save(tmp_path / "sub/x_blended.png", RAMP)
    found = list(read_annotations(tmp_path))
    assert [a.image for a in found] == ["p1_100_fake.png", "sub/x.png"]
    assert [a.size for a in found] == [(4, 3), (4, 3)]
    assert [a.heat_file for a in found] == [
        tmp_path / "p1_100_fake.png",
        tmp_path / "sub/x_blended.png",
    ]
    save(tmp_path / "sub/x.png", RAMP)
    with pytest.raises(UserError, match=r"second map of `sub/x\.png`"):
        list(heatmap.read(tmp_path))


def test_recognised_by_content(tmp_path: Path) -> None:
    picture = save(tmp_path / "map.png", RAMP)
    odd = picture.rename(tmp_path / "map.dat")
    assert heatmap.recognise(odd, odd.read_bytes()[:100])
    assert heatmap.recognise(tmp_path, b"")
    (tmp_path / "notes.png").write_text("not a picture")
    assert not heatmap.recognise(tmp_path, b"")
    assert not heatmap.recognise(tmp_path / "notes.png", b"not a picture")
    assert not heatmap.recognise(tmp_path / "none", b"")


def test_real_maps() -> None:
    if not ANNOTATIONS.is_dir():
        pytest.skip("the shared annotation samples are not on this machine")
    found = list(read_annotations(ANNOTATIONS / "mit1003" / "maps"))
    assert len(found) == 24
    for annotation in found[:4]:
        assert annotation.heat_file is not None
        assert annotation.size == read_displayed_size(
            ANNOTATIONS / "mit1003" / "images" / annotation.image
        )
        value = read_grey_map(annotation.heat_file)
        raw = np.asarray(Image.open(annotation.heat_file).convert("L"))
        assert np.abs(value * 255 - raw).max() < 1.5
