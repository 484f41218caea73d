"""Run the last stage: from the scores of all cells to tables, statistics, figures and report.html.

Reads   plan/train, plan/evaluate, runs/train, runs/evaluate, data/manifest.parquet and, if it
        exists, results/check.json.
Writes  results/ (docs/metrics.md lists the files).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cyborg.common.files import read_json, replacing_file, write_json, write_text
from cyborg.config.experiment import Experiment
from cyborg.results import analysis, cells, classes, comparisons, figures, page, tables
from cyborg.results.gallery import draw_gallery

# Folder of all results, from the root of the project.
OUT = Path("results")


def report(experiment: Experiment, root: Path = Path()) -> str:
    """Write results/, print the AUC table and the place of the other results, and return that text.

    Everything is computed before the first file is replaced, so a failure leaves earlier results
    whole. Raises UserError if a planned cell is not finished, and names the cell.
    """
    context = build_context(experiment, root)
    texts = _format_texts(context)
    for name, text in texts.items():
        write_text(root / OUT / name, text)
    write_json(root / OUT / "metrics.json", tables.collect_metrics(context.auc))
    _write_figures(root / OUT / "figures", context.figures)
    shown = "\n".join(
        [
            tables.format_markdown_table(
                *tables.build_main_table(context.auc, context.baselines), 2
            ),
            f"AUC of P({experiment.classes[-1]}), {tables.describe_average(context.auc)}. "
            + (f"{marks}. " if (marks := tables.explain_marks(context.auc)) else "")
            + f"All tables: {OUT}/*.csv",
            f"Intervals, comparisons, figures: {OUT / 'report.html'}",
        ]
    )
    print(shown)
    return shown


def build_context(experiment: Experiment, root: Path) -> page.ReportContext:
    """Return all tables and figures of the report, without writing anything.

    Raises UserError if a planned cell is not finished or a file is broken.
    """
    settings = experiment.report
    results = cells.read_results(experiment, root)
    draws = analysis.resample_test_sets(results, settings)
    baseline = settings.baseline or next(iter(experiment.variants))
    auc = analysis.tabulate_aucs(results, settings, draws)
    return page.ReportContext(
        experiment=experiment,
        results=results,
        baseline=baseline,
        auc=auc,
        comparisons=comparisons.tabulate_comparisons(results, settings, draws, baseline),
        alignment=analysis.tabulate_alignment(results),
        operating_points=analysis.tabulate_operating_points(results),
        classes=classes.tabulate_classes(results, experiment.classes),
        confusion=classes.tabulate_confusion(results, experiment.classes),
        baselines=_read_baselines(root, [scored.name for scored in results.sets]),
        figures=_draw_figures(results, auc, draws, baseline, experiment.classes),
        environments=cells.count_environments(results.cells),
    )


def _read_baselines(root: Path, sets: list[str]) -> tables.Baselines:
    """Return the AUCs of trivial classifiers that the check stage measured, if it did."""
    path = root / OUT / "check.json"
    if not path.is_file():
        return {}
    found = read_json(path).get("baselines", {})
    return {
        name: {kind: value for kind, value in found[name].items() if value is not None}
        for name in sets
        if found.get(name)
    }


def _format_texts(context: page.ReportContext) -> dict[str, str]:
    """Return the text files of results/ by name."""
    experiment, auc = context.experiment, context.auc
    return {
        "auc.csv": tables.format_csv(auc),
        "auc.md": tables.format_markdown_report(
            auc,
            experiment.name,
            experiment.report.confidence,
            context.baselines,
            experiment.classes[-1],
        ),
        "auc.tex": tables.format_latex(auc, context.baselines),
        "comparisons.csv": tables.format_csv(context.comparisons),
        "alignment.csv": tables.format_csv(context.alignment),
        "operating_points.csv": tables.format_csv(context.operating_points),
        "classes.csv": tables.format_csv(context.classes),
        "confusion.csv": tables.format_csv(context.confusion),
        "roc.csv": tables.format_csv(analysis.tabulate_rocs(context.results)),
        "auc_bars.csv": tables.format_csv(tables.name_bars(auc)),
        "report.html": page.render_report(context),
    }


def _draw_figures(
    results: cells.Results,
    auc: pd.DataFrame,
    draws: analysis.Bootstrap,
    baseline: str,
    classes: list[str],
) -> dict[str, bytes]:
    """Return the figures of results/figures as PNG, by name without suffix."""
    look = figures.choose_styles(results, baseline)
    found = {
        "auc_bars": figures.draw_aucs(auc, draws.observed, look),
        "learning_curves": figures.draw_learning_curves(cells.read_histories(results.cells), look),
    }
    for scored in results.sets:
        found[f"roc_{scored.name}"] = figures.draw_rocs(scored, results, auc, look)
    if (gallery := draw_gallery(results.cells, classes)) is not None:
        found["gallery"] = gallery
    return found


def _write_figures(folder: Path, images: dict[str, bytes]) -> None:
    """Write the figures, and remove those of test sets that are no longer in params.yaml."""
    for name, data in images.items():
        with replacing_file(folder / f"{name}.png") as temporary:
            temporary.write_bytes(data)
    for path in folder.glob("*.png"):
        if path.stem not in images:
            path.unlink()
