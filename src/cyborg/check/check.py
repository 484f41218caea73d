"""Stage `check`: audit of the data. Leaks and broken files stop the build, confounds are measured.

Reads data/images.parquet, data/saliency/index.parquet, data/manifest.parquet and images; writes
results/check.json, check.md and check.html. What is checked and what to do: docs/audit.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cyborg.check import audit_page
from cyborg.check.confounds import baselines, beyond_chance, cross_validated
from cyborg.check.leaks import Findings, generators, leaks, sets_of
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import write_json, write_text
from cyborg.common.tables import IMAGE_TABLE, MANIFEST_TABLE, MAP_TABLE
from cyborg.config.experiment import Experiment

RESULTS = Path("results")
FEW = 50
"""Fewer test images of a class than this are warned of: an AUC from them is hardly a rate."""
ADVICE = {
    "codec": "set pack.reencode: jpeg, or bring both classes in one format and quality",
    "size": "bring images of one size, or sets whose classes do not differ in it",
    "bytes": "set pack.reencode: jpeg; compare the history of compression of both classes",
    "metadata": "it is not seen by the network, but tells that the classes came different ways",
    "name": "it is not seen by the network, but tells that the classes came different ways",
    "header": "see the families above; pack.reencode: jpeg removes the codec, not its traces",
    "thumbnails": "colour and framing differ between the classes: read results beside this number",
}


def check(experiment: Experiment, root: Path = Path()) -> None:
    """Write the report; raise UserErrors afterwards where the data must not be used.

    The report has no time stamps: equal data, equal bytes.
    """
    images = IMAGE_TABLE.read(root)
    images = images[images["source"].isin(experiment.data.sources())]
    maps = MAP_TABLE.read(root, ["image", "file", "width", "height"])
    manifest = MANIFEST_TABLE.read(root)
    extra = [c for c in images.columns if c not in manifest.columns]
    used = manifest.merge(images[["image", *extra]], on="image", how="left", validate="1:1")

    findings = Findings()
    pairs = pd.DataFrame(columns=["a", "b", "distance", "correlation"])
    _broken(images, findings)
    _maps(images, maps, findings)
    _classes(experiment, used, findings)
    generators(experiment, used, findings)
    if used["hash"].isna().any():
        stale = used.loc[used["hash"].isna(), "image"].iloc[0]
        what = f"`{stale}` is not in {IMAGE_TABLE.path}"
        findings.errors.append(
            UserError(what, where=MANIFEST_TABLE.path, hint="run `dvc repro split`")
        )
    else:
        pairs = leaks(experiment, used, root, findings)
        _confounds(experiment, used, root, findings)
    _write(experiment, findings, pairs, used, root)
    if findings.errors:
        raise UserErrors(findings.errors)


def _broken(images: pd.DataFrame, findings: Findings) -> None:
    rows = images[images["problem"] != ""]
    found = [
        UserError(str(row.problem), where=str(row.file), hint="replace the file or take it out")
        for row in rows.itertuples()
    ]
    findings.named("images cannot be used", found)
    findings.numbers["images"] = {"indexed": len(images), "broken": len(rows)}


def _maps(images: pd.DataFrame, maps: pd.DataFrame, findings: Findings) -> None:
    """Every map has the size of its image."""
    both = maps.merge(images, on="image", how="left", suffixes=("", "_image"))
    absent = both["width_image"].isna()
    wrong = ~absent & (
        (both["width"] != both["width_image"]) | (both["height"] != both["height_image"])
    )
    # A map of an image that does not decode is reported there.
    wrong &= both["width_image"] > 0
    found = [
        UserError(
            f"is {row.width}x{row.height}, its image {row.width_image:.0f}x{row.height_image:.0f}",
            where=str(row.file),
            hint=f"annotate `{row.image}` at its own size, then run `dvc repro rasterize`",
        )
        for row in both[wrong].itertuples()
    ]
    findings.named("maps do not match their image", found)
    found = [
        UserError(f"no image `{row.image}` is in use", where=str(row.file))
        for row in both[absent].itertuples()
    ]
    findings.named("maps belong to no image", found, warn=True)


def _classes(experiment: Experiment, used: pd.DataFrame, findings: Findings) -> None:
    """No set has one class only; numbers of images and maps."""
    counts: dict[str, Any] = {"training_sets": {}, "test_sets": {}}
    last = experiment.classes[-1]
    for (kind, name), rows in sets_of(experiment, used).items():
        where = f"params.yaml: data.{kind}.{name}"
        entry: dict[str, Any] = {}
        counts[kind][name] = entry
        for part in ("train", "validation") if kind == "training_sets" else ("test",):
            labels = rows.loc[rows["split"] == part, "label"].value_counts()
            entry[part] = {label: int(labels.get(label, 0)) for label in experiment.classes}
            names = rows.loc[rows["split"] == part, "saliency"].str.split(",").explode()
            maps = names[names != ""].value_counts().sort_index()
            entry.setdefault("maps", {})[part] = {str(n): int(k) for n, k in maps.items()}
            there = [label for label, number in entry[part].items() if number]
            if kind == "training_sets":
                needed = experiment.classes if there or part == "train" else []
            else:
                needed = [last] if last not in there else ["another"] if len(there) < 2 else []
            missing = [label for label in needed if label not in there]
            findings.errors += [
                UserError(
                    f"has no image of {'another class' if label == 'another' else f'`{label}`'} "
                    f"with split `{part}`",
                    where=where,
                    hint="add a source of this class, or look at its role in the catalogue",
                )
                for label in missing
            ]
            if part == "test":
                findings.warnings += [
                    UserError(
                        f"has {entry[part][label]} images of `{label}`: too few for a rate",
                        where=where,
                        hint="read its interval, not its AUC",
                    )
                    for label in there
                    if entry[part][label] < FEW
                ]
    findings.numbers["sets"] = counts


def _confounds(experiment: Experiment, used: pd.DataFrame, root: Path, findings: Findings) -> None:
    """AUC of header features within every set, and of trivial classifiers on the test sets."""
    positive, least = experiment.classes[-1], experiment.check.warn_auc
    sets = sets_of(experiment, used)
    measured: dict[str, Any] = {"training_sets": {}, "test_sets": {}}

    def judge(rows: pd.DataFrame, where: str, kind: str, auc: float | None, how: str) -> None:
        labels = (rows["label"] == positive).sum(), (rows["label"] != positive).sum()
        if beyond_chance(auc, *labels, least):
            what = f"{kind} alone {how} with an AUC of {auc:.2f}"
            hint = ADVICE[kind]
            findings.warnings.append(UserError(what, where=f"params.yaml: {where}", hint=hint))

    for (kind, name), rows in sets.items():
        found = measured[kind][name] = cross_validated(rows, positive)
        for family, auc in found.items():
            if family != "header":  # its families are judged one by one
                judge(rows, f"data.{kind}.{name}", family, auc, "tells the classes apart")
    first = next(iter(experiment.data.training_sets))
    train = sets["training_sets", first]
    tests = {name: rows for (kind, name), rows in sets.items() if kind == "test_sets"}
    trivial = baselines(train[train["split"] == "train"], tests, positive, root)
    for name, aucs in trivial.items():
        for family, auc in aucs.items():
            how = f"learnt on `{first}` predicts the class"
            judge(tests[name], f"data.test_sets.{name}", family, auc, how)
    findings.numbers["confounds"] = measured
    findings.numbers["baselines"] = trivial
    findings.numbers["baselines_trained_on"] = first


def _write(
    experiment: Experiment,
    findings: Findings,
    pairs: pd.DataFrame,
    used: pd.DataFrame,
    root: Path,
) -> None:
    def listed(mistakes: list[UserError]) -> list[dict[str, str]]:
        return [
            {"what": m.what, "where": str(m.where or ""), "hint": m.hint or ""} for m in mistakes
        ]

    report = {
        "passed": not findings.errors,
        "errors": listed(findings.errors),
        "warnings": listed(findings.warnings),
        "thresholds": experiment.check.model_dump(),
        **findings.numbers,
    }
    write_json(root / RESULTS / "check.json", report)
    write_text(root / RESULTS / "check.md", audit_page.markdown(report))
    files = used.set_index("image")["file"]
    write_text(root / RESULTS / "check.html", audit_page.html(report, pairs, files, root))
    verdict = "passed" if report["passed"] else f"{len(findings.errors)} mistakes"
    print(f"check: {verdict}, {len(findings.warnings)} warnings; see {RESULTS}/check.md")
