"""Decoding rules, packed arrays, what is kept and what is refused."""

from __future__ import annotations

import hashlib
import io
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.common.tables import PACK_TABLE
from cyborg.config.experiment import Experiment
from cyborg.pack import decode_resize
from cyborg.pack import pack as stage
from cyborg.pack.pack import pack


def stored(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Project:
    """A manifest of two sources with maps of one of them."""

    def __init__(self, root: Path, count: int = 5):
        self.root = root
        rng = np.random.default_rng(0)
        table, maps = [], []
        for source in ("real", "fake"):
            for k in range(count):
                name = f"{source}/sub/{k}.jpg"
                image = Image.fromarray(rng.integers(0, 256, (60, 40, 3), dtype=np.uint8))
                digest = self._put(name, stored(image, "JPEG", quality=90))
                table.append({"image": name, "source": source, "label": source, "generator": "",
                              "file": name, "sha256": digest, "group": name,
                              "split": "train", "saliency": ""})  # fmt: skip
        for k in (3, 1):
            grey = Image.fromarray(rng.integers(0, 256, (60, 40), dtype=np.uint8))
            file = f"data/saliency/human/fake/sub/{k}.png"
            maps.append({"maps": "human", "image": f"fake/sub/{k}.jpg", "file": file,
                         "sha256": self._put(file, stored(grey)), "width": 40,
                         "height": 60})  # fmt: skip
        maps.append({**maps[0], "maps": "unused"})
        maps.append({**maps[0], "image": "fake/gone.jpg"})
        self.manifest = pd.DataFrame(table)
        self.maps = pd.DataFrame(maps)
        self.write()

    def _put(self, name: str, data: bytes) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def write(self) -> None:
        self.manifest.to_parquet(self.root / "data/manifest.parquet", index=False)
        self.maps.to_parquet(self.root / "data/saliency/index.parquet", index=False)

    def run(self, sizes: tuple[int, ...] = (32, 48), **settings: Any) -> None:
        rows = {f"net{size}": {"network": "small_cnn", "image_size": size} for size in sizes}
        raw = {
            "data": {"training_sets": {"main": ["real", "fake"]}, "test_sets": {}},
            "saliency": {"human": {}},
            "pack": settings,
            "architectures": rows,
            "variants": {"plain": {"loss": "cross_entropy"}},
            "seeds": [1],
        }
        pack(Experiment.model_validate(raw), self.root)

    def files(self) -> dict[str, bytes]:
        top = self.root / "data/packs"
        return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}

    def array(self, name: str) -> np.ndarray:
        return np.load(self.root / "data/packs" / name, mmap_mode="r")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_rows_are_the_resized_images_in_the_order_of_the_index(project: Project) -> None:
    project.run()
    index = PACK_TABLE.read(project.root)
    assert index.columns.tolist() == ["kind", "size", "source", "image", "row", "sha256"]
    assert index.equals(index.sort_values(index.columns[:5].tolist(), ignore_index=True))
    assert len(index) == 2 * (10 + 2)
    for row in index.itertuples():
        folder = "images" if row.kind == "images" else f"maps/{row.kind}"
        packed = project.array(f"{folder}/{row.size}/{row.source}.npy")[row.row]
        file = row.image if row.kind == "images" else f"data/saliency/human/{row.image[:-3]}png"
        image = Image.open(project.root / file)
        expected = np.asarray(image.resize((row.size, row.size), Image.Resampling.BILINEAR))
        assert np.array_equal(packed, expected)
        assert hashlib.sha256(packed.tobytes()).hexdigest() == row.sha256
    assert project.array("maps/human/32/fake.npy").shape == (2, 32, 32)
    assert set(index["kind"]) == {"images", "human"}


def test_reencoding_comes_before_resizing_and_leaves_maps_alone(project: Project) -> None:
    project.run()
    maps = project.files()["maps/human/32/fake.npy"]
    plain = np.array(project.array("images/32/real.npy"))
    project.run(reencode="jpeg", quality=20)
    again = project.array("images/32/real.npy")
    assert not np.array_equal(plain, again)
    image = Image.open(project.root / "real/sub/0.jpg").convert("RGB")
    small = Image.open(io.BytesIO(stored(image, "JPEG", quality=20, subsampling="4:2:0")))
    assert np.array_equal(again[0], np.asarray(small.resize((32, 32), Image.Resampling.BILINEAR)))
    assert project.files()["maps/human/32/fake.npy"] == maps


def test_processes_and_one_process_write_the_same_bytes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run()
    other = Project(tmp_path / "other")
    monkeypatch.setattr(stage, "FEW", 0)
    monkeypatch.setattr(stage, "CHUNK", 2)
    monkeypatch.setattr(stage, "count_processors", lambda: 2)
    other.run()
    assert other.files() == project.files()


def packed_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are packed from now on."""
    seen: list[str] = []
    original = decode_resize.pack_chunk

    def spy(chunk: decode_resize.Chunk) -> decode_resize.ChunkResult:
        seen.extend(f"{file.path}@{size}" for file in chunk.files for size in chunk.outputs)
        return original(chunk)

    monkeypatch.setattr(stage, "pack_chunk", spy)
    return seen


def test_only_what_changed_is_packed_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run()
    first = project.files()
    seen = packed_files(monkeypatch)
    project.run()
    assert seen == []
    assert project.files() == first

    project.run(sizes=(32, 40, 48))  # a size more
    assert {name.split("@")[1] for name in seen} == {"40"}
    seen.clear()
    project.run()  # and one less: its arrays go
    assert seen == []
    assert project.files() == first

    image = Image.new("RGB", (40, 60), (255, 0, 0))
    digest = project._put("real/sub/2.jpg", stored(image, "JPEG"))
    project.manifest.loc[project.manifest["image"] == "real/sub/2.jpg", "sha256"] = digest
    project.write()
    project.run()
    assert {name.split("/")[0] for name in seen} == {"real"}
    assert project.files()["images/32/fake.npy"] == first["images/32/fake.npy"]
    assert project.array("images/32/real.npy")[2, 0, 0].tolist() == [254, 0, 0]


def test_a_damaged_array_is_packed_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run()
    first = project.files()
    seen = packed_files(monkeypatch)
    path = project.root / "data/packs/images/48/real.npy"
    path.write_bytes(first["images/48/real.npy"][:-1] + b"\x00")
    (project.root / "data/packs/maps/human/32/fake.npy").unlink()
    (project.root / "data/packs/images/.real.leftover.npy").write_bytes(b"half")
    project.run()
    assert {name.split("@")[1] for name in seen if name.startswith("real")} == {"48"}
    assert any("data/saliency" in name for name in seen)
    assert project.files() == first


def test_read_only_arrays_are_replaced_not_changed(project: Project) -> None:
    project.run()
    path = project.root / "data/packs/images/32/real.npy"
    link = project.root / "cache.npy"
    link.hardlink_to(path)
    path.chmod(0o444)
    before = link.read_bytes()
    project.run(reencode="jpeg", quality=10)
    assert link.read_bytes() == before
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "fake/sub/4.jpg: there is no such file"),
        (lambda path: path.write_bytes(b"other"), "fake/sub/4.jpg: is not the file that was index"),
    ],
)
def test_a_file_that_is_gone_or_another(project: Project, spoil: Any, message: str) -> None:
    project.run()
    first = project.files()
    spoil(project.root / "fake/sub/4.jpg")
    with pytest.raises(UserError) as error:
        project.run(reencode="jpeg")
    assert message in error.value.text()
    assert "dvc repro" in error.value.text()
    assert {name: data for name, data in project.files().items() if "fake" in name} == {
        name: data for name, data in first.items() if "fake" in name
    }
    assert not [name for name in project.files() if "/." in name]


def test_a_file_that_does_not_decode_is_named(project: Project) -> None:
    digest = project._put("real/sub/1.jpg", (project.root / "real/sub/1.jpg").read_bytes()[:700])
    project.manifest.loc[project.manifest["image"] == "real/sub/1.jpg", "sha256"] = digest
    project.write()
    with pytest.raises(UserError) as error:
        project.run()
    assert "real/sub/1.jpg: does not decode: " in error.value.text()
    assert "truncated" in error.value.text()


def test_no_room_is_told_before_anything_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 1000))
    with pytest.raises(UserError, match="GB are needed"):
        project.run()
    assert not (project.root / "data/packs").exists()


def test_a_disk_that_fills_up_leaves_the_old_arrays(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run()
    first = project.files()
    full = decode_resize.ChunkResult({32: [], 48: []}, write_error="No space left on device")
    monkeypatch.setattr(stage, "pack_chunk", lambda chunk: full)
    with pytest.raises(UserError, match="No space left on device"):
        project.run(reencode="jpeg")
    assert project.files() == first


def test_a_map_set_cannot_be_called_images(project: Project) -> None:
    raw = {
        "data": {"training_sets": {"main": ["real"]}, "test_sets": {}},
        "saliency": {"images": {}},
        "architectures": {"small_cnn": {}},
        "variants": {"plain": {"loss": "cross_entropy"}},
        "seeds": [1],
    }
    with pytest.raises(UserError, match="`images` cannot be the name"):
        pack(Experiment.model_validate(raw), project.root)


def test_without_maps_and_without_a_former_run(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.maps = project.maps.iloc[:0]
    project.write()
    project.run(sizes=(32,))
    assert set(PACK_TABLE.read(tmp_path)["kind"]) == {"images"}
    with pytest.raises(UserError, match="dvc repro pack"):
        PACK_TABLE.read(tmp_path / "elsewhere")
