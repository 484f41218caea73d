"""Score every test image with one trained network, and compare its maps with the human ones.

Reads   runs/train/<cell>/model.safetensors, data/manifest.parquet, data/packs (docs/formats.md).
Writes  scores.parquet, alignment.parquet, gallery.npz (docs/formats.md#scores).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from cyborg.common.correlation import correlate_rows
from cyborg.common.errors import UserError
from cyborg.common.files import replacing_file, write_table
from cyborg.common.progress import ReportProgress, ignore_progress
from cyborg.config.evaluation import EvaluateSpec
from cyborg.models.cam import class_activation_map, normalise_maps
from cyborg.models.network import Network
from cyborg.models.trained import load_trained
from cyborg.pack.dataset import ManifestRows, Pack, read_images, read_manifest_rows
from cyborg.training.machine import choose_device, configure_torch, explain_error
from cyborg.training.validation import PackedImages, choose_batch_size

# Test images as rows of the test part, by the test set that they are in.
Members = dict[str, np.ndarray]


def evaluate_cell(
    spec: EvaluateSpec, out: Path, root: Path, report: ReportProgress = ignore_progress
) -> None:
    """Score a trained cell and write the files of the evaluation into the folder `out`.

    Every image is scored once, however many test sets it is in. report: called after each batch.
    Raises UserError if the trained cell or the data are missing or do not fit, and if memory runs
    out.
    """
    device = choose_device()
    configure_torch(device)
    folder = root / "runs/train" / spec.train
    network = load_trained(folder, spec.architecture, classes=len(spec.classes), seed=spec.seed)
    network.to(device).eval()
    size = network.image_size
    sources = sorted({source for names in spec.test_sets.values() for source in names})
    rows = read_manifest_rows(root, sources, "test", spec.classes)
    pictures = PackedImages.find(root, size, rows.names)
    try:
        logits, cams = score_images(network, pictures, spec.evaluation.batch_size, report)
    except (MemoryError, RuntimeError) as error:
        raise explain_error(error, "evaluation.batch_size") from error
    if not np.isfinite(logits).all():
        raise UserError(
            "the trained network gives scores that are not finite",
            location=f"runs/train/{spec.train}",
            hint="lower training.learning_rate, or train with precision float32",
        )
    scores = torch.from_numpy(logits).double().softmax(1).numpy()
    members = {
        name: np.flatnonzero(np.isin(rows.sources.astype(str), spec.test_sets[name]))
        for name in sorted(spec.test_sets)
    }
    write_table(out / "scores.parquet", _make_scores(spec.classes, rows, members, scores))
    packs = {name: Pack(root, name, size) for name in sorted(spec.maps)}
    write_table(out / "alignment.parquet", _make_alignment(packs, rows, members, cams))
    shown = _choose_gallery(spec.evaluation.gallery, packs, rows, members)
    gallery = _make_gallery(spec.classes, rows, shown, scores[:, -1], cams)
    gallery["images"] = read_images(root, size, gallery["names"].tolist())
    gallery["maps"] = _read_first_maps(packs, size, gallery["names"].tolist())
    with replacing_file(out / "gallery.npz") as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **gallery)


def score_images(
    network: Network,
    pictures: PackedImages,
    batch_size: int | None = None,
    report: ReportProgress = ignore_progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits float32 [N,K] and maps of the last class float32 [N,h,w], from one pass.

    batch_size: images scored at a time. None is the number that suits the device.
    """
    device = next(network.parameters()).device
    logits, cams = [], []
    size = batch_size or choose_batch_size(device)
    total = math.ceil(len(pictures) / size)
    with torch.inference_mode():
        for number, batch in enumerate(pictures.iterate_batches(device, size), start=1):
            output = network(batch)
            last = torch.full((len(batch),), output.weight.shape[0] - 1, device=device)
            logits.append(output.logits.float())
            cams.append(class_activation_map(output.features, output.weight, last))
            report(number, total)
    if not logits:
        return np.zeros((0, 2), np.float32), np.zeros((0, *network.map_size), np.float32)
    return torch.cat(logits).cpu().numpy(), torch.cat(cams).cpu().numpy()


def measure_alignment(cams: Tensor, maps: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `correlation`, `inside` and `chance` (docs/formats.md#scores), float64 [N] each.

    cams float [N,h,w], not normalised. maps uint8 [N,S,S].
    """
    size = list(cams.shape[-2:])
    human = functional.interpolate(
        maps[:, None].float() / 255, size=size, mode="bilinear", antialias=True
    )
    region = functional.interpolate((maps[:, None] > 0).double(), size=size, mode="area")
    mass = cams.double() - cams.double().amin((1, 2), keepdim=True)
    share = (mass * region[:, 0]).sum((1, 2)) / mass.sum((1, 2))  # a constant map: 0/0, NaN
    return (
        _correlate_maps(cams.double().flatten(1).numpy(), human.double().flatten(1).numpy()),
        share.numpy(),
        region.mean((1, 2, 3)).numpy(),
    )


def _correlate_maps(cams: np.ndarray, human: np.ndarray) -> np.ndarray:
    """Return the correlation of maps [N,P], NaN if one of the two is constant up to rounding."""
    # The maps were computed in float32, which rounds to about 1e-7 of the largest value.
    constant = np.zeros(len(cams), bool)
    for maps in (cams, human):
        constant |= np.ptp(maps, axis=1) <= 2e-6 * np.abs(maps).max(axis=1)
    return np.where(constant, math.nan, correlate_rows(cams, human))


def _make_scores(
    classes: Sequence[str], rows: ManifestRows, members: Members, scores: np.ndarray
) -> pd.DataFrame:
    """Return the content of scores.parquet: one row per test set and image."""
    columns = {"score": scores[:, -1]}
    if len(classes) > 2:
        columns |= {f"score_{name}": scores[:, k] for k, name in enumerate(classes)}
    image = pd.DataFrame(
        {
            "image": pd.Series(rows.names, dtype="str"),
            "generator": pd.Series(list(rows.generators), dtype="str"),
            "label": pd.Series([classes[k] for k in rows.labels], dtype="str"),
            **columns,
        }
    )
    tables = [image.iloc[index].assign(set=name) for name, index in members.items()]
    table = pd.concat(tables, ignore_index=True)
    return table[["image", "set", "generator", "label", *columns]]


def _make_alignment(
    packs: dict[str, Pack], rows: ManifestRows, members: Members, cams: np.ndarray
) -> pd.DataFrame:
    """Return the content of alignment.parquet: a row per test set, map set and image with a map."""
    tables = []
    for name, pack in packs.items():
        owners, measures = _measure_pack(pack, rows, cams)
        for test_set, index in members.items():
            here = np.flatnonzero(np.isin(owners, index))
            table = pd.DataFrame(
                {
                    "image": pd.Series([rows.names[i] for i in owners[here]], dtype="str"),
                    "set": pd.Series([test_set] * len(here), dtype="str"),
                    "maps": pd.Series([name] * len(here), dtype="str"),
                    **{key: values[here] for key, values in measures.items()},
                }
            )
            tables.append(table)
    columns = ["image", "set", "maps", "correlation", "inside", "chance"]
    if not tables:
        table = pd.DataFrame({c: pd.Series(dtype="str") for c in columns[:3]})
        return table.assign(**{c: pd.Series(dtype="float64") for c in columns[3:]})
    table = pd.concat(tables, ignore_index=True)[columns]
    return table.sort_values(["set", "maps", "image"], ignore_index=True)


def _measure_pack(
    pack: Pack, rows: ManifestRows, cams: np.ndarray, chunk: int = 1024
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the rows [M] of the images that have a map, and how their CAMs agree with it."""
    positions = pack.locate(rows.names)
    owners = np.flatnonzero(positions >= 0)
    chunks: list[tuple[np.ndarray, ...]] = [(np.zeros(0),) * 3]
    for start in range(0, len(owners), chunk):
        some = owners[start : start + chunk]
        human = torch.from_numpy(pack.take(positions[some]))
        chunks.append(measure_alignment(torch.from_numpy(cams[some]), human))
    values = (np.concatenate(column) for column in zip(*chunks, strict=True))
    return owners, dict(zip(("correlation", "inside", "chance"), values, strict=True))


def _choose_gallery(
    number: int, packs: dict[str, Pack], rows: ManifestRows, members: Members
) -> list[tuple[str, int]]:
    """Return test set and row of the gallery's images.

    Each set shows `number` images, from its classes in turn beginning with the last. Those with a
    human map come first, and among equals a hash of the name decides, so that all cells show the
    same ones.
    """
    mapped = np.zeros(len(rows), dtype=bool)
    for pack in packs.values():
        mapped |= pack.locate(rows.names) >= 0

    def rank_image(index: int) -> tuple[bool, str]:
        return not mapped[index], hashlib.sha256(rows.names[index].encode()).hexdigest()

    chosen: list[tuple[str, int]] = []
    for name, index in members.items():
        queues = [
            iter(sorted((int(i) for i in index if rows.labels[i] == label), key=rank_image))
            for label in sorted(set(rows.labels[index]), reverse=True)
        ]
        chosen += [(name, i) for i, _ in zip(_take_turns(queues), range(number), strict=False)]
    return chosen


def _take_turns(queues: list[Iterator[int]]) -> Iterator[int]:
    """Yield one item of each queue after the other until all are empty."""
    while queues:
        for queue in list(queues):
            item = next(queue, None)
            if item is None:
                queues.remove(queue)
            else:
                yield item


def _make_gallery(
    classes: Sequence[str],
    rows: ManifestRows,
    shown: list[tuple[str, int]],
    scores: np.ndarray,
    cams: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the content of gallery.npz without its images and human maps."""
    index = np.array([i for _, i in shown], dtype=np.int64)
    return {
        "cams": normalise_maps(torch.from_numpy(cams[index])).numpy(),
        "names": np.array([rows.names[i] for i in index], dtype=np.str_),
        "sets": np.array([name for name, _ in shown], dtype=np.str_),
        "labels": np.array([classes[rows.labels[i]] for i in index], dtype=np.str_),
        "scores": scores[index].astype(np.float64),
    }


def _read_first_maps(packs: dict[str, Pack], size: int, names: list[str]) -> np.ndarray:
    """Return maps uint8 [n,size,size], each of the first map set that has one, else zeros."""
    human = np.zeros((len(names), size, size), np.uint8)
    for pack in reversed(packs.values()):
        positions = pack.locate(names)
        human[positions >= 0] = pack.take(positions[positions >= 0])
    return human
