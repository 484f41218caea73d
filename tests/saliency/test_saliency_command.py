"""`cyborg saliency`: what is written, where, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyborg.cli import main
from cyborg.common.errors import UserError
from cyborg.saliency.commands import read_recipe
from cyborg.saliency.read import read_annotations
from paths import REPOSITORY, SHARED

ANNOTATIONS = SHARED / "data" / "annotations"
BOX = [3, 2, 9, 2, 9, 5, 3, 5]


def make_coco(*names: str, size: tuple[int, int] | None = (12, 10)) -> dict[str, Any]:
    stated = {"width": size[0], "height": size[1]} if size else {}
    return {
        "images": [{"id": k, "file_name": name} | stated for k, name in enumerate(names)],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "segmentation": [BOX]}
            for k in range(len(names))
        ],
        "categories": [{"id": 1, "name": "mouth"}],
    }


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_image(path: Path, size: tuple[int, int] = (12, 10), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 150)).save(path, **options)
    return path


def read_summary(out: Path) -> list[list[str]]:
    with (out / "summary.csv").open(newline="") as handle:
        return list(csv.reader(handle))


def run_saliency(*arguments: Any) -> int:
    return main(["saliency", *(str(a) for a in arguments)])


def list_files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_maps_and_summary(tmp_path: Path) -> None:
    export = write_json(tmp_path / "export", make_coco("dir/a.jpg", "b.v2.png"))
    out = tmp_path / "out"
    assert run_saliency(export, "--out", out) == 0
    assert list_files(out) == ["a.png", "b.v2.png", "summary.csv"]
    assert read_summary(out) == [
        ["image", "width", "height", "annotators", "regions", "area", "left_out"],
        ["b.v2.png", "12", "10", "1", "1", "18", "0"],
        ["dir/a.jpg", "12", "10", "1", "1", "18", "0"],
    ]
    value = np.asarray(Image.open(out / "a.png"))
    assert (value.dtype, value.shape) == (np.uint8, (10, 12))
    assert (value > 0).sum() == 18
    assert set(np.unique(value)) == {0, 255}
    # Again over its own results: the same bytes.
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert run_saliency(export, "--out", out) == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_sizes_come_from_the_images_where_the_file_states_none(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    export = write_json(tmp_path / "export", make_coco("a.jpg", "gone.jpg", size=None))
    assert run_saliency(export, "--out", tmp_path / "out") == 2
    assert "give the folder of the images with --images" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    write_image(tmp_path / "images/deep/a.png", (30, 20))
    assert run_saliency(export, "--out", tmp_path / "out", "--images", tmp_path / "images") == 0
    assert read_summary(tmp_path / "out")[1:] == [["a.jpg", "30", "20", "1", "1", "18", "0"]]
    assert "1 images left out" in capsys.readouterr().err


def test_exif_rotation_is_refused_or_applied(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, displayed upright
    write_image(tmp_path / "images/a.jpg", (10, 12), exif=exif)
    upright = write_json(tmp_path / "upright", make_coco("a.jpg"))
    assert run_saliency(upright, "--images", tmp_path / "images", "--out", tmp_path / "o") == 0
    lying = write_json(tmp_path / "lying", make_coco("a.jpg", size=(10, 12)))
    assert run_saliency(lying, "--images", tmp_path / "images", "--out", tmp_path / "p") == 2
    assert "EXIF" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_equal_stems_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    export = write_json(tmp_path / "export", make_coco("a/1.jpg", "b/1.jpg", "c.jpg", "C.png"))
    assert run_saliency(export, "--out", tmp_path / "out") == 0
    assert list_files(tmp_path / "out") == [
        "C.png.png",
        "a_1.jpg.png",
        "b_1.jpg.png",
        "c.jpg.png",
        "summary.csv",
    ]
    assert "4 images share their stem" in capsys.readouterr().err
    clash = write_json(tmp_path / "clash", make_coco("a/1.jpg", "b/1.jpg", "a_1.jpg.png"))
    assert run_saliency(clash, "--out", tmp_path / "again") == 2
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "/etc/evil.png",
        "..\\..\\evil.png",
        "C:\\evil.png",
        "a/../../evil.jpg",
        "file:///etc/evil.png",
        "https://host/x/evil.png?a=../../b",
    ],
)
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    export = write_json(tmp_path / "in/export", make_coco(name))
    assert run_saliency(export, "--out", tmp_path / "in/out") == 0
    assert list_files(tmp_path) == [
        "in",
        "in/export",
        "in/out",
        "in/out/evil.png",
        "in/out/summary.csv",
    ]
    assert read_summary(tmp_path / "in/out")[1][0] == name


@pytest.mark.parametrize("name", ["..", "/", "a/..", ".", "x" * 300, " "])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    export = write_json(tmp_path / "export", make_coco(name))
    assert run_saliency(export, "--out", tmp_path / "out") == 2
    assert list_files(tmp_path) == ["export"]


def test_file_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    Image.new("L", (4, 3)).save(tmp_path / "map.png")
    (tmp_path / "map.png").rename(os.fsdecode(bytes(tmp_path / "maps") + b"/a\xff.png"))
    assert run_saliency(tmp_path / "maps", "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_out_is_neither_followed_nor_replaced(tmp_path: Path, dangling: bool) -> None:
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_text("mine")
    link = tmp_path / "out/a.png"
    link.parent.mkdir()
    link.symlink_to(victim)
    export = write_json(tmp_path / "export", make_coco("a.jpg"))
    assert run_saliency(export, "--out", link.parent) == 2
    assert link.is_symlink()
    assert victim.exists() != dangling
    assert dangling or victim.read_text() == "mine"


@pytest.mark.parametrize("own", [False, True], ids=["folder of pictures", "beside earlier maps"])
def test_a_file_that_is_not_of_the_command_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: bool
) -> None:
    """The folder of the pictures as OUT would lose them: each map has a picture's name."""
    folder = tmp_path / "pictures"
    export = write_json(tmp_path / "export", make_coco("a.png"))
    if own:  # maps of another image, written by an earlier call
        earlier = write_json(tmp_path / "earlier", make_coco("b.png"))
        assert run_saliency(earlier, "--out", folder) == 0
    picture = write_image(folder / "a.png")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert run_saliency(export, "--images", folder, "--out", folder) == 2
    assert "contains `a.png`" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert picture.is_file()


@pytest.mark.parametrize("name", ["summary.csv", "preview.jpg"])
def test_a_summary_or_preview_of_others_is_never_replaced(tmp_path: Path, name: str) -> None:
    export = write_json(tmp_path / "export", make_coco("a.png"))
    images = write_image(tmp_path / "images/a.png").parent
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine\n")
    assert run_saliency(export, "--images", images, "--out", out, "--preview") == 2
    assert (out / name).read_text() == "mine\n"
    assert list_files(out) == [name]


def test_failure_leaves_earlier_maps(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_saliency(write_json(tmp_path / "export", make_coco("a.jpg")), "--out", out) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    bad = make_coco("a.jpg", "b.jpg")
    bad["annotations"][1]["segmentation"] = [[0, 0, 500, 0, 500, 9]]
    assert run_saliency(write_json(tmp_path / "bad", bad), "--out", out) == 2
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    assert (
        run_saliency(write_json(tmp_path / "export", make_coco("a.jpg")), "--out", tmp_path / "out")
        == 2
    )


def test_out_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "out").write_text("mine")
    assert (
        run_saliency(write_json(tmp_path / "export", make_coco("a.jpg")), "--out", tmp_path / "out")
        == 2
    )
    assert "cannot be written" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_settings_and_recipes_of_params(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    export = write_json(tmp_path / "export", make_coco("a.jpg"))
    assert (
        run_saliency(
            export,
            "--out",
            tmp_path / "out",
            "--set",
            "granularity=outline",
            "--set",
            "line_width=2",
        )
        == 0
    )
    assert np.asarray(Image.open(tmp_path / "out/a.png"))[3, 6] == 0
    changed = read_recipe(Path("none.yaml"), None, ["gaze.sigma=0.5", "labels=[eye, mouth]"])
    assert (changed.gaze.sigma, changed.labels) == (0.5, ["eye", "mouth"])
    shipped = REPOSITORY / "params/faces.yaml"
    assert read_recipe(shipped, "human", []).aggregate == "union"
    for setting, text in (
        ("granularty=box", "did you mean `granularity`"),
        ("blur=-1", "greater than or equal to 0"),
        ("blur", "is not KEY=VALUE"),
        ("blur.x=1", "blur"),
        ("gaze.sigm=1", "did you mean `sigma`"),
    ):
        assert run_saliency(export, "--out", tmp_path / "no", "--set", setting) == 2
        assert text in capsys.readouterr().err
    with pytest.raises(UserError, match="is not a map set"):
        read_recipe(shipped, "humans", [])


def test_preview_shows_image_map_and_overlay(tmp_path: Path) -> None:
    export = write_json(tmp_path / "export", make_coco("a.jpg", "b.jpg"))
    write_image(tmp_path / "images/a.jpg")
    assert (
        run_saliency(
            export, "--out", tmp_path / "out", "--images", tmp_path / "images", "--preview"
        )
        == 0
    )
    assert list_files(tmp_path / "out") == ["a.png", "b.png", "preview.jpg", "summary.csv"]
    sheet = np.asarray(Image.open(tmp_path / "out/preview.jpg").convert("RGB")).astype(int)
    assert np.abs(sheet[24, 10] - (90, 120, 150)).max() < 12  # the image, at its own size


def test_formats_are_found_or_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_saliency(tmp_path / "none", "--out", tmp_path / "out") == 2
    odd = tmp_path / "odd.txt"
    odd.write_text("nothing of the kind")
    assert run_saliency(odd, "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert "no annotation format" in err
    assert "coco" in err
    assert "--format" in err
    assert run_saliency(odd, "--format", "coc", "--out", tmp_path / "out") == 2
    assert "did you mean `coco`" in capsys.readouterr().err
    assert run_saliency(odd, "--format", "coco", "--out", tmp_path / "out") == 2
    assert "not valid JSON" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_are_read_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write_json(folder / "one/a.json", make_coco("a.jpg"))
    write_json(folder / "two/a.json", make_coco("a.jpg"))
    write_image(folder / "a.jpg")
    (folder / "README.txt").write_text("drawn in spring")
    found = list(read_annotations(folder))
    assert [a.annotator for a in found] == ["one/a.json", "two/a.json"]
    (folder / "two/b.json").write_text('{"images": [{"id"')
    with pytest.raises(UserError, match="is not in format coco like its neighbours"):
        list(read_annotations(folder))
    write_json(folder / "two/b.json", {"format": "phantom", "version": 1, "images": []})
    with pytest.raises(UserError, match="in several formats: coco, phantom"):
        list(read_annotations(folder))
    assert list(read_annotations(folder, "phantom")) == []
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(UserError, match="holds no annotations"):
        list(read_annotations(folder))


def test_commands_start_without_heavy_imports() -> None:
    code = (
        "import sys, cyborg.saliency.commands, argparse; "
        "cyborg.saliency.commands.add_arguments(argparse.ArgumentParser(), 'saliency'); "
        "print([m for m in ('torch', 'pandas', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_gaze_and_its_agreement(tmp_path: Path) -> None:
    folder = ANNOTATIONS / "eye_tracking" / "salicon"
    if not folder.is_dir():
        pytest.skip("the shared annotation samples are not on this machine")
    file = folder / "fixations_train2014examples.json"
    assert run_saliency(file, "--images", folder / "images", "--out", tmp_path / "out") == 0
    rows = read_summary(tmp_path / "out")[1:]
    assert len(rows) == 6
    for name, width, height, *_ in rows:
        value = np.asarray(Image.open(tmp_path / "out" / f"{Path(name).stem}.png"))
        assert value.shape == (int(height), int(width)) == (480, 640)
        assert value.max() == 255
