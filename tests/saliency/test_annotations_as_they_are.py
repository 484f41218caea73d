"""Inputs as people have them: read as they were meant, refused, or counted."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyborg.cli import main
from cyborg.common.errors import UserError
from cyborg.config.saliency import GazeRecipe
from cyborg.saliency.annotation import Shape
from cyborg.saliency.fit import scale_shape
from cyborg.saliency.maps import rasterize
from cyborg.saliency.match import find_image
from cyborg.saliency.positions import convert_positions


def write_image(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path)
    return path


def write_mask(path: Path, values: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8))
    if palette:
        picture = picture.convert("P")
        picture.putpalette([0, 0, 0, 250, 0, 0, 0, 250, 0])
    picture.save(path)


def draw_square(value: int) -> np.ndarray:
    values = np.zeros((30, 40), np.uint8)
    values[5:15, 10:30] = value
    return values


def write_gaze(folder: Path, positions: list[tuple[float, float]]) -> Path:
    write_image(folder / "images/a.png", (400, 300))
    rows = "".join(f"a.png,anna,{x},{y},200\n" for x, y in positions)
    path = folder / "gaze.csv"
    path.write_text("image,subject,x,y,duration_ms\n" + rows)
    return path


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ("s01.morph", "s01.morph.jpg"),
        ("s01.morph.png", "s01.morph.jpg"),
        ("s01.other", None),
        ("s01", "s01.jpg"),
        ("s01.HEIC", "s01.jpg"),
        ("a_jpg.rf.0011", "a_jpg.rf.0011.jpg"),
        ("s01.jpg.png", "s01.jpg"),
    ],
)
def test_a_dot_is_part_of_a_name(tmp_path: Path, stated: str, found: str | None) -> None:
    for name in ("s01.jpg", "s01.morph.jpg", "a_jpg.rf.0011.jpg"):
        write_image(tmp_path / name)
    image = find_image(tmp_path, stated, "file")
    assert (image.name if image else None) == found


def test_two_label_files_never_become_one_image(tmp_path: Path) -> None:
    write_image(tmp_path / "images/1.jpg")
    for folder in ("train", "val"):
        label = tmp_path / "labels" / folder / "1.txt"
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UserError, match="and so does"):
        rasterize(tmp_path / "labels", tmp_path / "images")


def test_several_files_of_one_image_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x", "y"):
        shape = {"label": "eye", "shape_type": "rectangle", "points": [[1, 1], [5, 5]]}
        content = {"shapes": [shape], "imagePath": "a.jpg", "imageHeight": 30, "imageWidth": 40}
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.json").write_text(json.dumps(content))
    assert main(["saliency", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert "1 images are marked in several files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "position", "pixel"),
    [
        (GazeRecipe(position_unit="shares"), (0.25, 0.5), (100, 150)),
        (GazeRecipe(position_unit="height", origin="centre_up"), (0.5, 0.25), (350, 75)),
        (GazeRecipe(origin="centre"), (-10, 20), (190, 170)),
        (GazeRecipe(origin="bottom_left"), (10, 20), (10, 280)),
        (GazeRecipe(screen=(1920, 1080)), (960, 540), (200, 150)),
        (GazeRecipe(screen=(1920, 1080)), (970, 530), (210, 140)),
        (GazeRecipe(screen=(1600, 1200), shown="fit"), (400, 300), (100, 75)),
        (GazeRecipe(screen=(800, 600), position_unit="shares"), (0.5, 0.5), (200, 150)),
    ],
)
def test_positions_become_pixels(
    recipe: GazeRecipe, position: tuple[float, float], pixel: tuple[float, float]
) -> None:
    found = convert_positions(np.array([[*position, 0.2]]), (400, 300), recipe)
    assert found[0, :2].tolist() == pytest.approx(pixel)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([(0.2, 0.3), (0.7, 0.8)], "between -1 and 1"),
        ([(-0.4, 0.3), (0.5, -0.2)], "between -1 and 1"),
        ([(900, 500), (1000, 700)], "2 of 2"),
        ([(-80, 60), (50, -20), (10, 10)], "2 of 3"),
    ],
)
def test_gaze_that_cannot_be_pixels_is_refused(
    tmp_path: Path, positions: list[tuple[float, float]], message: str
) -> None:
    path = write_gaze(tmp_path, positions)
    with pytest.raises(UserError, match=message) as caught:
        rasterize(path, tmp_path / "images")
    assert "--unit" in str(caught.value.hint)


def test_unit_is_an_argument_and_positions_off_the_image_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_gaze(tmp_path, [(0.25, 0.5), (0.5, 0.5), (1.5, 0.5)])
    words = ["saliency", str(path), "--images", str(tmp_path / "images"), "--unit", "shares"]
    out = tmp_path / "out"
    assert main([*words, "--out", str(out)]) == 0
    assert "left out 1 × position of gaze off the image" in capsys.readouterr().err
    values = np.asarray(Image.open(out / "a.png"))
    assert values[150, 100] == 255
    assert values[150, 200] == 255
    with (out / "summary.csv").open(newline="") as handle:
        assert next(csv.DictReader(handle))["left_out"] == "1"
    assert main([*words, "--strict", "--out", str(tmp_path / "none")]) == 2
    assert main([*words[:-1], "inches", "--out", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("value", [1, 2, 7])
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_of_small_numbers_are_regions(tmp_path: Path, value: int, channels: int) -> None:
    for name, level in (("a", value), ("b", 0), ("c", value)):
        values = draw_square(level)
        write_mask(
            tmp_path / f"{name}.png", values if channels == 1 else np.stack([values] * 3, -1)
        )
    maps = rasterize(tmp_path)
    assert [int((maps[f"{name}.png"] == 255).sum()) for name in "abc"] == [200, 0, 200]


def test_a_map_of_one_category_among_label_maps(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", draw_square(3))
    both = draw_square(3)
    both[20:, :] = 5
    write_mask(tmp_path / "b.png", both)
    assert rasterize(tmp_path)["b.png"].max() == 255
    assert int((rasterize(tmp_path)["b.png"] > 0).sum()) == 600


def test_a_faint_heat_map_is_refused_with_both_remedies(tmp_path: Path) -> None:
    slope = np.add.outer(np.arange(30), np.arange(40)) // 6
    write_mask(tmp_path / "a.png", slope)
    for path in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(UserError, match="nearly black") as caught:
            rasterize(path)
        assert "label_map" in str(caught.value.hint)
        assert "heatmap" in str(caught.value.hint)
    assert rasterize(tmp_path, format="heatmap")["a.png"].max() == slope.max()
    white = draw_square(255)
    write_mask(tmp_path / "white/a.png", white)
    assert (rasterize(tmp_path / "white")["a.png"] == white).all()


def test_maps_with_a_palette_are_read_if_asked_for(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", draw_square(1), palette=True)
    with pytest.raises(UserError, match="in colour") as caught:
        rasterize(tmp_path)
    assert "label_map" in str(caught.value.hint)
    assert int((rasterize(tmp_path, format="label_map")["a.png"] == 255).sum()) == 200


def test_colours_are_named_by_labelmap(tmp_path: Path) -> None:
    values = np.zeros((30, 40, 3), np.uint8)
    values[5:15, 10:30] = (250, 50, 83)
    folder = tmp_path / "SegmentationClass"
    folder.mkdir()
    Image.fromarray(values).save(folder / "a.png")
    (tmp_path / "labelmap.txt").write_text("# label:color\nbackground:0,0,0::\neye:250,50,83::\n")
    for path in (tmp_path, folder):
        assert int((rasterize(path, labels=["eye"])["a.png"] == 255).sum()) == 200
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\n")
    with pytest.raises(UserError, match="which is not in labelmap"):
        rasterize(tmp_path)


def write_voc(path: Path, objects: str, name: str = "a.png") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = "<size><width>40</width><height>30</height></size>"
    path.write_text(f"<annotation><filename>{name}</filename>{size}{objects}</annotation>")


def make_voc_box(x0: int, y0: int, x1: int, y1: int) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (x0, y0, x1, y1), strict=True)
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
    return f"<object><name>eye</name><bndbox>{inside}</bndbox></object>"


def test_the_base_of_boxes_is_decided_once_for_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_voc(tmp_path / "in/a.xml", make_voc_box(10, 10, 20, 20), "a.png")
    write_voc(tmp_path / "in/b.xml", make_voc_box(0, 0, 10, 10), "b.png")
    out = tmp_path / "out"
    assert main(["saliency", str(tmp_path / "in"), "--out", str(out)]) == 0
    assert "edges counted from 0" in capsys.readouterr().err
    assert int((np.asarray(Image.open(out / "a.png")) > 0).sum()) == 100


def test_voc_reads_polygons_and_rotated_boxes(tmp_path: Path) -> None:
    outline = "<x1>5</x1><y1>5</y1><x2>25</x2><y2>5</y2><x3>25</x3><y3>15</y3><x4>5</x4><y4>15</y4>"
    polygon = make_voc_box(1, 1, 39, 29).replace(
        "</object>", f"<polygon>{outline}</polygon></object>"
    )
    write_voc(tmp_path / "a.xml", polygon)
    assert int((rasterize(tmp_path / "a.xml")["a.png"] > 0).sum()) == 200
    turned = "<cx>20</cx><cy>15</cy><w>20</w><h>4</h><angle>1.5707963267948966</angle>"
    write_voc(tmp_path / "a.xml", f"<object><name>eye</name><robndbox>{turned}</robndbox></object>")
    rows, columns = np.nonzero(rasterize(tmp_path / "a.xml")["a.png"])
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 4)


@pytest.mark.parametrize(
    ("line", "declared"),
    [
        ("0 0.5 0.5 0.4 0.4 0.4 0.4 2 0.6 0.6 1 0.5 0.5 0", ""),
        ("0 0.5 0.5 0.4 0.4 0.4 0.4 1", ""),
        ("0 0.5 0.5 0.4 0.4 0.35 0.35 0.6 0.4 0.5 0.65", "kpt_shape: [3, 2]\n"),
    ],
)
def test_key_points_are_no_outline(tmp_path: Path, line: str, declared: str) -> None:
    write_image(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(f"{line}\n")
    (tmp_path / "data.yaml").write_text(declared + "names: [face]\n")
    found = rasterize(tmp_path / "labels", tmp_path / "images")
    assert int((found["a.png"] > 0).sum()) == 16 * 12


def test_an_outline_that_touches_the_border_is_no_list_of_key_points(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0 0 1 0 1 0.5 1 1 0 1\n")
    found = rasterize(tmp_path / "labels", tmp_path / "images")
    assert int((found["a.png"] > 0).sum()) >= 600


def test_the_background_of_cvat_cuts_holes(tmp_path: Path) -> None:
    box = '<box label="{}" xtl="{}" ytl="{}" xbr="{}" ybr="{}" z_order="{}"/>'
    shapes = box.format("background", 12, 7, 16, 11, 1) + box.format("eye", 10, 5, 30, 15, 0)
    shapes += box.format("mouth", 11, 6, 13, 8, 2)
    path = tmp_path / "a.xml"
    path.write_text(
        "<annotations><image id='0' name='a.png' width='40' height='30'>"
        f"{shapes}</image></annotations>"
    )
    found = rasterize(path)["a.png"]
    assert int((found > 0).sum()) == 200 - 16 + 1
    assert found[7, 12] == 255
    assert found[10, 15] == 0
    assert int((rasterize(path, labels=["mouth"])["a.png"] > 0).sum()) == 4


def test_versions_of_one_image_do_not_merge(tmp_path: Path) -> None:
    write_image(tmp_path / "images/photo.jpg")
    content = {
        "images": [
            {
                "id": number,
                "file_name": f"photo_jpg.rf.{number}.jpg",
                "width": 40,
                "height": 30,
                "extra": {"name": "photo.jpg"},
            }
            for number in (1, 2)
        ],
        "annotations": [{"image_id": n, "bbox": [1, 1, 4, 4], "id": n} for n in (1, 2)],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="second version of the image"):
        rasterize(tmp_path / "coco.json", tmp_path / "images")


def test_parts_without_area_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [
            {"image_id": 1, "segmentation": [[1, 1, 2, 2], [5, 5, 9, 5, 9, 9, 5, 9]]},
            {"image_id": 1, "segmentation": [[1, 1]], "bbox": [0, 0, 40, 30]},
        ],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    assert main(["saliency", str(path), "--out", str(tmp_path / "out")]) == 0
    assert "left out 2 × part of fewer than three points" in capsys.readouterr().err
    assert int((np.asarray(Image.open(tmp_path / "out/a.png")) > 0).sum()) == 16
    with pytest.raises(UserError, match="what no map can show"):
        rasterize(path, strict=True)


def test_squeezed_maps_and_ellipses(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png", (80, 30))
    values = draw_square(255)
    write_mask(tmp_path / "maps/a.png", values)
    with pytest.raises(UserError, match="made on 40 x 30") as caught:
        rasterize(tmp_path / "maps", tmp_path / "images", on_size="scale")
    assert "squeeze" in str(caught.value.hint)
    found = rasterize(tmp_path / "maps", tmp_path / "images", on_size="squeeze")["a.png"]
    assert found.shape == (30, 80)
    assert int((found > 127).sum()) == 400
    turned = Shape("ellipse", ((10.0, 10.0), (6.0, 2.0)), rotation=45.0)
    polygon = np.array(scale_shape(turned, 2.0, 1.0).points)
    x, y = polygon[:, 0] / 2 - 10, polygon[:, 1] - 10
    along, across = (x + y) / np.sqrt(2), (y - x) / np.sqrt(2)
    assert np.allclose((along / 6) ** 2 + (across / 2) ** 2, 1)
