"""Packs, parts of the manifest, the order of an epoch, batches, augmentation."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.common.seeds import derive_seed
from cyborg.config.training import Augmentation, Training
from cyborg.pack.dataset import Pack, read_images, read_manifest_rows, read_maps
from cyborg.training import jpeg
from cyborg.training.augment import augment_batch, blur_images, changes_images
from cyborg.training.batches import Epochs, Samples, resize_unit_maps
from cyborg.training.sampling import draw_epoch
from tiny_project import CLASSES, SIZE, project, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path)


# Packs and manifest


def test_images_come_in_the_order_asked_for_across_sources(root: Path) -> None:
    names = ["photos/003.png", "fakes/001.png", "photos/000.png", "photos/003.png"]
    stored = {s: np.load(root / f"data/packs/images/{SIZE}/{s}.npy") for s in ("photos", "fakes")}
    expected = [stored["photos"][3], stored["fakes"][1], stored["photos"][0], stored["photos"][3]]
    assert np.array_equal(read_images(root, SIZE, names), expected)


def test_rows_of_the_index_are_used_not_the_order_of_names(root: Path) -> None:
    path = root / "data/packs/index.parquet"
    index = pd.read_parquet(path)
    photos = (index["kind"] == "images") & (index["source"] == "photos")
    index.loc[photos, "row"] = index.loc[photos, "row"].to_numpy()[::-1]
    index.to_parquet(path, index=False)
    stored = np.load(root / f"data/packs/images/{SIZE}/photos.npy")
    assert np.array_equal(read_images(root, SIZE, ["photos/000.png"])[0], stored[-1])


def test_maps_say_which_images_they_belong_to(root: Path) -> None:
    names = ["photos/000.png", "fakes/004.png", "fakes/003.png", "fakes/002.png"]
    human, rows = read_maps(root, "human", SIZE, names)
    assert rows.tolist() == [1, 3]  # photos and odd numbers are not annotated
    stored = np.load(root / f"data/packs/maps/human/{SIZE}/fakes.npy")
    assert np.array_equal(human, stored[[2, 1]])


def test_a_map_set_without_any_map_is_empty(root: Path) -> None:
    human, rows = read_maps(root, "other", SIZE, ["photos/000.png"])
    assert human.shape == (0, SIZE, SIZE)
    assert len(rows) == 0


def test_what_is_not_packed_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"1 images are not packed at size 32, e\.g\. `photos/x"):
        read_images(root, SIZE, ["photos/000.png", "photos/x.png"])
    with pytest.raises(UserError, match="not packed at size 48"):
        read_images(root, 48, ["photos/000.png"])


def test_a_pack_that_contradicts_its_index_is_refused(root: Path) -> None:
    path = root / f"data/packs/images/{SIZE}/photos.npy"
    save(path, np.load(path)[:5])
    assert len(read_images(root, SIZE, ["photos/004.png"])) == 1
    with pytest.raises(UserError, match="has 5 rows, its index names row 7"):
        read_images(root, SIZE, ["photos/007.png"])
    save(path, np.zeros((20, SIZE, SIZE), np.uint8))
    with pytest.raises(UserError, match=r"holds uint8 \[20, 32, 32\](.|\n)*expected uint8"):
        read_images(root, SIZE, ["photos/000.png"])
    path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        read_images(root, SIZE, ["photos/000.png"])


def test_missing_tables_name_the_stage_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro pack"):
        Pack(tmp_path, "images", SIZE)
    with pytest.raises(UserError, match="dvc repro split"):
        read_manifest_rows(tmp_path, ["photos"], "train", CLASSES)


def test_a_part_is_the_rows_of_its_sources_and_split(root: Path) -> None:
    rows = read_manifest_rows(root, ["photos", "fakes"], "validation", CLASSES)
    assert rows.names == sorted(rows.names)
    assert rows.names == [f"{s}/{n:03d}.png" for s in ("fakes", "photos") for n in range(12, 16)]
    assert rows.labels.tolist() == [1] * 4 + [0] * 4
    assert rows.generators.tolist() == ["gan"] * 4 + [""] * 4
    assert len(read_manifest_rows(root, ["photos"], "validation", CLASSES)) == 4


def test_a_label_that_is_no_class_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match="has the label `bona_fide`"):
        read_manifest_rows(root, ["photos"], "train", ["real", "synthetic"])


# Order of an epoch


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=40),
    st.integers(1, 90),
    st.integers(0, 5),
    st.sampled_from(["none", "class", "class_and_source"]),
)
def test_an_epoch_is_balanced_and_repeats_no_image_early(
    rows: list[tuple[int, int]], count: int, seed: int, balance: str
) -> None:
    labels = np.array([label for label, _ in rows])
    sources = np.array([f"{label}{source}" for label, source in rows], dtype=object)
    drawn = draw_epoch(labels, sources, count, balance, np.random.default_rng(seed))
    assert len(drawn) == count
    assert set(drawn) <= set(range(len(rows)))

    def near(values: np.ndarray, among: np.ndarray) -> None:
        counts = [int((values == value).sum()) for value in set(among)]
        assert max(counts) - min(counts) <= 1

    if balance == "none":
        near(drawn, np.arange(len(rows)))
    else:
        near(labels[drawn], labels)
    if balance == "class_and_source":
        for label in set(labels):
            near(sources[drawn][labels[drawn] == label], sources[labels == label])


def test_an_epoch_is_shuffled_and_differs_from_seed_to_seed() -> None:
    labels, sources = np.repeat([0, 1], 50), np.repeat(["a", "b"], 50)
    first, again, other = (
        draw_epoch(labels, sources, 100, "class", np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 10 < labels[first[:50]].sum() < 40  # the classes are mixed, not one after the other


def test_purposes_have_seeds_of_their_own() -> None:
    seeds = [derive_seed(s, "order", e) for s in range(4) for e in range(50)]
    seeds += [derive_seed(s, "augmentation", e) for s in range(4) for e in range(50)]
    assert len(set(seeds)) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)


# Batches


def samples(count: int = 10) -> Samples:
    """Image n is grey n; images 2, 5 and 7 have a map of value 10·n."""
    pixels = np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 8, 8, 3))
    owners = np.array([2, 5, 7])
    human = np.tile((10 * owners).astype(np.uint8)[:, None, None], (1, 8, 8))
    return Samples(pixels, np.arange(count) % 2, human, owners)


def epochs(**changes: object) -> Epochs:
    training = Training.model_validate({"batch_size": 4} | changes)
    return Epochs(samples(), np.array(["a"] * 10), training, (4, 4), seed=0)


@pytest.mark.parametrize("augmentation", [{}, {"flip": 0.5, "shift": 1e-6}])
def test_each_image_keeps_its_label_and_map(augmentation: dict[str, float]) -> None:
    data = epochs(augmentation=augmentation)
    seen = []
    for step in data.draw_steps(0):
        for rows in step:
            batch = data.make_batch(rows)
            assert batch.images.shape[1:] == (3, 8, 8)
            numbers = batch.images[:, 0, 4, 4].long()
            seen += numbers.tolist()
            assert torch.equal(batch.labels, numbers % 2)
            assert batch.present.tolist() == [n in (2, 5, 7) for n in numbers.tolist()]
            expected = torch.where(batch.present, numbers * 10 / 255, torch.zeros(()))
            assert batch.saliency.shape[1:] == (4, 4)
            assert torch.allclose(batch.saliency[:, 1:3, 1:3].mean((1, 2)), expected, atol=1e-6)
    assert sorted(seen) == list(range(10))


def test_steps_gather_batches_for_accumulation() -> None:
    data = epochs(batch_size=2, accumulate=2)
    sizes = [[len(rows) for rows in step] for step in data.draw_steps(0)]
    assert sizes == [[2, 2], [2, 2], [2]]
    assert data.steps == 3


def test_an_epoch_depends_on_its_number_alone() -> None:
    one, other = epochs(augmentation={"flip": 0.5}), epochs(augmentation={"flip": 0.5})
    list(one.draw_steps(0))
    first = [one.make_batch(rows).images for step in one.draw_steps(1) for rows in step]
    second = [other.make_batch(rows).images for step in other.draw_steps(1) for rows in step]
    assert all(map(torch.equal, first, second))
    rows = [torch.cat(step) for step in one.draw_steps(2)]
    assert not torch.equal(torch.cat(rows), torch.cat([torch.cat(s) for s in one.draw_steps(1)]))


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_is_as_asked(channels_last: bool) -> None:
    data = epochs(channels_last=channels_last)
    batch = data.make_batch(torch.arange(4))
    memory = torch.channels_last if channels_last else torch.contiguous_format
    assert batch.images.is_contiguous(memory_format=memory)


def test_maps_of_another_size_and_no_images_are_errors() -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="human maps are 4x4, images 8x8"):
        Samples(pixels, np.zeros(2), np.zeros((1, 4, 4), np.uint8), np.array([0]))
    with pytest.raises(UserError, match="the training split is empty"):
        Epochs(Samples(pixels[:0], np.zeros(0)), np.zeros(0), Training(), (2, 2), 0)


def test_maps_are_resized_as_pillow_does() -> None:
    rng = np.random.default_rng(0)
    human = gaussian_filter(rng.uniform(0, 255, (37, 37)), 2).astype(np.uint8)
    expected = np.asarray(Image.fromarray(human).resize((7, 7), Image.Resampling.BILINEAR))
    ours = resize_unit_maps(torch.from_numpy(human)[None], (7, 7))[0] * 255
    assert np.abs(ours.numpy() - expected).max() < 1  # Pillow rounds to whole numbers


# Augmentation


def scene(count: int = 16, size: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark images with one bright rectangle off the centre; the map marks the rectangle."""
    pixels = torch.full((count, 3, size, size), 20, dtype=torch.uint8)
    human = torch.zeros((count, size, size), dtype=torch.uint8)
    pixels[:, :, 12:20, 28:40] = 220
    human[:, 12:20, 28:40] = 255
    return pixels, human


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centre(mass: torch.Tensor) -> torch.Tensor:
    """Centre of mass (x, y) in pixels of [B,H,W]."""
    places = torch.arange(mass.shape[-1], dtype=torch.float64)
    mass = mass.double()
    total = mass.sum((1, 2))
    return (
        torch.stack([(mass.sum(1) * places).sum(1), (mass.sum(2) * places).sum(1)], 1)
        / total[:, None]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"flip": 0.5},
        {"scale": 0.2},
        {"rotation": 20},
        {"shift": 0.1},
        {"flip": 0.5, "scale": 0.1, "rotation": 10, "shift": 0.05},
    ],
)
def test_image_and_map_move_together(change: dict[str, float]) -> None:
    pixels, human = scene()
    moved, marked = augment_batch(pixels, human, Augmentation(**change), draw())
    assert moved.dtype == marked.dtype == torch.uint8
    assert not torch.equal(moved, pixels)
    bright = (moved[:, 0].float() - 20) / 200
    assert (bright - marked / 255).abs().max() < 0.02
    assert len({tuple(row) for row in centre(marked).round(decimals=3).tolist()}) > 1


def test_a_flip_is_exact_and_happens_as_often_as_said() -> None:
    pixels, human = scene(2000, 8)
    pixels = torch.randint(0, 256, (2000, 3, 8, 8), dtype=torch.uint8, generator=draw())
    moved, marked = augment_batch(pixels, human, Augmentation(flip=0.3), draw())
    flipped = (moved == pixels.flip(-1)).flatten(1).all(1)
    kept = (moved == pixels).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert 0.26 < flipped.float().mean() < 0.34
    assert torch.equal(marked[flipped], human[flipped].flip(-1))


def test_geometry_stays_within_its_limits() -> None:
    pixels, human = scene(400, 48)
    start = centre(human)[0]
    _, shifted = augment_batch(pixels, human, Augmentation(shift=0.1), draw())
    offset = centre(shifted) - start
    assert 4.5 < offset.abs().max() <= 4.85  # a tenth of 48 pixels
    assert offset.mean(0).abs().max() < 0.5
    _, turned = augment_batch(pixels, human, Augmentation(rotation=20), draw())
    arm, before = centre(turned) - 23.5, (start - 23.5).expand(400, 2)
    angle = torch.atan2(arm[:, 1], arm[:, 0]) - torch.atan2(before[:, 1], before[:, 0])
    assert 18 < torch.rad2deg(angle).abs().max() <= 20.5
    assert torch.allclose(arm.norm(dim=1), before.norm(dim=1), atol=0.2)
    _, scaled = augment_batch(pixels, human, Augmentation(scale=0.2), draw())
    factor = (centre(scaled) - 23.5)[:, 0] / (start - 23.5)[0]
    assert 1.18 < factor.max() <= 1.21
    assert 0.79 <= factor.min() < 0.82
    area = scaled.float().sum((1, 2)) / human[0].float().sum()
    assert torch.allclose(area, factor.float() ** 2, atol=0.06)


@pytest.mark.parametrize("change", [{"blur": 1.0}, {"colour": 0.3}, {"jpeg": 1.0}])
def test_looks_change_the_image_and_not_the_map(change: dict[str, float]) -> None:
    pixels, human = scene()
    moved, marked = augment_batch(pixels, human, Augmentation(**change), draw())
    assert torch.equal(marked, human)
    assert ((moved != pixels).flatten(1).any(1)).all()


def test_nothing_is_changed_by_default() -> None:
    assert not changes_images(Augmentation())
    assert changes_images(Augmentation(jpeg=0.1))
    pixels, human = scene(3)
    moved, marked = augment_batch(pixels, human, Augmentation(), draw())
    assert torch.equal(moved, pixels)
    assert torch.equal(marked, human)


def test_blur_is_a_gaussian() -> None:
    pixels = torch.rand(2, 3, 40, 30, generator=draw()) * 255
    ours = blur_images(pixels, torch.tensor([0.5, 1.4]))
    for image, result, sigma in zip(pixels, ours, (0.5, 1.4), strict=True):
        expected = gaussian_filter(image.numpy(), (0, sigma, sigma), mode="nearest", radius=5)
        assert np.abs(result.numpy() - expected).max() < 0.01


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_quantisation_is_that_of_libjpeg(quality: int) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", quality=quality)
    tables = Image.open(io.BytesIO(buffer.getvalue())).quantization
    wanted = torch.tensor([float(quality)])
    for number, base in enumerate((jpeg.LUMA, jpeg.CHROMA)):
        ours = jpeg.scale_table(base, wanted)[0].int().flatten().tolist()
        assert ours == list(tables[number])


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_compression_looks_like_a_real_jpeg(quality: int) -> None:
    rng = np.random.default_rng(quality)
    smooth = gaussian_filter(rng.uniform(0, 255, (70, 54, 3)), (3, 3, 0))
    pixels = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    pixels[20:40, 10:30] = 255 - pixels[20:40, 10:30]  # some hard edges
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    real = np.asarray(Image.open(io.BytesIO(buffer.getvalue())), dtype=float)
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    ours = jpeg.compress_images(batch, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    loss = np.abs(real - pixels).mean()
    assert np.abs(ours - real).mean() < 0.25 * loss + 0.3
    assert ours.shape == pixels.shape


def test_the_same_seed_gives_the_same_batch() -> None:
    everything = Augmentation(
        flip=0.5, scale=0.1, rotation=5, shift=0.05, blur=0.5, colour=0.2, jpeg=0.5
    )
    pixels, human = scene()
    one, again, other = (augment_batch(pixels, human, everything, draw(s))[0] for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    counts = Counter((one == pixels).flatten(1).all(1).tolist())
    assert counts[False] == len(pixels)
