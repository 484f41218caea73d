"""Phantom faces: bytes, truth, cue rates, faults in their place, annotations, leaks, network."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import imagehash
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw

import cyborg.phantom.draw as phantom_module
from cyborg.common.errors import UserError
from cyborg.config.experiment import Phantom
from cyborg.models.small_cnn import SmallCNN
from cyborg.phantom.annotators import compute_annotation_time
from cyborg.phantom.draw import draw_phantom_image, draw_phantoms
from cyborg.phantom.face import PARTS, PLACES
from cyborg.phantom.faults import FAULTS
from cyborg.saliency.formats import coco as format_coco
from cyborg.saliency.formats import phantom as format_phantom

SMALL = Phantom(size=64)


def source(generator="warping", role="train", count=4, name=None):
    return SimpleNamespace(
        name=name or f"phantom_{generator or 'real'}",
        label="synthetic" if generator else "bona_fide",
        generator=generator,
        role=role,
        count=count,
    )


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_same_arguments_same_bytes_and_longer_sources_begin_alike(tmp_path):
    draw_phantoms(source(count=3), SMALL, tmp_path / "a")
    draw_phantoms(source(count=3), SMALL, tmp_path / "b")
    draw_phantoms(source(count=5), SMALL, tmp_path / "longer")
    a, b, longer = (digests(tmp_path / name) for name in ("a", "b", "longer"))
    assert a == b
    assert sorted(a) == [
        "000000.png", "000001.png", "000002.png",
        "annotations.json", "segmentation.json", "weights.csv",
    ]  # fmt: skip
    assert all(longer[name] == a[name] for name in a if name.endswith(".png"))
    draw_phantoms(source(count=3), Phantom(size=64, seed=1), tmp_path / "seed")
    draw_phantoms(source(count=3, name="phantom_other"), SMALL, tmp_path / "name")
    assert not set(a.values()) & set(digests(tmp_path / "seed").values())
    assert not set(a.values()) & set(digests(tmp_path / "name").values())


@pytest.mark.parametrize(
    ("generator", "expected"),
    [
        ("", "bdba7d464613a9575b2b831de90bd4c167c620b05a4686bc679f16293dce0615"),
        ("blocking", "73e278fe8f42a93083fa593f8ce2779c0a72da3c4a3f5dc98539e960968dde9f"),
        ("blurring", "6505f2c379b4d3bb93ce17f67cc4e628c23972d8cbb4bed6ce83ec47eb702069"),
        ("fringe", "556375e717d8cfcc3c197e70e925faa9286f470a78f3e56f4192a0cfba73b177"),
        ("mixture", "7a9d24760ffbf32c4910ccbdef0def39f1ce5707c3b90fc741ec41899a9af79e"),
        ("warping", "ae3e349fc88fc1c92211cab97e8813720f6e69c132e73343badd1c0f339849ac"),
    ],
)
def test_drawn_bytes_never_change(tmp_path, generator, expected):
    """The shipped results were computed on these images. Processors may round differently."""
    draw_phantoms(source(generator, count=3), SMALL, tmp_path / "faces")
    drawn = hashlib.sha256()
    for file in sorted((tmp_path / "faces").iterdir()):
        drawn.update(file.name.encode() + b"\0" + file.read_bytes())
    assert drawn.hexdigest() == expected


def test_drawing_again_replaces_the_folder_and_leaves_nothing_beside_it(tmp_path):
    folder = tmp_path / "faces"
    draw_phantoms(source(count=3), SMALL, folder)
    draw_phantoms(source(count=2), SMALL, folder)
    assert [p.name for p in tmp_path.iterdir()] == ["faces"]
    assert sorted(digests(folder)) == [
        "000000.png", "000001.png", "annotations.json", "segmentation.json", "weights.csv",
    ]  # fmt: skip


def test_a_failure_leaves_the_old_folder(tmp_path, monkeypatch):
    folder = tmp_path / "faces"
    draw_phantoms(source(count=2), SMALL, folder)
    before = digests(folder)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(phantom_module, "write_text", fail)
    with pytest.raises(UserError, match="No space left"):
        draw_phantoms(source(count=1), SMALL, folder)
    assert digests(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["faces"]


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"generator": "wraping"}, "wraping"),
        ({"count": 0}, "count"),
        ({"count": None}, "count"),
        ({"count": "many"}, "many"),
    ],
)
def test_bad_rows_are_refused_before_anything_is_written(tmp_path, bad, what):
    with pytest.raises(UserError, match=what) as caught:
        draw_phantoms(source(**bad), SMALL, tmp_path / "faces")
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_file_size_mode_and_metadata_say_nothing_of_the_class(tmp_path):
    sizes, headers = set(), set()
    for generator in ("", *FAULTS):
        draw_phantoms(source(generator, count=2), SMALL, tmp_path / (generator or "real"))
        for file in (tmp_path / (generator or "real")).glob("*.png"):
            sizes.add(file.stat().st_size)
            with Image.open(file) as image:
                headers.add((image.format, image.mode, image.size, tuple(image.info)))
    assert len(sizes) == 1
    assert headers == {("PNG", "RGB", (64, 64), ())}


@pytest.mark.parametrize(
    ("generator", "role", "share"),
    [("warping", "train", 0.9), ("", "any", 0.1), ("fringe", "test", 0.5), ("", "test", 0.5)],
)
def test_share_of_images_with_the_cue(generator, role, share):
    """150 draws: the share is within four standard deviations of what was asked for."""
    described = Phantom(size=48, shortcut=0.9)
    records = [draw_phantom_image(source(generator, role), described, k)[1] for k in range(150)]
    seen = np.mean([record["truth"]["shortcut"] for record in records])
    assert abs(seen - share) < 4 * np.sqrt(share * (1 - share) / 150)


@pytest.mark.parametrize("generator", sorted(FAULTS))
def test_a_fault_changes_its_parts_and_nothing_else(generator, monkeypatch):
    """With the fault as the only difference, pixels differ in a small part of the image alone."""
    row = source(generator)
    for number in range(3):
        image, record, _ = draw_phantom_image(row, Phantom(size=96), number)
        with monkeypatch.context() as patch:
            patch.setitem(FAULTS, generator, lambda part, rng, strength: part)
            clean, _, _ = draw_phantom_image(row, Phantom(size=96, grain_lost=0), number)
        share = (image != clean).any(-1).mean()
        assert record["truth"]["parts"]
        assert 0.005 < share < 0.2


SHARED = Phantom(size=64, sites="shared", shortcut=0.9)


def test_faults_and_cue_share_one_list_of_sites_and_never_a_site():
    """Over many faces each kind of site bears both, so no list tells which of the two it is."""
    faulty, cued = set(), set()
    for number in range(80):
        truth = draw_phantom_image(source("blocking"), SHARED, number)[1]["truth"]
        assert 1 <= len(truth["parts"]) <= 2
        assert not truth["shortcut"] or 1 <= len(truth["places"]) <= 2
        assert not set(truth["parts"]) & set(truth["places"])
        faulty |= set(truth["parts"])
        cued |= set(truth["places"])
    assert faulty == cued == {*PARTS, *PLACES}


def test_annotators_mark_shared_sites():
    marked = set()
    for number in range(40):
        _, record, _ = draw_phantom_image(source("blocking"), SHARED, number)
        for said in record["annotations"]:
            names = {region["label"] for region in said["regions"]}
            assert not said["correct"] or names <= set(record["truth"]["parts"])
            marked |= names
    assert marked & set(PARTS)
    assert marked & set(PLACES)


def test_a_fault_of_the_whole_image_leaves_no_region_apart(monkeypatch):
    """The map of such an image marks sites, and the fault is everywhere else as well."""
    described = Phantom(size=96, sites="shared", extent="image", strength=1.5)
    image, record, _ = draw_phantom_image(source("blocking"), described, 0)
    monkeypatch.setitem(FAULTS, "blocking", lambda part, rng, strength: part)
    unchanged = described.model_copy(update={"grain_lost": 0.0})
    clean, _, _ = draw_phantom_image(source("blocking"), unchanged, 0)
    changed = (image != clean).any(-1)
    assert changed.mean() > 0.9
    assert 1 <= len(record["truth"]["parts"]) <= 2


def test_the_amplitude_of_the_cue_is_the_stated_one():
    """Twice the amplitude moves grey values twice as far; none leaves the image as it is."""
    number = next(
        k for k in range(20) if draw_phantom_image(source(), SHARED, k)[1]["truth"]["shortcut"]
    )
    images = [
        draw_phantom_image(source(), SHARED.model_copy(update={"cue": cue}), number)[0].astype(
            float
        )
        for cue in (0.0, 0.05, 0.1)
    ]
    once, twice = (np.abs(image - images[0]).sum() for image in images[1:])
    assert once > 0
    assert twice / once == pytest.approx(2, abs=0.15)


def test_bona_fide_faces_have_no_faulty_part_and_are_annotated_all_the_same():
    for number in range(10):
        _, record, _ = draw_phantom_image(source(""), SMALL, number)
        assert record["truth"]["parts"] == []
        assert record["truth"]["visibility"] == 0
        assert len(record["annotations"]) == SMALL.annotators
        assert all(said["regions"] for said in record["annotations"])


def test_annotators_who_are_right_mark_the_faulty_parts_and_some_are_wrong():
    right = wrong = 0
    for number in range(60):
        _, record, _ = draw_phantom_image(source("blocking"), SMALL, number)
        faulty = set(record["truth"]["parts"])
        for said in record["annotations"]:
            marked = {region["label"] for region in said["regions"]}
            if said["correct"]:
                right += 1
                assert said["decision"] == "synthetic"
                assert marked <= faulty
            else:
                wrong += 1
                assert said["decision"] == "bona_fide"
                assert not marked & faulty
            for region in said["regions"]:
                assert len(region["polygon"]) >= 8
                assert 0 <= np.min(region["polygon"]) <= np.max(region["polygon"]) <= 64
    assert 0.05 < wrong / (right + wrong) < 0.3


def test_visibility_is_what_the_fault_changed(monkeypatch):
    """With a fault that adds one grey value of 0.1 everywhere: 0.1 in its parts."""
    described = SMALL.model_copy(update={"grain_lost": 0.0})
    monkeypatch.setitem(FAULTS, "warping", lambda part, rng, strength: part + 0.1)
    for number in range(3):
        _, record, _ = draw_phantom_image(source(), described, number)
        masked = record["truth"]["visibility"]
        assert 0.05 < masked <= 0.1  # the edge of a part is soft


def test_times_are_longer_where_the_fault_is_fainter():
    said = [{"seconds": 4.0}, {"seconds": 8.0}]
    assert compute_annotation_time(said, 0.07) == pytest.approx(6)
    assert compute_annotation_time(said, 0.035) == pytest.approx(12)
    assert compute_annotation_time(said, 0.14) == pytest.approx(3)
    assert compute_annotation_time(said, 1e-4) == 24  # four times at most
    assert compute_annotation_time(said, 1.0) == 1.5
    assert compute_annotation_time(said, 0.0) == 6  # no fault


def test_weights_are_the_times_and_tell_of_the_fault(tmp_path):
    draw_phantoms(source(count=40), SMALL, tmp_path / "faces")
    table = pd.read_csv(tmp_path / "faces/weights.csv")
    assert list(table.columns) == ["image", "sample_weight"]
    images = json.loads((tmp_path / "faces/annotations.json").read_text())["images"]
    assert list(table["image"]) == [image["file"] for image in images]
    expected = [compute_annotation_time(i["annotations"], i["truth"]["visibility"]) for i in images]
    assert np.allclose(table["sample_weight"], expected, atol=0.005)
    faint = np.log([i["truth"]["visibility"] for i in images])
    assert np.corrcoef(np.log(table["sample_weight"]), faint)[0, 1] < -0.5
    drawn = [np.mean([said["seconds"] for said in i["annotations"]]) for i in images]
    assert abs(np.corrcoef(np.log(drawn), faint)[0, 1]) < 0.5


def test_marked_regions_lie_where_the_fault_is():
    """Most of what a fault changes lies inside the polygons of annotators who are right."""
    inside = []
    for number in range(12):
        row = source("blurring")
        image, record, _ = draw_phantom_image(row, Phantom(size=96), number)
        weak, _, _ = draw_phantom_image(row, Phantom(size=96, strength=0.01), number)
        difference = np.abs(image.astype(float) - weak).mean(-1)
        marked = np.zeros((96, 96), bool)
        for said in record["annotations"]:
            for region in said["regions"] if said["correct"] else []:
                drawn = Image.new("1", (96, 96))
                ImageDraw.Draw(drawn).polygon([tuple(p) for p in region["polygon"]], fill=1)
                marked |= np.asarray(drawn)
        if marked.any():
            inside.append(difference[marked].sum() / difference.sum())
    assert len(inside) > 6
    assert np.mean(inside) > 0.75


def test_the_format_reads_what_was_drawn(tmp_path):
    draw_phantoms(source(count=3), SMALL, tmp_path / "faces")
    file = tmp_path / "faces" / "annotations.json"
    assert format_phantom.recognise(file, file.read_bytes()[:64])
    content = json.loads(file.read_text())
    read = list(format_phantom.read(file))
    assert len(read) == 3 * SMALL.annotators
    said = content["images"][0]["annotations"][0]
    first = read[0]
    assert (first.image, first.size) == ("000000.png", (64, 64))
    assert (first.annotator, first.decision) == (said["annotator"], said["decision"])
    assert (first.correct, first.seconds) == (said["correct"], said["seconds"])
    assert [list(p) for p in first.regions[0].shapes[0].points] == said["regions"][0]["polygon"]
    assert first.regions[0].label == said["regions"][0]["label"]


def test_other_json_is_not_recognised():
    for head in (b'{"images": []}', b'{"format": "coco"}', b"phantom"):
        assert not format_phantom.recognise(Path("a.json"), head)
    assert not format_phantom.recognise(Path("a.csv"), b'{"format": "phantom"}')


def _break(content, path, value):
    *parents, last = path
    for key in parents:
        content = content[key]
    if value is KeyError:
        del content[last]
    else:
        content[last] = value


FIRST = ("images", 0, "annotations", 0)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("format",), "coco", "not a phantom"),
        (("version",), 2, "version 2"),
        (("images",), {}, "images"),
        (("images", 1, "file"), 7, r"images\[1\]"),
        (("images", 0, "width"), True, "width"),
        ((*FIRST, "correct"), KeyError, "correct"),
        ((*FIRST, "seconds"), "soon", "seconds"),
        ((*FIRST, "regions", 0, "polygon"), [[1, 2], [3, 4]], "2 points"),
        ((*FIRST, "regions", 0, "polygon", 0), [1], "not a point"),
        ((*FIRST, "regions", 0, "polygon", 0), [1, None], "not a number"),
        ((*FIRST, "regions", 0, "label"), None, "label"),
    ],
)
def test_broken_files_are_refused_by_place(tmp_path, path, value, where):
    draw_phantoms(source(count=2), SMALL, tmp_path / "faces")
    file = tmp_path / "faces" / "annotations.json"
    content = json.loads(file.read_text())
    _break(content, path, value)
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=where) as caught:
        list(format_phantom.read(file))
    assert str(file) in str(caught.value)
    assert caught.value.hint


@pytest.mark.slow
def test_different_faces_are_no_near_duplicates():
    """Of all pairs of 300 faces at most one is both near by hash and alike as thumbnail."""
    hashes, thumbnails = [], []
    for generator in ("", "warping", "blocking"):
        for number in range(100):
            image = Image.fromarray(draw_phantom_image(source(generator), SMALL, number)[0])
            hashes.append(imagehash.phash(image).hash.ravel())
            thumbnail = np.asarray(image.convert("L").resize((16, 16)), float).ravel()
            thumbnails.append((thumbnail - thumbnail.mean()) / thumbnail.std() / 16)
    bits = np.array(hashes)
    apart = (bits[:, None] != bits[None]).sum(-1)
    alike = np.array(thumbnails) @ np.array(thumbnails).T
    pairs = np.triu((apart <= 4) & (alike > 0.97), 1)
    assert pairs.sum() <= 1


def test_small_cnn_pools_its_map():
    torch.manual_seed(0)
    network = SmallCNN(3).eval()
    images = torch.randn(2, 3, 64, 96)
    features = network.forward_features(images)
    assert features.shape == (2, 64, 8, 12)
    head = network.get_classifier()
    expected = features.mean((2, 3)) @ head.weight.T + head.bias
    assert torch.allclose(network.forward_head(features), expected, atol=1e-6)
    assert torch.equal(network(images), network.forward_head(features))


def test_small_cnn_does_not_see_the_level_of_light():
    network = SmallCNN(2).eval()
    images = torch.randn(1, 3, 64, 64)
    assert torch.allclose(network(images), network(images + 0.5), atol=1e-3)


def test_small_cnn_sees_43_pixels():
    """The gradient of one unit of the map reaches 43 by 43 pixels and no further."""
    torch.manual_seed(0)
    network = SmallCNN(2).eval()
    images = torch.randn(1, 3, 128, 128, requires_grad=True)
    network.forward_features(images)[0, :, 8, 8].sum().backward()
    touched = images.grad[0].abs().sum(0) > 0
    rows, columns = touched.any(1).nonzero().ravel(), touched.any(0).nonzero().ravel()
    assert 25 < rows[-1] - rows[0] + 1 <= 43
    assert 25 < columns[-1] - columns[0] + 1 <= 43


def test_segmentation_is_where_the_parts_are(tmp_path):
    """COCO file: faults lie inside the parts that were made anew; every visible part is there."""
    row = source("blurring", count=6)
    draw_phantoms(row, Phantom(size=96), tmp_path / "faces")
    file = tmp_path / "faces/segmentation.json"
    assert format_coco.recognise(file, file.read_bytes()[:4096])
    read = {one.image: one for one in format_coco.read(file)}
    assert sorted(read) == [f"{n:06d}.png" for n in range(6)]
    for number, name in enumerate(sorted(read)):
        image, record, outlines = draw_phantom_image(row, Phantom(size=96), number)
        weak, _, _ = draw_phantom_image(row, Phantom(size=96, strength=0.01), number)
        assert {region.label for region in read[name].regions} == set(outlines)
        assert {"nose", "mouth", "left_eye", "right_eye"} <= set(outlines)
        drawn = Image.new("1", (96, 96))
        for region in read[name].regions:
            if region.label in record["truth"]["parts"]:
                ImageDraw.Draw(drawn).polygon(list(region.shapes[0].points), fill=1)
        difference = np.abs(image.astype(float) - weak).mean(-1)
        inside = difference[np.asarray(drawn)].sum() / difference.sum()
        assert inside > 0.75
