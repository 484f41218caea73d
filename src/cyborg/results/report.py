"""The last stage: from the scores of all cells to tables, statistics, figures and report.html.

Reads   plan/train, plan/evaluate, runs/train, runs/evaluate, data/manifest.parquet and, where
        there is one, results/check.json.
Writes  results/ (docs/metrics.md says which file holds what).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyborg.common.files import read_json, replacing_file, write_json, write_text
from cyborg.config.experiment import Experiment
from cyborg.results import analysis, cells, figures, page, tables
from cyborg.results.gallery import gallery_figure

OUT = Path("results")


def report(experiment: Experiment, root: Path = Path()) -> str:
    """Write results/, print the AUC table and where the rest lies, and return that text.

    All is computed before the first file is replaced, so a failure leaves earlier results whole.
    Raises UserError naming the cell where a planned one is not finished.
    """
    settings = experiment.report
    results = cells.read(experiment, root)
    draws = analysis.bootstrap(results, settings)
    baseline = settings.baseline or next(iter(experiment.variants))
    auc = analysis.auc_table(results, settings, draws)
    context = page.Context(
        experiment=experiment,
        results=results,
        baseline=baseline,
        auc=auc,
        comparisons=analysis.comparisons(results, settings, draws, baseline),
        alignment=analysis.alignment_table(results),
        operating_points=analysis.operating_points(results),
        baselines=_baselines(root, [scored.name for scored in results.sets]),
        figures=_figures(results, auc, draws, baseline, experiment.classes),
        environments=cells.environments(results.cells),
    )
    texts = _texts(context)
    for name, text in texts.items():
        write_text(root / OUT / name, text)
    write_json(root / OUT / "metrics.json", tables.metrics(auc))
    _write_figures(root / OUT / "figures", context.figures)
    shown = "\n".join(
        [
            tables.grid(*tables.wide(auc, context.baselines), 2),
            "AUC, mean ± standard deviation over runs. "
            + (f"{marks}. " if (marks := tables.legend(auc)) else "")
            + f"Intervals, comparisons, figures: {OUT / 'report.html'}; tables: {OUT}/*.csv",
        ]
    )
    print(shown)
    return shown


def _baselines(root: Path, sets: list[str]) -> dict[str, Any]:
    """AUC of trivial classifiers per test set, from the check stage; empty where it left none."""
    path = root / OUT / "check.json"
    if not path.is_file():
        return {}
    found = read_json(path).get("baselines", {})
    return {
        name: {kind: value for kind, value in found[name].items() if value is not None}
        for name in sets
        if found.get(name)
    }


def _texts(context: page.Context) -> dict[str, str]:
    experiment, auc = context.experiment, context.auc
    return {
        "auc.csv": tables.csv(auc),
        "auc.md": tables.markdown(
            auc,
            experiment.name,
            experiment.report.confidence,
            context.baselines,
            experiment.classes[-1],
        ),
        "auc.tex": tables.latex(auc, context.baselines),
        "comparisons.csv": tables.csv(context.comparisons),
        "alignment.csv": tables.csv(context.alignment),
        "operating_points.csv": tables.csv(context.operating_points),
        "roc.csv": tables.csv(analysis.roc_table(context.results)),
        "auc_bars.csv": tables.csv(tables.bars(auc)),
        "report.html": page.page(context),
    }


def _figures(
    results: cells.Results, auc: Any, draws: analysis.Bootstrap, baseline: str, classes: list[str]
) -> dict[str, bytes]:
    look = figures.styles(results, baseline)
    found = {
        "auc_bars": figures.auc_figure(auc, draws.observed, look),
        "learning_curves": figures.learning_figure(cells.histories(results.cells), look),
    }
    for scored in results.sets:
        found[f"roc_{scored.name}"] = figures.roc_figure(scored, results, auc, look)
    if (gallery := gallery_figure(results.cells, classes)) is not None:
        found["gallery"] = gallery
    return found


def _write_figures(folder: Path, images: dict[str, bytes]) -> None:
    for name, data in images.items():
        with replacing_file(folder / f"{name}.png") as temporary:
            temporary.write_bytes(data)
    # Figures of test sets that are no longer in params.yaml would pass for new ones.
    for path in folder.glob("*.png"):
        if path.stem not in images:
            path.unlink()
