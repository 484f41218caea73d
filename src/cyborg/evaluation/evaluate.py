"""Score every test image with one trained network, and hold its maps against the human ones.

Reads   runs/train/<cell>/model.safetensors, data/manifest.parquet, data/packs (docs/formats.md).
Writes  scores.parquet, alignment.parquet, gallery.npz (docs/formats.md#scores).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from cyborg.common.correlation import correlate_rows
from cyborg.common.errors import UserError
from cyborg.common.files import replacing_file, write_table
from cyborg.config.networks import NetworkSpec
from cyborg.models.cam import class_activation_map, normalise_maps
from cyborg.models.network import Network
from cyborg.models.trained import load_trained
from cyborg.pack.dataset import ManifestRows, Pack, read_images, read_manifest_rows
from cyborg.training.machine import device, explained, prepare
from cyborg.training.validation import Images, suitable

Report = Callable[[dict[str, Any]], None]


def evaluate_cell(
    spec: dict[str, Any],
    out: Path,
    root: Path,
    work: Path | None = None,
    progress: Report = lambda state: None,
) -> None:
    """Score the cell of a specification (docs/formats.md#cells) and write its files into `out`.

    Every image is scored once, however many test sets it is in. `work` is not used: scoring is
    short. progress: called as batches are done, with `epoch` of `epochs`. Raises UserError where
    the trained cell or the data are missing or do not fit, and when memory runs out.
    """
    where = device()
    prepare(where)
    network = load_trained(
        root / "runs/train" / spec["train"],
        NetworkSpec.model_validate(spec["architecture"]),
        classes=len(spec["classes"]),
        seed=spec["seed"],
    )
    network.to(where).eval()
    size = network.image_size
    sources = sorted({source for names in spec["test_sets"].values() for source in names})
    rows = read_manifest_rows(root, sources, "test", spec["classes"])
    batch_size = spec["evaluation"]["batch_size"]
    try:
        logits, cams = forward(network, Images.of(root, size, rows.names), batch_size, progress)
    except (MemoryError, RuntimeError) as error:
        raise explained(error, "evaluation.batch_size") from error
    if not np.isfinite(logits).all():
        raise UserError(
            "the trained network gives scores that are not finite",
            where=f"runs/train/{spec['train']}",
            hint="lower training.learning_rate, or train with precision float32",
        )
    scores = torch.from_numpy(logits).double().softmax(1).numpy()
    members = {
        name: np.flatnonzero(np.isin(rows.sources.astype(str), spec["test_sets"][name]))
        for name in sorted(spec["test_sets"])
    }
    write_table(out / "scores.parquet", _scores(spec["classes"], rows, members, scores))
    packs = {name: Pack(root, name, size) for name in sorted(spec["maps"])}
    write_table(out / "alignment.parquet", _alignment(packs, rows, members, cams))
    chosen = _chosen(spec["evaluation"]["gallery"], packs, rows, members)
    gallery = _gallery(spec["classes"], rows, chosen, scores[:, -1], cams)
    gallery["images"] = read_images(root, size, gallery["names"].tolist())
    gallery["maps"] = _first_maps(packs, size, gallery["names"].tolist())
    with replacing_file(out / "gallery.npz") as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **gallery)


def forward(
    network: Network,
    pictures: Images,
    batch_size: int | None = None,
    progress: Report = lambda state: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 [N,K], and maps of the last class float32 [N,h,w], from one forward pass.

    batch_size: images scored at a time; None is what suits the device.
    """
    where = next(network.parameters()).device
    logits, cams = [], []
    size = batch_size or suitable(where)
    total = math.ceil(len(pictures.positions) / size)
    with torch.inference_mode():
        for number, batch in enumerate(pictures.batches(where, size), start=1):
            output = network(batch)
            last = torch.full((len(batch),), output.weight.shape[0] - 1, device=where)
            logits.append(output.logits.float())
            cams.append(class_activation_map(output.features, output.weight, last))
            progress({"epoch": number, "epochs": total})
    if not logits:
        return np.zeros((0, 2), np.float32), np.zeros((0, *network.map_size), np.float32)
    return torch.cat(logits).cpu().numpy(), torch.cat(cams).cpu().numpy()


def alignment(cams: Tensor, maps: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`correlation`, `inside` and `chance` (docs/formats.md#scores), float64 [N] each.

    cams float [N,h,w], not normalised; maps uint8 [N,S,S].
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
    """Return the correlation of maps [N,P]; NaN if one of the two is constant up to rounding."""
    # The maps were computed in float32, which rounds to about 1e-7 of the largest value.
    constant = np.zeros(len(cams), bool)
    for maps in (cams, human):
        constant |= np.ptp(maps, axis=1) <= 2e-6 * np.abs(maps).max(axis=1)
    return np.where(constant, math.nan, correlate_rows(cams, human))


def _scores(
    classes: list[str], rows: ManifestRows, members: dict[str, np.ndarray], scores: np.ndarray
) -> pd.DataFrame:
    """scores.parquet: one row per test set and image."""
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


def _alignment(
    packs: dict[str, Pack], rows: ManifestRows, members: dict[str, np.ndarray], cams: np.ndarray
) -> pd.DataFrame:
    """alignment.parquet: one row per test set, map set and image with a map."""
    tables = []
    for name, pack in packs.items():
        owners, measures = _measured(pack, rows, cams)
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


def _measured(
    pack: Pack, rows: ManifestRows, cams: np.ndarray, chunk: int = 1024
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Which images [M] of a part have a map, and how their CAMs agree with it."""
    positions = pack.locate(rows.names)
    owners = np.flatnonzero(positions >= 0)
    parts: list[tuple[np.ndarray, ...]] = [(np.zeros(0),) * 3]
    for start in range(0, len(owners), chunk):
        some = owners[start : start + chunk]
        human = torch.from_numpy(pack.take(positions[some]))
        parts.append(alignment(torch.from_numpy(cams[some]), human))
    values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return owners, dict(zip(("correlation", "inside", "chance"), values, strict=True))


def _chosen(
    number: int, packs: dict[str, Pack], rows: ManifestRows, members: dict[str, np.ndarray]
) -> list[tuple[str, int]]:
    """Test set and row of the gallery's images, decided by their names alone.

    Of each set `number` images, from its classes in turn beginning with the last; those with a
    human map first, among equals by a hash of the name, so that all cells show the same ones.
    """
    mapped = np.zeros(len(rows), dtype=bool)
    for pack in packs.values():
        mapped |= pack.locate(rows.names) >= 0

    def rank(index: int) -> tuple[bool, str]:
        return not mapped[index], hashlib.sha256(rows.names[index].encode()).hexdigest()

    chosen: list[tuple[str, int]] = []
    for name, index in members.items():
        queues = [
            iter(sorted((int(i) for i in index if rows.labels[i] == label), key=rank))
            for label in sorted(set(rows.labels[index]), reverse=True)
        ]
        chosen += [(name, i) for i, _ in zip(_in_turn(queues), range(number), strict=False)]
    return chosen


def _in_turn(queues: list[Iterator[int]]) -> Iterator[int]:
    """One item of each queue after the other until all are empty."""
    while queues:
        for queue in list(queues):
            item = next(queue, None)
            if item is None:
                queues.remove(queue)
            else:
                yield item


def _gallery(
    classes: list[str],
    rows: ManifestRows,
    chosen: list[tuple[str, int]],
    scores: np.ndarray,
    cams: np.ndarray,
) -> dict[str, np.ndarray]:
    """gallery.npz without its images and human maps."""
    index = np.array([i for _, i in chosen], dtype=np.int64)
    return {
        "cams": normalise_maps(torch.from_numpy(cams[index])).numpy(),
        "names": np.array([rows.names[i] for i in index], dtype=np.str_),
        "sets": np.array([name for name, _ in chosen], dtype=np.str_),
        "labels": np.array([classes[rows.labels[i]] for i in index], dtype=np.str_),
        "scores": scores[index].astype(np.float64),
    }


def _first_maps(packs: dict[str, Pack], size: int, names: list[str]) -> np.ndarray:
    """uint8 [n,size,size]: each image's map of the first map set that has one, else zeros."""
    human = np.zeros((len(names), size, size), np.uint8)
    for pack in reversed(packs.values()):
        positions = pack.locate(names)
        human[positions >= 0] = pack.take(positions[positions >= 0])
    return human
