"""Fetching from a server that misbehaves, unpacking archives that do, and the stage as a whole."""

from __future__ import annotations

import csv
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import py7zr
import pytest
import yaml
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cyborg.catalogue.rows import COLUMNS
from cyborg.cli import main
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import sha256_bytes, sha256_file
from cyborg.config.experiment import Experiment
from cyborg.download import archives, checksums
from cyborg.download.download import download
from cyborg.download.fetch import FetchedFile, FetchError, fetch_file
from file_server import BLOCK, CONTENT, DIGEST, Handler, Server, cut, serving


def status(code: int) -> Callable[[Handler, bytes], bool]:
    def fault(handler: Handler, _: bytes) -> bool:
        handler.send_error(code)
        return True

    return fault


def web_page(handler: Handler, data: bytes) -> bool:
    handler.begin(200, data, kind="text/html; charset=utf-8")
    handler.wfile.write(data)
    return True


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# One file


def test_a_file_arrives_whole(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "deep/a.bin"
    assert fetch_file([server.url("a.bin")], target) == FetchedFile(DIGEST, len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert left(target.parent) == ["a.bin"]


def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(2 * BLOCK + 9)]
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.requests == [("a.bin", ""), ("a.bin", f"bytes={2 * BLOCK + 9}-")]


def test_progress_renews_patience(server: Server, tmp_path: Path) -> None:
    def again(handler: Handler, data: bytes) -> bool:
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        handler.begin(206, data, start)
        handler.wfile.write(data[start : start + BLOCK])
        handler.close_connection = True
        return True

    server.faults = [cut(BLOCK)] + [again] * 8  # nine cuts, three attempts
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=3, wait=0, sha256=DIGEST)
    assert len(server.requests) == 10


def test_a_later_call_resumes(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(2 * BLOCK + 9)]
    with pytest.raises(FetchError, match="IncompleteRead"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=1)
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    fetch_file([server.url("a.bin")], tmp_path / "a.bin")
    assert server.requests[-1] == ("a.bin", f"bytes={2 * BLOCK + 9}-")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_another_version_is_not_appended(server: Server, tmp_path: Path) -> None:
    """The checksum is unknown, so only the server's tag can tell."""
    server.faults = [cut(2 * BLOCK + 9)]
    with pytest.raises(FetchError):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=1)
    server.files["a.bin"], server.tag = CONTENT[::-1], '"v2"'
    fetch_file([server.url("a.bin")], tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[::-1]


def test_without_a_tag_it_starts_over(server: Server, tmp_path: Path) -> None:
    server.tag = ""
    server.faults = [cut(2 * BLOCK + 9)]
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)
    assert [asked for _, asked in server.requests] == ["", ""]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_bad_part_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(2 * BLOCK + 9)]
    with pytest.raises(FetchError):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=1)
    (tmp_path / "a.bin.part").write_bytes(b"x" * BLOCK)
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", sha256=DIGEST)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(2 * BLOCK + 9)]
    with pytest.raises(FetchError):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=1)
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    fetch_file([server.url("a.bin")], tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_faults_are_retried(server: Server, tmp_path: Path, code: int) -> None:
    server.faults = [status(code), status(code)]
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=3, wait=0)
    assert len(server.requests) == 3


def test_waits_grow_and_the_server_may_name_them(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(handler: Handler, _: bytes) -> bool:
        handler.send_response(503)
        handler.send_header("Retry-After", "7")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    waits: list[float] = []
    monkeypatch.setattr("cyborg.download.fetch.time.sleep", waits.append)
    server.faults = [status(503), status(503), status(503), busy]
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=2)
    assert waits == [2, 4, 8, 7]


def test_patience_ends(server: Server, tmp_path: Path) -> None:
    server.faults = [status(503)] * 9
    with pytest.raises(FetchError, match=r"HTTP 503 \(3 attempts\)"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=3, wait=0)
    assert len(server.requests) == 3
    assert left(tmp_path) == []


def test_mirrors_in_turn(server: Server, tmp_path: Path) -> None:
    server.files["wrong.bin"] = b"other"
    mirrors = [server.url(name) for name in ("none.bin", "wrong.bin", "a.bin")]
    fetch_file(mirrors, tmp_path / "a.bin", sha256=DIGEST)
    assert [name for name, _ in server.requests] == ["none.bin", "wrong.bin", "a.bin"]
    with pytest.raises(FetchError) as caught:
        fetch_file(mirrors[:2], tmp_path / "b.bin", sha256=DIGEST)
    assert "none.bin: HTTP 404" in caught.value.what
    assert f"wrong.bin: its sha256 is {sha256_bytes(b'other')}, not {DIGEST}" in caught.value.what


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"what stood here before")
    with pytest.raises(FetchError, match="its sha256 is"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", sha256="0" * 64)
    assert left(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"what stood here before"
    assert len(server.requests) == 1


def test_a_wrong_size_is_refused_before_it_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="has 656360 bytes, not 5"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", size=5)
    assert left(tmp_path) == []


@pytest.mark.parametrize("content", [b"", None])
def test_what_is_no_file(server: Server, tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        server.faults = [web_page]
    else:
        server.files["a.bin"] = content
    with pytest.raises(FetchError, match=r"a web page|is empty"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)
    assert left(tmp_path) == []


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="2 attempts"):
        fetch_file(["http://127.0.0.1:1/a.bin"], tmp_path / "a.bin", attempts=2, wait=0)
    with pytest.raises(FetchError, match=r"https://\[x"):
        fetch_file(["https://[x"], tmp_path / "a.bin", wait=0)


def test_an_unwritable_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        fetch_file([server.url("a.bin")], tmp_path / "file/a.bin")


@pytest.mark.parametrize("works", [True, False])
def test_google_drive_goes_through_gdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    import gdown

    def stand_in(url: str, output: str, **_: Any) -> str:
        assert url == "https://drive.google.com/uc?id=x"
        if not works:
            raise gdown.exceptions.FileURLRetrievalError("too many users")
        Path(output).write_bytes(CONTENT)
        return output

    monkeypatch.setattr(gdown, "download", stand_in)
    if works:
        got = fetch_file(["https://drive.google.com/uc?id=x"], tmp_path / "a.bin")
        assert got == FetchedFile(DIGEST, len(CONTENT))
    else:
        with pytest.raises(FetchError, match="quota"):
            fetch_file(["https://drive.google.com/uc?id=x"], tmp_path / "a.bin")


SLOW = """
import sys
from pathlib import Path
from cyborg.download.fetch import fetch_file
fetch_file([sys.argv[1]], Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_part_that_is_resumed(server: Server, tmp_path: Path) -> None:
    sent = threading.Event()

    def drip(handler: Handler, data: bytes) -> bool:
        handler.begin(200, data)
        handler.wfile.write(data[: 4 * BLOCK])
        handler.wfile.flush()
        sent.set()
        time.sleep(30)
        return True

    server.files["a.bin"] = big = CONTENT * 20
    server.faults = [drip]
    target = tmp_path / "a.bin"
    process = subprocess.Popen([sys.executable, "-c", SLOW, server.url("a.bin"), str(target)])
    assert sent.wait(60)
    notes = tmp_path / "a.bin.part.json"
    deadline = time.monotonic() + 60
    while not notes.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not target.exists()
    fetch_file([server.url("a.bin")], target)
    assert target.read_bytes() == big


# Archives

Files = dict[str, bytes]
GOOD: Files = {"set/a.png": b"1" * 1000, "set/deep/b.png": b"22", "empty.txt": b""}


def zipped(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: Files, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o4755
            archive.addfile(entry, io.BytesIO(data))
    return path


def sevened(path: Path, files: Files) -> Path:
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(data, name)
    return path


MAKERS: dict[str, Callable[[Path, Files], Path]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda path, files: tarred(path, files, "w:gz"),
    "tar.bz2": lambda path, files: tarred(path, files, "w:bz2"),
    "tar.xz": lambda path, files: tarred(path, files, "w:xz"),
    "7z": sevened,
}


def unpacked(archive: Path, **options: Any) -> Files:
    folder = archive.parent / "out"
    folder.mkdir()
    archives.unpack_archive(archive, folder, **options)
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }  # fmt: skip


@pytest.mark.parametrize("ending", MAKERS)
def test_unpacking(tmp_path: Path, ending: str) -> None:
    """By content: the name of the file does not matter."""
    archive = MAKERS[ending](tmp_path / f"x.{ending}", GOOD).rename(tmp_path / "download")
    assert unpacked(archive) == GOOD
    mode = stat.S_IMODE((tmp_path / "out/set/a.png").stat().st_mode)
    assert mode & 0o7133 == 0  # no set-user-id, nothing to execute, for others only to read


def test_folders_in_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("empty/", b"")
        archive.writestr("w\\x.png", b"from Windows")
    assert unpacked(tmp_path / "a.zip") == {"w/x.png": b"from Windows"}
    assert (tmp_path / "out/empty").is_dir()


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/outside/evil", "..\\evil", "C:\\evil", "\\evil"]
)
def test_names_that_leave_the_folder(tmp_path: Path, ending: str, name: str) -> None:
    archive = MAKERS[ending](tmp_path / f"a.{ending}", {"fine.png": b"1", name: b"2"})
    with pytest.raises(UserError, match="outside of its folder"):
        unpacked(archive)
    assert not list(tmp_path.parent.glob("evil"))
    assert left(tmp_path) == [f"a.{ending}", "out"]


@given(name=st.text(alphabet="a./\\:", min_size=1, max_size=12))
def test_no_name_leaves_the_folder(name: str) -> None:
    folder = Path("/somewhere/out")
    try:
        target = archives._find_target(Path("a.zip"), folder, name)
    except UserError:
        return
    assert os.path.commonpath([os.path.normpath(target), folder]) == str(folder)
    assert target != folder  # a file has a name


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("target", ["/etc/passwd", "fine.png"])
def test_links_and_devices_in_tar(tmp_path: Path, kind: bytes, target: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        entry = tarfile.TarInfo("link.png")
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    with pytest.raises(UserError, match="is a link or a device"):
        unpacked(tmp_path / "a.tar")
    assert left(tmp_path / "out") == []


def test_links_in_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("link.png")
        entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(UserError, match="is a link or a device"):
        unpacked(tmp_path / "a.zip")


def test_links_in_7z(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/fine.png").write_bytes(b"1")
    (tmp_path / "in/link.png").symlink_to("fine.png")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writeall(tmp_path / "in", "in")
    with pytest.raises(UserError, match="is a link or a device"):
        unpacked(tmp_path / "a.7z")


@pytest.mark.parametrize("ending", MAKERS)
def test_bombs(tmp_path: Path, ending: str) -> None:
    archive = MAKERS[ending](tmp_path / f"a.{ending}", {"a": b"0" * 600, "b": b"0" * 600})
    with pytest.raises(UserError, match="grows to"):
        unpacked(archive, limit=1000)


def test_the_usual_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL", 1000)
    archive = zipped(tmp_path / "a.zip", {"a": b"0" * 1_000_000})  # shrinks a thousandfold
    with pytest.raises(UserError, match="grows to 1 files of 1000000 bytes"):
        unpacked(archive)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", GOOD)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="needs 1002 bytes, and the disk has 10 left"):
        unpacked(archive)


@pytest.mark.parametrize("ending", MAKERS)
def test_broken_archives(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(1).bytes(20_000)
    archive = MAKERS[ending](tmp_path / f"a.{ending}", {"a.png": noise, "b.png": noise[::-1]})
    whole = bytearray(archive.read_bytes())
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"is cut short|is damaged or cut short|without its end"):
        unpacked(archive)


@pytest.mark.parametrize("ending", ["zip", "7z", "tar.gz"])
def test_a_flipped_bit(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(1).bytes(20_000)
    archive = MAKERS[ending](tmp_path / f"a.{ending}", {"a.png": noise})
    whole = bytearray(archive.read_bytes())
    whole[len(whole) // 2] ^= 1
    archive.write_bytes(whole)
    with pytest.raises(UserError, match="is damaged or cut short"):
        unpacked(archive)


def test_a_name_twice(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(UserError, match=r"holds `a\.png` twice"):
        unpacked(tmp_path / "a.tar")


def test_a_password(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", password="x") as archive:
        archive.writestr(b"1", "a.png")
    with pytest.raises(UserError, match="is encrypted"):
        unpacked(tmp_path / "a.7z")


# The stage


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


BASE = {"role": "any", "licence": "CC0", "instructions": "Ask the dean."}
REAL = BASE | {"name": "real", "label": "bona_fide", "access": "local", "path": "data/raw/real"}
FAKE = BASE | {"name": "fake", "label": "synthetic", "access": "url"}


def project(root: Path, *rows: dict[str, str]) -> Path:
    (root / "data/raw/real").mkdir(parents=True, exist_ok=True)
    (root / "data/raw/real/r.png").write_bytes(png(0))
    with open(root / "data/sources.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows([REAL, *rows])
    return root


def wanted(*names: str, **phantom: Any) -> Experiment:
    sources = list(names or ("real", "fake"))
    return Experiment.model_validate(
        {
            "data": {"training_sets": {"main": sources}, "test_sets": {"main": sources}},
            "phantom": phantom,
            "architectures": {"a": {}},
            "variants": {"v": {"loss": "cross_entropy"}},
            "seeds": [1],
        }
    )


def hosted(server: Server, root: Path, images: int = 2, **changes: str) -> Path:
    """A project whose source `fake` is `x.zip` of the server, folder `in`."""
    files = {f"in/{k}.png": png(k + 1) for k in range(images)} | {"readme.txt": b"hello"}
    server.files["x.zip"] = zipped(root / "x.zip", files).read_bytes()
    (root / "x.zip").unlink()
    row = FAKE | {"url": server.url("x.zip"), "path": "data/fetched/fake/in", "count": str(images)}
    return project(root, row | changes)


def failure(root: Path, experiment: Experiment | None = None, **options: Any) -> str:
    with pytest.raises(UserErrors) as caught:
        download(experiment or wanted(), root, **options)
    return caught.value.text()


def test_the_stage(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path)
    download(wanted(), root)
    table = pd.read_parquet(root / "data/images.parquet")
    assert list(table["image"]) == ["fake/0.png", "fake/1.png", "real/r.png"]
    assert table["file"].iloc[0] == "data/fetched/fake/in/0.png"
    assert list(table["sha256"]) == [sha256_bytes(png(k)) for k in (1, 2, 0)]
    archive = server.files["x.zip"]
    assert (root / "data/checksums.csv").read_text() == (
        f"name,file,sha256,bytes\nfake,x.zip,{sha256_bytes(archive)},{len(archive)}\n"
    )
    assert left(root / ".work/download") == ["lock"]  # the archive is not kept twice
    before = (root / "data/images.parquet").read_bytes()
    download(wanted(), root)
    assert len(server.requests) == 1
    assert (root / "data/images.parquet").read_bytes() == before


def test_a_recorded_checksum_is_held(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path)
    download(wanted(), root)
    for path in (root / "data/fetched/fake").rglob("*"):
        if path.is_file():
            path.unlink()
    old = sha256_bytes(server.files["x.zip"])
    index = (root / "data/images.parquet").read_bytes()
    # Another archive of the same length: only the checksum tells.
    server.files["x.zip"] = server.files["x.zip"][:-1] + b"\1"
    text = failure(root)
    assert f"not {old}, and was not kept" in text
    assert "sources.csv:3" in text
    assert "data/checksums.csv" in text
    assert (root / "data/images.parquet").read_bytes() == index  # earlier results stay
    (root / "data/checksums.csv").unlink()
    server.files["x.zip"] = zipped(tmp_path / "y.zip", {f"in/{k}.png": png(k) for k in (7, 8)}
                                   ).read_bytes()  # fmt: skip
    download(wanted(), root)
    assert checksums.read_checksums(root)["fake"].sha256 == sha256_bytes(server.files["x.zip"])


def test_a_new_checksum_in_the_catalogue_fetches_anew(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path)
    download(wanted(), root)
    hosted(server, tmp_path, images=3)
    project(root, FAKE | {"url": server.url("x.zip"), "path": "data/fetched/fake/in",
                          "sha256": sha256_bytes(server.files["x.zip"]), "count": "3"})  # fmt: skip
    download(wanted(), root)
    assert len(pd.read_parquet(root / "data/images.parquet")) == 4
    assert checksums.read_checksums(root)["fake"].bytes == len(server.files["x.zip"])


def test_pulled_data_need_no_network(server: Server, tmp_path: Path) -> None:
    """data/fetched restored from a cache: nothing is fetched, the checksum is recorded."""
    root = hosted(server, tmp_path)
    download(wanted(), root)
    (root / "data/checksums.csv").unlink()
    download(wanted(), root)
    assert len(server.requests) == 1
    assert checksums.read_checksums(root)["fake"].sha256 == sha256_bytes(server.files["x.zip"])


def test_an_archive_that_was_brought(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path, url="http://127.0.0.1:1/x.zip")
    (root / "data/raw/fake.zip").write_bytes(server.files["x.zip"])
    download(wanted(), root)
    assert len(pd.read_parquet(root / "data/images.parquet")) == 3
    assert (root / "data/raw/fake.zip").is_file()
    assert checksums.read_checksums(root)["fake"].file == "fake.zip"


def test_a_brought_archive_is_verified(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path, access="manual", sha256="0" * 64)
    text = failure(root)
    assert "put the archive at data/raw/fake.zip" in text
    assert "Ask the dean." in text
    (root / "data/raw/fake.zip").write_bytes(server.files["x.zip"])
    assert "is not the archive of `fake`" in failure(root)
    assert left(root / "data/fetched") == []


def test_rows_that_share_an_archive(server: Server, tmp_path: Path) -> None:
    files = {"in/real/0.png": png(1), "in/fake/0.png": png(2), "in/fake/1.png": png(3)}
    server.files["x.zip"] = zipped(tmp_path / "x.zip", files).read_bytes()
    shared = FAKE | {"url": server.url("x.zip")}
    root = project(
        tmp_path,
        shared | {"name": "one", "label": "bona_fide", "path": "data/fetched/both/in/real"},
        shared | {"name": "two", "path": "data/fetched/both/in/fake"},
    )
    download(wanted("one", "two"), root)
    assert list(pd.read_parquet(root / "data/images.parquet")["image"]) == [
        "one/0.png", "two/0.png", "two/1.png",
    ]  # fmt: skip
    assert len(server.requests) == 1


def test_a_single_image(server: Server, tmp_path: Path) -> None:
    server.files["face.png"] = png(5)
    root = project(tmp_path, FAKE | {"url": server.url("face.png"), "path": "data/fetched/fake"})
    download(wanted(), root)
    assert (root / "data/fetched/fake/face.png").read_bytes() == png(5)


def test_what_is_neither_archive_nor_image(server: Server, tmp_path: Path) -> None:
    root = project(tmp_path, FAKE | {"url": server.url("a.bin"), "path": "data/fetched/fake"})
    assert "neither an archive (zip, tar, 7z) nor an image" in failure(root)
    assert left(root / "data/fetched") == []
    assert not (root / "data/checksums.csv").exists()  # nothing useful came: nothing to hold


def test_a_wrong_folder_inside_the_archive(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path, path="data/fetched/fake/inn")
    text = failure(root)
    assert "has no folder `data/fetched/fake/inn`" in text
    assert "did you mean `data/fetched/fake/in`?" in text


def test_an_evil_archive_leaves_nothing(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path)
    server.files["x.zip"] = zipped(tmp_path / "e.zip", {"in/a.png": png(1), "../e.png": b""}
                                   ).read_bytes()  # fmt: skip
    assert "outside of its folder" in failure(root)
    assert left(root / "data/fetched") == []
    assert not (root / "data/e.png").exists()


def test_a_wrong_count(server: Server, tmp_path: Path) -> None:
    text = failure(hosted(server, tmp_path, count="5"))
    assert "`fake` has 2 images, the catalogue says 5" in text
    assert "sources.csv:3: count" in text


def test_a_wrong_count_of_ones_own_is_only_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = FAKE | {"access": "local", "path": "data/raw/f", "count": "2"}
    root = project(tmp_path, row)
    (root / "data/raw/f").mkdir()
    (root / "data/raw/f/a.png").write_bytes(png(1))
    download(wanted(), root)
    assert "note: `fake` has 1 images, the catalogue says 2" in capsys.readouterr().err


def test_everything_that_can_be_done_is_done(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path)
    rows = [
        FAKE | {"name": "gate", "access": "gated", "path": "data/raw/gate", "url": "https://g.org"},
        FAKE | {"name": "hand", "access": "manual", "path": "data/raw/hand"},
        FAKE | {"name": "own", "access": "local", "path": "data/raw/own"},
        FAKE | {"name": "gone", "url": server.url("none.zip"), "path": "data/fetched/gone"},
        FAKE | {"url": server.url("x.zip"), "path": "data/fetched/fake/in"},
    ]
    project(root, *rows)
    text = failure(root, wanted("real", "gate", "hand", "own", "gone", "fake"))
    assert text.count("error:") == 4
    for words in ("`gate` needs an agreement", "page: https://g.org", "licence: CC0",
                  "`hand` has to be downloaded by hand",
                  "put (or link) the images at data/raw/hand", "`own` is local and is not here",
                  "none.zip: HTTP 404"):  # fmt: skip
        assert words in text
    assert (root / "data/fetched/fake/in/0.png").is_file()
    assert not (root / "data/images.parquet").exists()
    download(wanted(), root)  # what is missing stops only what needs it


def test_only(server: Server, tmp_path: Path) -> None:
    root = hosted(server, tmp_path)
    download(wanted(), root, only=["fake"])
    assert (root / "data/fetched/fake/in/0.png").is_file()
    assert not (root / "data/images.parquet").exists()
    text = failure(root, only=["fakes", "real", "rael"])
    assert text.count("error:") == 2
    assert "`fakes` is not in data/sources.csv" in text
    assert "did you mean `fake`" in text
    assert "did you mean `real`" in text


def test_only_as_a_command(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = hosted(server, tmp_path)
    server.files["y.zip"] = zipped(root / "y.zip", {"a.png": png(9)}).read_bytes()
    other = {"name": "other", "url": server.url("y.zip"), "path": "data/fetched/other"}
    third = {"name": "third", "url": server.url("z.zip"), "path": "data/fetched/third"}
    rows = [FAKE | {"url": server.url("x.zip"), "path": "data/fetched/fake/in"}]
    project(root, *rows, FAKE | other, FAKE | third)
    (root / "params.yaml").write_text(yaml.safe_dump(wanted().model_dump(mode="json")))
    monkeypatch.chdir(root)
    assert main(["download", "--only", "other", "fake"]) == 0
    assert capsys.readouterr().out == (
        "fake: 2 images at data/fetched/fake/in\nother: 1 images at data/fetched/other\n"
    )
    assert left(root / "data/fetched") == ["fake", "other"]
    assert not (root / "data/images.parquet").exists()
    assert main(["download", "--only", "fakee", "other"]) == 2
    assert "did you mean `fake`" in capsys.readouterr().err
    assert main(["download"]) == 0
    assert len(pd.read_parquet(root / "data/images.parquet")) == 3


def test_leftovers_are_swept(server: Server, tmp_path: Path) -> None:
    """What a killed run left half made must not get into the cache."""
    root = hosted(server, tmp_path)
    (root / "data/fetched/.fake.new").mkdir(parents=True)
    download(wanted(), root)
    assert left(root / "data/fetched") == ["fake"]
    (root / "data/fetched/.fake.old").mkdir()  # killed after the second rename
    download(wanted(), root)
    assert left(root / "data/fetched") == ["fake"]
    (root / "data/fetched/fake").rename(root / "data/fetched/.fake.old")  # killed between the two
    download(wanted(), root)
    assert left(root / "data/fetched") == ["fake"]
    assert len(server.requests) == 1
    (root / "data/fetched/.snapshot").mkdir()  # made by another program, such as a file server
    download(wanted(), root)
    assert left(root / "data/fetched") == [".snapshot", "fake"]


def test_a_broken_image_is_a_row_with_a_problem(tmp_path: Path) -> None:
    root = project(tmp_path, FAKE | {"access": "local", "path": "data/raw/f"})
    (root / "data/raw/f").mkdir()
    (root / "data/raw/f/a.png").write_bytes(png(1)[:80])
    download(wanted(), root)
    table = pd.read_parquet(root / "data/images.parquet").set_index("image")
    assert table.loc["fake/a.png", "problem"].startswith("does not decode")
    assert table.loc["real/r.png", "problem"] == ""


def test_a_second_download_waits(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = hosted(server, tmp_path)
    (root / ".work/download").mkdir(parents=True)
    lock = FileLock(root / ".work/download/lock")
    lock.acquire()
    second = threading.Thread(target=download, args=(wanted(), root))
    second.start()
    second.join(0.3)
    assert second.is_alive()
    assert server.requests == []
    lock.release()
    second.join()
    assert "waiting" in capsys.readouterr().err
    assert (root / "data/images.parquet").is_file()


# Phantoms

DRAWN = BASE | {
    "name": "fake", "label": "synthetic", "generator": "warping", "access": "phantom",
    "path": "data/fetched/fake", "annotations": "data/fetched/fake/annotations.json", "count": "3",
}  # fmt: skip


def test_phantoms_are_drawn_once(tmp_path: Path) -> None:
    root = project(tmp_path, DRAWN)
    download(wanted(size=32), root)
    table = pd.read_parquet(root / "data/images.parquet")
    assert (table["source"] == "fake").sum() == 3
    assert (root / "data/fetched/fake/annotations.json").is_file()
    drawn = (root / "data/fetched/fake").stat().st_ino
    download(wanted(size=32), root)
    assert (root / "data/fetched/fake").stat().st_ino == drawn


def test_phantoms_are_drawn_anew_for_other_parameters(tmp_path: Path) -> None:
    root = project(tmp_path, DRAWN)
    download(wanted(size=32), root)
    first = sha256_file(root / "data/fetched/fake/000000.png")
    download(wanted(size=32, seed=1), root)
    assert sha256_file(root / "data/fetched/fake/000000.png") != first
    download(wanted(size=32), root)
    assert sha256_file(root / "data/fetched/fake/000000.png") == first
    project(root, DRAWN | {"count": "2"})
    download(wanted(size=32), root)
    assert len(pd.read_parquet(root / "data/images.parquet")) == 3


# Checksums


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name,sha256\n", "data/checksums.csv:1"),
        (f"name,file,sha256,bytes\na,b,{DIGEST},3\nc,d,xyz,3\n", "data/checksums.csv:3"),
        (f"name,file,sha256,bytes\na,b,{DIGEST},-3\n", "data/checksums.csv:2"),
        (f"name,file,sha256,bytes\na,b,{DIGEST},3\na,b,{DIGEST},3\n", "data/checksums.csv:3"),
    ],
)
def test_broken_checksums_are_named(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/checksums.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        checksums.read_checksums(tmp_path)
    assert str(caught.value.location) == where


def test_checksums_are_sorted(tmp_path: Path) -> None:
    for name in ("b", "c", "a", "b"):
        checksums.record_checksum(tmp_path, checksums.Checksum(name, "x.zip", DIGEST, 3))
    lines = (tmp_path / "data/checksums.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["name", "a", "b", "c"]


def test_a_linked_folder_is_pointed_out(tmp_path: Path):
    """DVC does not look through it, so that changes would go unnoticed."""
    from cyborg.download.download import _find_link

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/faces").symlink_to(tmp_path / "elsewhere")
    assert _find_link(tmp_path, Path("data/raw/faces/ffhq")) == Path("data/raw/faces")
    assert _find_link(tmp_path, Path("data/raw")) is None
