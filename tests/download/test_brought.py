"""Nothing that a user brings is ever changed or removed, whatever is wrong with it."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cyborg.cli import main
from cyborg.common.errors import UserError
from cyborg.common.files import sha256_file
from cyborg.download import archives
from cyborg.download.archives import unpack_archive
from paths import SHARED

REPORTS = SHARED / "data/reports/pipeline"
PARAMS = """\
classes: [real, fake]
data: {training_sets: {a: [set1]}, test_sets: {a: [set1]}}
architectures: {small_cnn: {weights: none, image_size: 32}}
variants: {cross_entropy: {loss: cross_entropy}}
seeds: [1]
"""
ROW = "set1,real,,any,manual,https://example.org,data/fetched/set1/real,,,,,,unknown,,,,get it"
HEADER = (
    "name,label,generator,role,access,url,path,list,annotations,segmentation,weights,related,"
    "sha256,count,licence,citation,instructions"
)
NOISE = np.random.default_rng(2).bytes(4000)


def make_zip(names: tuple[str, ...] = ("real/a.png", "real/b.png")) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, NOISE)
    return buffer.getvalue()


def make_tar(mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name in ("real/a.png", "real/b.png"):
            entry = tarfile.TarInfo(name)
            entry.size = len(NOISE)
            archive.addfile(entry, io.BytesIO(NOISE))
    return buffer.getvalue()


def set_method(data: bytes, method: int) -> bytes:
    """Write another compression method into all headers of a zip archive."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = data.find(mark)
        while place >= 0:
            struct.pack_into("<H", changed, place + offset, method)
            place = data.find(mark, place + 4)
    return bytes(changed)


def set_disk(data: bytes) -> bytes:
    """Make a zip archive say that it is the second of two parts."""
    changed = bytearray(data)
    struct.pack_into("<HH", changed, data.rfind(b"PK\x05\x06") + 4, 1, 0)
    return bytes(changed)


def name_in_gbk() -> bytes:
    """A zip archive whose name is in GBK, without a mark, as Windows writes it in China."""
    data = make_zip(("real/\xc3\xe6\xb2\xbf.png",))
    gbk = "面部".encode("gbk")
    changed = data.replace("\xc3\xe6\xb2\xbf".encode(), gbk + b"1234")
    # The mark for UTF-8 is taken away.
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = changed.find(mark)
        changed = changed[: place + offset] + b"\0\0" + changed[place + offset + 2 :]
    return changed


TROUBLE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "half-copied zip": ("zip", lambda: make_zip()[:5000], "without its end"),
    "zip with its first bytes only": ("zip", lambda: make_zip()[:4], "without its end"),
    "zip cut before its end": ("zip", lambda: make_zip()[:-30], "without its end"),
    "empty file": ("zip", lambda: b"", "is empty"),
    "web page": ("zip", lambda: b"\n<!DOCTYPE HTML><html><body>log in</body>", "is a web page"),
    "RAR archive": ("zip", lambda: b"Rar!\x1a\x07\x01\0" + NOISE, "is a RAR archive"),
    "noise": ("7z", lambda: NOISE, "is neither an archive"),
    "Deflate64": ("zip", lambda: set_method(make_zip(), 9), "method Deflate64"),
    "unknown method": ("zip", lambda: set_method(make_zip(), 77), "method 77"),
    "last part": ("zip", lambda: set_disk(make_zip()), "one part of an archive in several"),
    "first part": (
        "zip",
        lambda: b"PK\x07\x08" + make_zip()[:5000],
        "one part of an archive in several",
    ),
    "GBK names": ("zip", name_in_gbk, "in an unknown encoding"),
    "cut tar.gz": ("tar.gz", lambda: make_tar()[:120], "is cut short"),
    "tar.gz cut in its checksum": ("tar.gz", lambda: make_tar()[:-4], "is cut short"),
    "cut tar.bz2": ("tar.bz2", lambda: make_tar("w:bz2")[:3000], "cut short"),
    "cut tar.xz": ("tar.xz", lambda: make_tar("w:xz")[:3000], "cut short"),
    "tar cut in a file": ("tar", lambda: make_tar("w")[:3000], "cut short"),
    "tar cut between files": ("tar", lambda: make_tar("w")[: 512 + 4096], "end mark is missing"),
    "tar without its end mark": ("tar", lambda: make_tar("w")[: 2 * (512 + 4096)], "end mark"),
    "tar with a damaged header": (
        "tar",
        lambda: make_tar("w").replace(b"real/b.png", b"real/c.png"),
        "is damaged",
    ),
    "two tars in one": ("tar", lambda: make_tar("w") * 2, "holds data after its end mark"),
    "tar of nothing": ("tar", lambda: b"\0" * 10240, "holds no files"),
    "zip of nothing": ("zip", lambda: make_zip(()), "holds no files"),
    "a dot for a name": ("zip", lambda: make_zip((".",)), "holds a file without a name"),
    "a long name": ("zip", lambda: make_zip(("x" * 300,)), "does not allow"),
    "an outside name": ("zip", lambda: make_zip(("../../raw/other.txt",)), "outside of its folder"),
}


def record_tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and time of last change of every file below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


def check_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run `cyborg download --only set1`; return the message. Nothing brought may change."""
    before = record_tree(root / "data/raw")
    monkeypatch.chdir(root)
    assert main(["download", "--only", "set1"]) == 2
    text = capsys.readouterr().err
    assert record_tree(root / "data/raw") == before
    assert list((root / "data/fetched").iterdir()) == []
    assert not (root / "data/checksums.csv").exists()
    assert "delete" not in text
    assert "remove" not in text
    return text


def make_project(root: Path, ending: str, data: bytes) -> None:
    (root / "data/raw/deep").mkdir(parents=True)
    (root / "data/raw/other.txt").write_text("mine")
    (root / "data/raw/deep/.hidden.new").write_text("mine, too")
    (root / f"data/raw/set1.{ending}").write_bytes(data)
    (root / "params.yaml").write_text(PARAMS)
    (root / "data/sources.csv").write_text(f"{HEADER}\n{ROW}\n")


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_brought_archive_is_refused_and_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trouble: str,
) -> None:
    ending, make, message = TROUBLE[trouble]
    make_project(tmp_path, ending, make())
    text = check_refused(tmp_path, monkeypatch, capsys)
    assert message in text
    assert f"error: data/raw/set1.{ending}: " in text
    assert "hint: " in text


@pytest.mark.skipif(not REPORTS.is_dir(), reason="the shared reports are not here")
@pytest.mark.parametrize("name", sorted(p.name for p in REPORTS.glob("raw_*")))
def test_reported_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for path in (REPORTS / name).rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(REPORTS / name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    expected = json.loads((REPORTS / name / "expected.json").read_text())
    check_refused(tmp_path, monkeypatch, capsys)
    for file, digest in expected["kept"].items():
        assert sha256_file(tmp_path / file) == digest


def test_an_archive_that_is_being_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is complete for a moment and changes while it is unpacked."""
    make_project(tmp_path, "zip", make_zip())
    unpack = unpack_archive

    def unpack_while_copying(archive: Path, folder: Path) -> None:
        unpack(archive, folder)
        os.utime(archive, ns=(1, 1))

    monkeypatch.setattr("cyborg.download.download.unpack_archive", unpack_while_copying)
    monkeypatch.chdir(tmp_path)
    assert main(["download", "--only", "set1"]) == 2
    assert "has changed while it was read" in capsys.readouterr().err
    assert not (tmp_path / "data/fetched/set1").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(["download", "--only", "set1"]) == 0


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_folder_made_by_hand_in_data_fetched_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    make_project(tmp_path, "zip", make_zip())
    folder = tmp_path / "data/fetched/set1"
    (tmp_path / "data/fetched").mkdir()
    if kind == "link":
        folder.symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere/real").mkdir(parents=True)
    else:
        (folder / "real").mkdir(parents=True)
    (folder / "real/mine.png").write_bytes(NOISE)
    monkeypatch.chdir(tmp_path)
    assert main(["download", "--only", "set1"]) == 2
    text = capsys.readouterr().err
    assert "error: data/fetched/set1: " in text
    assert "It stays as it is" in text
    assert (folder / "real/mine.png").read_bytes() == NOISE
    assert folder.is_symlink() == (kind == "link")


def test_a_name_of_another_program_in_utf8_is_read(tmp_path: Path) -> None:
    """Some programs write UTF-8 names and leave out the mark."""
    data = make_zip(("real/é.png",))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        data = data[: place + offset] + b"\0\0" + data[place + offset + 2 :]
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "out").mkdir()
    unpack_archive(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out/real/é.png").read_bytes() == NOISE


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_header_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(archives, "EXTENDED_HEADER", 10_000)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("long")
        entry.type, entry.size = kind, 10_001
        archive.addfile(entry, io.BytesIO(b"1" * 10_001))
        archive.addfile(tarfile.TarInfo("real/a.png"))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="a name or header of 10001 bytes"):
        unpack_archive(tmp_path / "a.tar.gz", tmp_path / "out")


def test_empty_files_count(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for number in range(200):
            archive.addfile(tarfile.TarInfo(f"{number}.png"))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="grows to 98 files of 50176 bytes"):
        unpack_archive(tmp_path / "a.tar.gz", tmp_path / "out", limit=50_000)


def test_a_tar_name_that_is_not_utf8(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(os.fsdecode(b"real/\xc3\xe6.png")))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="which is not UTF-8"):
        unpack_archive(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("number", range(60))
def test_no_file_of_a_damaged_tar_is_lost_silently(tmp_path: Path, number: int) -> None:
    """A changed byte in a header, or a cut, is an error, or all files are there."""
    data = bytearray(make_tar("w"))
    rng = np.random.default_rng(number)
    if number % 2:
        block = int(rng.choice([0, 512 + 4096]))
        data[block + int(rng.integers(0, 512))] ^= int(rng.integers(1, 256))
    else:
        del data[int(rng.integers(1, 2 * (512 + 4096))) :]
    (tmp_path / "a.tar").write_bytes(data)
    (tmp_path / "out").mkdir()
    try:
        unpack_archive(tmp_path / "a.tar", tmp_path / "out")
    except UserError:
        return
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 2
