"""Stage `split`: every image of a source in use goes to training, validation or test, or nowhere.

Reads data/images.parquet and data/saliency/index.parquet, writes data/manifest.parquet
(docs/formats.md#manifest). The rules are those of `assign`; docs/audit.md explains them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cyborg.common.errors import UserError, UserErrors
from cyborg.common.tables import IMAGE_TABLE, MANIFEST_TABLE, MAP_TABLE
from cyborg.config.experiment import Experiment, Split
from cyborg.config.load import resolve_training
from cyborg.split.duplicates import Thumbnails, joined, near_duplicates


def split(experiment: Experiment, root: Path = Path()) -> None:
    """Write the manifest and print how many images each part has.

    Images that cannot be used (`problem`) are left out; the check stage reports them. Raises
    UserErrors where a source has no images, a label is unknown, or a training set lacks a class
    in training or, where an epoch is to be selected, in validation.
    """
    images = IMAGE_TABLE.read(root)
    maps = MAP_TABLE.read(root, ["maps", "image"])
    data = experiment.data
    images = images[images["source"].isin(data.sources())].sort_values("image", ignore_index=True)
    _known(experiment, images)
    usable = images[images["problem"] == ""].reset_index(drop=True)

    trained = {source for names in data.training_sets.values() for source in names}
    tested = {source for names in data.test_sets.values() for source in names}
    work = usable.copy()
    if experiment.split.join_near_duplicates:
        pairs = _alike(usable, trained, experiment, root)
        work["group"] = joined(usable, pairs)
        if len(pairs):
            print(f"{len(pairs)} pairs of images look the same; each pair goes into one part")
    usable["split"] = assign(work, data.training_sets, tested, experiment.split)

    sets = maps.sort_values("maps").groupby("image")["maps"].agg(",".join)
    usable["saliency"] = usable["image"].map(sets).astype(object).fillna("")
    manifest = usable[usable["split"] != ""]
    _complete(experiment, images, manifest)
    MANIFEST_TABLE.write(root, manifest)
    print(_summary(images, usable, trained))


def assign(
    images: pd.DataFrame,
    training_sets: Mapping[str, Sequence[str]],
    test_sources: Collection[str],
    split: Split,
) -> pd.Series:
    """Part of each row: `train`, `validation`, `test`, or empty where it must not be used.

    images: columns `source`, `label`, `group`, `role`; rows of one group are kept in one part.

    1. A role of the list or catalogue (`train`, `validation`, `test`) is kept; a source that is
       only tested on is `test`; `train` and `validation` rows of such a source are not used.
    2. A group with rows that are `test` by rule 1: its other rows are `test` if their role is
       `any` and their source is tested on, else not used, even where rule 1 would keep them.
    3. A group with rows that are `validation`, or else `train`, by rule 1 follows them.
    4. The group's draw u, a hash of seed and group in [0, 1): below `validation` it is
       `validation`; below `validation + test`, where the group has rows of a source that is both
       trained and tested on, it is `test` as in rule 2; else `train`. So no image moves when
       others come, unless they join its group.
    5. Where a class of a training set has none in validation (and validation > 0) but two groups
       or more drawn for training, that with the lowest draw goes to validation; where it has
       none in training but two or more in validation, that with the highest goes to training.
    """
    source, group = images["source"], images["group"]
    trained = source.isin({name for names in training_sets.values() for name in names})
    tested = source.isin(test_sources)
    both = trained & tested
    free = (images["role"] == "any") & trained

    part = images["role"].where(images["role"] != "any", "").astype(object)
    part[~trained & (part == "")] = "test"
    part[~trained & part.isin(["train", "validation"])] = ""

    def somewhere(rows: pd.Series) -> pd.Series:
        """For each row, whether any row of its group is among `rows`."""
        return group.isin(set(group[rows]))

    with_test, with_validation, with_train = (
        somewhere(part == name) for name in ("test", "validation", "train")
    )
    part[with_test & tested & free] = "test"
    part[with_test & (part != "test")] = ""
    part[free & ~with_test & with_train] = "train"
    part[free & ~with_test & with_validation] = "validation"

    drawn = free & ~with_test & ~with_validation & ~with_train
    u = pd.Series(2.0, index=images.index)
    u[drawn] = group[drawn].map({name: draw(split.seed, name) for name in set(group[drawn])})
    part[drawn] = "train"
    part[drawn & (u < split.validation + split.test) & somewhere(drawn & both)] = "test"
    part[drawn & (u < split.validation)] = "validation"
    part[drawn & (part == "test") & ~tested] = ""
    _represent(images, part, u, training_sets, split.validation > 0)
    return part


def draw(seed: int, group: str) -> float:
    """The number in [0, 1) that decides a group's part: first 52 bits of a sha256."""
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 12) / 2**52


def _represent(
    images: pd.DataFrame,
    part: pd.Series,
    u: pd.Series,
    training_sets: Mapping[str, Sequence[str]],
    validate: bool,
) -> None:
    """Rule 5 of `assign`; changes `part`. Rows with u > 1 were not drawn and stay."""
    for _, names in sorted(training_sets.items()):
        for label in sorted(set(images["label"])):
            rows = images["source"].isin(names) & (images["label"] == label)
            for lacking, giving in (("validation", "train"), ("train", "validation")):
                if (lacking == "validation" and not validate) or (part[rows] == lacking).any():
                    continue
                givers = rows & (part == giving) & (u < 1)
                if images.loc[givers, "group"].nunique() < 2:
                    continue
                chosen = u[givers].idxmin() if lacking == "validation" else u[givers].idxmax()
                moved = (images["group"] == images.at[chosen, "group"]) & (part == giving)
                part[moved] = lacking


def _alike(
    images: pd.DataFrame, trained: Collection[str], experiment: Experiment, root: Path
) -> pd.DataFrame:
    """Near duplicates of which one at least may be trained on; the others need not be told."""
    may = images["source"].isin(trained) & (images["role"] != "test")
    thumbnails = Thumbnails(root, images.set_index("image")["file"])
    found = [
        near_duplicates(
            images[may],
            others,
            thumbnails,
            bits=experiment.check.near_duplicate_bits,
            correlation=experiment.check.near_duplicate_correlation,
        )
        for others in (None, images[~may])
    ]
    return pd.concat(found, ignore_index=True)


def _known(experiment: Experiment, images: pd.DataFrame) -> None:
    found = [
        UserError(
            f"source `{name}` has no images",
            where=IMAGE_TABLE.path,
            hint="run `dvc repro download`",
        )
        for name in experiment.data.sources()
        if name not in set(images["source"])
    ]
    unknown = images[~images["label"].isin(experiment.classes)].drop_duplicates(["source", "label"])
    found += [
        UserError(
            f"label `{row.label}` of `{row.image}` is not a class",
            where=IMAGE_TABLE.path,
            hint=f"`classes` in params.yaml: {', '.join(experiment.classes)}",
        )
        for row in unknown.itertuples()
    ]
    both = {s for names in experiment.data.training_sets.values() for s in names} & {
        s for names in experiment.data.test_sets.values() for s in names
    }
    if both and experiment.split.validation + experiment.split.test >= 1:
        found.append(
            UserError(
                f"validation and test leave nothing of `{min(both)}` to train on",
                where="params.yaml: split",
                hint="their sum must be below 1 where a source is both trained and tested on",
            )
        )
    if found:
        raise UserErrors(found)


def _complete(experiment: Experiment, images: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Every training set has all classes in training, and in validation where that is needed."""
    first = next(iter(experiment.data.training_sets))
    selecting = {
        (row.training_set or first)
        for name, row in experiment.variants.items()
        for architecture in experiment.architectures
        if resolve_training(experiment, architecture, name).selection != "last"
    }
    found = []
    for name, sources in experiment.data.training_sets.items():
        rows = manifest[manifest["source"].isin(sources)]
        for part in ("train", "validation") if name in selecting else ("train",):
            there = set(rows.loc[rows["split"] == part, "label"])
            for label in experiment.classes:
                if label not in there:
                    all_of = images[images["source"].isin(sources) & (images["label"] == label)]
                    found.append(_lacking(name, part, label, all_of))
    if found:
        raise UserErrors(found)


def _lacking(name: str, part: str, label: str, images: pd.DataFrame) -> UserError:
    broken = images[images["problem"] != ""]
    parts = {"train": "to train on", "validation": "for validation (an epoch is selected)"}
    hint = "raise split.validation, add images, or set training.selection: last"
    if part == "train":
        hint = "add a source of this class that is not only tested on"
    if len(broken):
        first = broken.iloc[0]
        hint = f"{len(broken)} cannot be used, e.g. {first['file']}: {first['problem']}"
    return UserError(
        f"has no image of class `{label}` {parts[part]}; its sources have {len(images)}",
        where=f"params.yaml: data.training_sets.{name}",
        hint=hint,
    )


def _summary(images: pd.DataFrame, usable: pd.DataFrame, trained: Collection[str]) -> str:
    rows = usable.assign(split=usable["split"].replace("", "unused"))
    counts = pd.crosstab([rows["source"], rows["label"]], rows["split"])
    parts = ["train", "validation", "test", "unused"]
    counts = counts.reindex(columns=parts, fill_value=0)
    lines = [f"{'source':<28}{'label':<14}" + "".join(f"{part:>12}" for part in parts)]
    for (source, label), row in zip(counts.index, counts.to_numpy(), strict=True):
        lines.append(f"{source:<28}{label:<14}" + "".join(f"{number:>12}" for number in row))
    dropped = int(((usable["split"] == "") & usable["source"].isin(trained)).sum())
    if dropped:
        lines.append(f"{dropped} images of training sources belong to test images and are not used")
    broken = int(np.count_nonzero(images["problem"] != ""))
    if broken:
        lines.append(f"{broken} images cannot be used; the check stage names them")
    return "\n".join(lines)
