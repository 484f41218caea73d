"""Stage `split`: assign every image in use to training, validation or test, or to none of them.

Reads   data/images.parquet, data/saliency/index.parquet.
Writes  data/manifest.parquet (docs/formats.md#manifest).

The rules are those of `assign_parts`. docs/audit.md explains them.
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
from cyborg.split.duplicates import Thumbnails, find_near_duplicates, join_groups


def split(experiment: Experiment, root: Path = Path()) -> None:
    """Write the manifest, and print how many images each part has.

    Images that cannot be used (`problem`) are left out, and the check stage reports them. Raises
    UserErrors if a source has no images, a label is unknown, or a class of a training set has no
    image in training, or none in validation although validation selects the epoch.
    """
    data = experiment.data
    images = IMAGE_TABLE.read(root)
    images = images[images["source"].isin(data.list_sources())]
    images = images.sort_values("image", ignore_index=True)
    _check_images(experiment, images)
    usable = images[images["problem"] == ""].reset_index(drop=True)

    trained = {source for names in data.training_sets.values() for source in names}
    tested = {source for names in data.test_sets.values() for source in names}
    grouped = usable.copy()
    if experiment.split.join_near_duplicates:
        pairs = _find_look_alikes(usable, trained, experiment, root)
        grouped["group"] = join_groups(usable, pairs)
        if len(pairs):
            print(f"{len(pairs)} pairs of images look the same. Each pair goes into one part")
    usable["split"] = assign_parts(grouped, data.training_sets, tested, experiment.split)

    maps = MAP_TABLE.read(root, ["maps", "image"])
    sets = maps.sort_values("maps").groupby("image")["maps"].agg(",".join)
    usable["saliency"] = usable["image"].map(sets).astype(object).fillna("")
    manifest = usable[usable["split"] != ""]
    _check_classes(experiment, images, manifest)
    MANIFEST_TABLE.write(root, manifest)
    print(_summarize(images, usable, trained))


def assign_parts(
    images: pd.DataFrame,
    training_sets: Mapping[str, Sequence[str]],
    test_sources: Collection[str],
    split: Split,
) -> pd.Series:
    """Return the part of each row: `train`, `validation`, `test`, or empty if it is not used.

    images: columns `source`, `label`, `group`, `role`. Rows of one group never are in training
    (or validation) and in test.

    1. A role of the list or catalogue (`train`, `validation`, `test`) decides. A source that is
       only tested on is `test`, and rows of it with the role `train` or `validation` are not used.
    2. If rule 1 makes any row of a group `test`, the other rows of the group become `test` if
       their role is `any` and their source is tested on. Else they are not used, even if rule 1
       would keep them.
    3. If rule 1 makes any row of a group `validation`, or else `train`, the rest follows.
    4. All other groups are drawn. The draw u is a number in [0, 1), a hash of seed and group. The
       group is `validation` if u is below `validation`. It is `test`, as in rule 2, if u is below
       `validation + test` and one of its rows has a source that is both trained and tested on.
       Else it is `train`. So no image moves if others are added, unless they join its group.
    5. If a class of a training set has no row in validation (and validation > 0), but at least
       two groups drawn for training, the one with the lowest draw goes to validation. If the class
       has none in training, but at least two groups in validation, the one with the highest draw
       goes to training.
    """
    source, group = images["source"], images["group"]
    trained = source.isin({name for names in training_sets.values() for name in names})
    tested = source.isin(test_sources)
    both = trained & tested
    free = (images["role"] == "any") & trained

    part = images["role"].where(images["role"] != "any", "").astype(object)
    part[~trained & (part == "")] = "test"
    part[~trained & part.isin(["train", "validation"])] = ""

    def shares_group(rows: pd.Series) -> pd.Series:
        """Return, for each row, whether any row of its group is among `rows`."""
        return group.isin(set(group[rows]))

    with_test, with_validation, with_train = (
        shares_group(part == name) for name in ("test", "validation", "train")
    )
    part[with_test & tested & free] = "test"
    part[with_test & (part != "test")] = ""
    part[free & ~with_test & with_train] = "train"
    part[free & ~with_test & with_validation] = "validation"

    drawn = free & ~with_test & ~with_validation & ~with_train
    # Rows that are not drawn have a number above all draws.
    u = pd.Series(2.0, index=images.index)
    u[drawn] = group[drawn].map({name: draw_number(split.seed, name) for name in set(group[drawn])})
    part[drawn] = "train"
    part[drawn & (u < split.validation + split.test) & shares_group(drawn & both)] = "test"
    part[drawn & (u < split.validation)] = "validation"
    part[drawn & (part == "test") & ~tested] = ""
    _represent_classes(images, part, u, training_sets, split.validation > 0)
    return part


def draw_number(seed: int, group: str) -> float:
    """Return the number in [0, 1) that decides a group's part: the first 52 bits of a sha256.

    >>> round(draw_number(0, "a"), 6)
    0.824729
    """
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 12) / 2**52


def _represent_classes(
    images: pd.DataFrame,
    part: pd.Series,
    u: pd.Series,
    training_sets: Mapping[str, Sequence[str]],
    validate: bool,
) -> None:
    """Apply rule 5 of `assign_parts` to `part`. Rows with u > 1 were not drawn and stay."""
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


def _find_look_alikes(
    images: pd.DataFrame, trained: Collection[str], experiment: Experiment, root: Path
) -> pd.DataFrame:
    """Return the near duplicates of which at least one may be trained on. Others do no harm."""
    trainable = images["source"].isin(trained) & (images["role"] != "test")
    thumbnails = Thumbnails(root, images.set_index("image")["file"])
    found = [
        find_near_duplicates(
            images[trainable],
            others,
            thumbnails,
            bits=experiment.check.near_duplicate_bits,
            correlation=experiment.check.near_duplicate_correlation,
        )
        for others in (None, images[~trainable])
    ]
    return pd.concat(found, ignore_index=True)


def _check_images(experiment: Experiment, images: pd.DataFrame) -> None:
    """Raise UserErrors if a source has no images, a label is unknown, or the shares are too big."""
    sources = set(images["source"])
    found = [
        UserError(
            f"source `{name}` has no images",
            location=IMAGE_TABLE.path,
            hint="run `dvc repro download`",
        )
        for name in experiment.data.list_sources()
        if name not in sources
    ]
    unknown = images[~images["label"].isin(experiment.classes)].drop_duplicates(["source", "label"])
    found += [
        UserError(
            f"label `{row.label}` of `{row.image}` is not a class",
            location=IMAGE_TABLE.path,
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
                location="params.yaml: split",
                hint="their sum must be below 1 if a source is both trained and tested on",
            )
        )
    if found:
        raise UserErrors(found)


def _check_classes(experiment: Experiment, images: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Raise UserErrors if a class of a training set has no image in a part that needs one.

    Validation needs all classes if a variant with this training set selects its epoch.
    """
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
            present = set(rows.loc[rows["split"] == part, "label"])
            for label in experiment.classes:
                if label not in present:
                    indexed = images["source"].isin(sources) & (images["label"] == label)
                    found.append(_describe_missing_class(name, part, label, images[indexed]))
    if found:
        raise UserErrors(found)


def _describe_missing_class(name: str, part: str, label: str, images: pd.DataFrame) -> UserError:
    """Return the error for a class without an image. images: those of the class, in any part."""
    broken = images[images["problem"] != ""]
    purposes = {"train": "to train on", "validation": "for validation (an epoch is selected)"}
    hint = "raise split.validation, add images, or set training.selection: last"
    if part == "train":
        hint = "add a source of this class that is not only tested on"
    if len(broken):
        first = broken.iloc[0]
        hint = f"{len(broken)} cannot be used, e.g. {first['file']}: {first['problem']}"
    return UserError(
        f"has no image of class `{label}` {purposes[part]}. Its sources have {len(images)}",
        location=f"params.yaml: data.training_sets.{name}",
        hint=hint,
    )


def _summarize(images: pd.DataFrame, usable: pd.DataFrame, trained: Collection[str]) -> str:
    """Return a table of image counts by source, class and part."""
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
        lines.append(f"{broken} images cannot be used. The check stage names them")
    return "\n".join(lines)
