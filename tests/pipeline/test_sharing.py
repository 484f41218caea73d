"""Push, fresh clone, pull: nothing to do, and one change trains exactly what it touches."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from project import Project

pytestmark = pytest.mark.slow


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server on this machine, with one bucket; its address."""
    import boto3

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = boto3.client("s3", endpoint_url=address)
        for _ in range(200):
            try:
                client.create_bucket(Bucket="shared")
                break
            except Exception:
                assert server.poll() is None, "the S3 server did not start"
                time.sleep(0.1)
        else:
            raise AssertionError("the S3 server did not answer")
        yield address
    finally:
        server.terminate()
        server.wait()


def remotes(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> list[list[str]]:
    """The commands that name a remote of a kind."""
    if kind == "directory":
        return [["dvc", "remote", "add", "-d", "store", str(tmp_path / "store")]]
    address = request.getfixturevalue("s3")
    return [
        ["dvc", "remote", "add", "-d", "store", "s3://shared/dvc"],
        ["dvc", "remote", "modify", "store", "endpointurl", address],
    ]


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_push_clone_pull(project: Project, tmp_path: Path, kind: str, request):
    for command in remotes(kind, tmp_path, request):
        project.run(*command)
    # An earlier revision whose cells are in the remote and not in the clone's runs/.
    project.commit()
    project.run("dvc", "push")
    project.params(variants__cyborg__alpha=0.25)
    project.repro()
    project.commit()
    project.run("dvc", "push")
    project.run("git", "clone", "-q", str(project.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    os.utime(clone.root / "dvc.yaml")
    clone.run("dvc", "pull", "-q")
    done = clone.repro()
    assert "Running stage" not in done.stdout
    assert clone.run("git", "status", "--short").stdout == ""

    clone.params(variants__cyborg__alpha=0.75)
    clone.repro()
    assert clone.did("train", "run") == ["small_cnn/cyborg/seed1", "small_cnn/cyborg/seed2"]
    assert clone.did("train", "kept") == [
        "small_cnn/cross_entropy/seed1",
        "small_cnn/cross_entropy/seed2",
    ]
    # The first revision's cells come from the remote: nobody trained them here.
    clone.params()
    clone.repro()
    assert clone.did("train", "run") == []
    assert clone.did("train", "restored") == ["small_cnn/cyborg/seed1", "small_cnn/cyborg/seed2"]
