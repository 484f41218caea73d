"""Stage `check`: audit the data. Leaks and broken files stop the build, confounds are measured.

Reads   data/images.parquet, data/saliency/index.parquet, data/manifest.parquet and images.
Writes  results/check.json, check.md and check.html.

docs/audit.md explains every check and what to do about its findings.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from cyborg.check.audit_page import write_html, write_markdown
from cyborg.check.confounds import is_beyond_chance, measure_baselines, measure_confounds
from cyborg.check.labels import check_labels
from cyborg.check.leaks import Findings, check_generators, check_leaks, group_by_set
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import write_json, write_text
from cyborg.common.tables import IMAGE_TABLE, MANIFEST_TABLE, MAP_TABLE
from cyborg.config.experiment import Experiment

RESULTS = Path("results")
DATA = Path("data")
# Files that DVC obeys wherever it finds them, besides `*.dvc` (.dvcignore).
CONTROL_FILES = {"dvc.yaml", "dvc.lock", ".dvcignore"}
# A class with fewer test images than this gives a warning.
FEW = 50
ADVICE = {
    "codec": "set pack.reencode: jpeg, or bring both classes in one format and quality",
    "size": "bring images of one size, or sets whose classes do not differ in it",
    "bytes": "set pack.reencode: jpeg, and compare how the images of both classes were compressed",
    "metadata": "it is not seen by the network, but tells that the classes came different ways",
    "name": "it is not seen by the network, but tells that the classes came different ways",
    "header": "see the families above. pack.reencode: jpeg removes the codec, not its traces",
    "thumbnails": "colour and framing differ between the classes: compare results with this number",
}


def check(experiment: Experiment, root: Path = Path()) -> None:
    """Write the report, then raise UserErrors if the data must not be used.

    The report has no time stamps: equal data give equal bytes.
    """
    images = IMAGE_TABLE.read(root)
    images = images[images["source"].isin(experiment.data.list_sources())]
    maps = MAP_TABLE.read(root, ["image", "file", "width", "height"])
    manifest = MANIFEST_TABLE.read(root)
    extra = [c for c in images.columns if c not in manifest.columns]
    used = manifest.merge(images[["image", *extra]], on="image", how="left", validate="1:1")

    findings = Findings()
    pairs = pd.DataFrame(columns=["a", "b", "distance", "correlation"])
    _check_files(images, findings)
    _check_control_files(root, findings)
    _check_maps(images, maps, findings)
    _check_classes(experiment, used, findings)
    check_generators(experiment, used, findings)
    check_labels(experiment, images, root, findings)
    if used["hash"].isna().any():
        stale = used.loc[used["hash"].isna(), "image"].iloc[0]
        what = f"`{stale}` is not in {IMAGE_TABLE.path}"
        hint = "run `dvc repro split`"
        findings.errors.append(UserError(what, location=MANIFEST_TABLE.path, hint=hint))
    else:
        pairs = check_leaks(experiment, used, root, findings)
        _check_confounds(experiment, used, root, findings)
    _write_report(experiment, findings, pairs, used, root)
    if findings.errors:
        raise UserErrors(findings.errors)


def _check_files(images: pd.DataFrame, findings: Findings) -> None:
    """Report images that cannot be used."""
    rows = images[images["problem"] != ""]
    found = [
        UserError(str(row.problem), location=str(row.file), hint="replace the file or take it out")
        for row in rows.itertuples()
    ]
    findings.add("images cannot be used", found)
    findings.numbers["images"] = {"indexed": len(images), "broken": len(rows)}


def _check_control_files(root: Path, findings: Findings) -> None:
    """Name the files in data that would control DVC if .dvcignore did not stop them."""
    found = []
    for folder, folders, files in os.walk(root / DATA):
        names = [name for name in files if name in CONTROL_FILES or name.endswith(".dvc")]
        names += [name for name in folders if name == ".dvc"]
        found += [Path(folder, name).relative_to(root) for name in names]
    mistakes = [
        UserError(
            "is a folder of DVC, which sees no changes beside it"
            if path.name == ".dvc"
            else "is a file of DVC, which has no effect here",
            location=path,
            hint="remove it from the data set",
        )
        for path in sorted(found)
    ]
    findings.add("files of DVC are in the data", mistakes, warn=True)


def _check_maps(images: pd.DataFrame, maps: pd.DataFrame, findings: Findings) -> None:
    """Report maps that do not have the size of their image, and maps without an image."""
    both = maps.merge(images, on="image", how="left", suffixes=("", "_image"))
    absent = both["width_image"].isna()
    wrong = ~absent & (
        (both["width"] != both["width_image"]) | (both["height"] != both["height_image"])
    )
    wrong &= both["width_image"] > 0  # `_check_files` reports images that do not decode
    found = [
        UserError(
            f"is {row.width}x{row.height}, its image {row.width_image:.0f}x{row.height_image:.0f}",
            location=str(row.file),
            hint=f"annotate `{row.image}` at its own size, then run `dvc repro rasterize`",
        )
        for row in both[wrong].itertuples()
    ]
    findings.add("maps do not match their image", found)
    found = [
        UserError(f"no image `{row.image}` is in use", location=str(row.file))
        for row in both[absent].itertuples()
    ]
    findings.add("maps belong to no image", found, warn=True)


def _check_classes(experiment: Experiment, used: pd.DataFrame, findings: Findings) -> None:
    """Count the images and maps of every set, and report sets that lack a class."""
    counts: dict[str, dict[str, Any]] = {"training_sets": {}, "test_sets": {}}
    for (kind, name), rows in group_by_set(experiment, used).items():
        where = f"params.yaml: data.{kind}.{name}"
        entry = counts[kind][name] = {"maps": {}}
        for part in ("train", "validation") if kind == "training_sets" else ("test",):
            chosen = rows[rows["split"] == part]
            labels = chosen["label"].value_counts()
            images = {label: int(labels.get(label, 0)) for label in experiment.classes}
            names = chosen["saliency"].str.split(",").explode()
            maps = names[names != ""].value_counts().sort_index()
            entry[part] = images
            entry["maps"][part] = {str(name): int(count) for name, count in maps.items()}
            findings.errors += [
                UserError(
                    f"has no image of {missing} with split `{part}`",
                    location=where,
                    hint="add a source of this class, or look at its role in the catalogue",
                )
                for missing in _list_missing_classes(images, part)
            ]
            findings.warnings += [
                UserError(
                    f"has {count} images of `{label}`: too few for a rate",
                    location=where,
                    hint="read its interval, not its AUC",
                )
                for label, count in images.items()
                if part == "test" and 0 < count < FEW
            ]
    findings.numbers["sets"] = counts


def _list_missing_classes(images: dict[str, int], part: str) -> list[str]:
    """Return the classes that a part needs and does not have, as they are called in messages.

    images: number of images of every class. Training needs all classes, and so does validation
    unless it is empty. A test set needs the last class and any other one.
    """
    absent = [f"`{label}`" for label, count in images.items() if not count]
    if part == "train":
        return absent
    if part == "validation":
        return absent if any(images.values()) else []
    last = list(images)[-1]
    if not images[last]:
        return [f"`{last}`"]
    return ["another class"] if sum(map(bool, images.values())) < 2 else []


def _check_confounds(
    experiment: Experiment, used: pd.DataFrame, root: Path, findings: Findings
) -> None:
    """Measure header features within every set, and trivial classifiers on the test sets."""
    positive, least = experiment.classes[-1], experiment.check.warn_auc
    sets = group_by_set(experiment, used)
    measured: dict[str, Any] = {"training_sets": {}, "test_sets": {}}

    def warn(rows: pd.DataFrame, where: str, family: str, auc: float | None, deed: str) -> None:
        labels = (rows["label"] == positive).sum(), (rows["label"] != positive).sum()
        if is_beyond_chance(auc, *labels, least):
            what = f"{family} alone {deed} with an AUC of {auc:.2f}"
            hint = ADVICE[family]
            findings.warnings.append(UserError(what, location=f"params.yaml: {where}", hint=hint))

    for (kind, name), rows in sets.items():
        found = measured[kind][name] = measure_confounds(rows, positive)
        for family, auc in found.items():
            if family != "header":  # its families are judged one by one
                warn(rows, f"data.{kind}.{name}", family, auc, "tells the classes apart")
    first = next(iter(experiment.data.training_sets))
    train = sets["training_sets", first]
    tests = {name: rows for (kind, name), rows in sets.items() if kind == "test_sets"}
    trivial = measure_baselines(train[train["split"] == "train"], tests, positive, root)
    for name, aucs in trivial.items():
        for family, auc in aucs.items():
            deed = f"trained on `{first}` predicts the class"
            warn(tests[name], f"data.test_sets.{name}", family, auc, deed)
    findings.numbers["confounds"] = measured
    findings.numbers["baselines"] = trivial
    findings.numbers["baselines_trained_on"] = first


def _write_report(
    experiment: Experiment,
    findings: Findings,
    pairs: pd.DataFrame,
    used: pd.DataFrame,
    root: Path,
) -> None:
    def describe(mistakes: list[UserError]) -> list[dict[str, str]]:
        return [
            {"what": m.what, "where": str(m.location or ""), "hint": m.hint or ""} for m in mistakes
        ]

    report = {
        "passed": not findings.errors,
        "errors": describe(findings.errors),
        "warnings": describe(findings.warnings),
        "thresholds": experiment.check.model_dump(),
        **findings.numbers,
    }
    write_json(root / RESULTS / "check.json", report)
    write_text(root / RESULTS / "check.md", write_markdown(report))
    files = used.set_index("image")["file"]
    write_text(root / RESULTS / "check.html", write_html(report, pairs, files, root))
    verdict = "passed" if report["passed"] else f"{len(findings.errors)} mistakes"
    print(f"check: {verdict}, {len(findings.warnings)} warnings. See {RESULTS}/check.md")
