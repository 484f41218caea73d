"""The last stage: from the scores of all cells to tables, statistics, figures and report.html.

Reads   plan/train, plan/evaluate, runs/train, runs/evaluate, data/manifest.parquet and, where
        there is one, results/check.json.
Writes  results/ (docs/metrics.md says which file holds what).
"""

from __future__ import annotations

from pathlib import Path

from cyborg.config.experiment import Experiment
from cyborg.files import read_json, write_json, write_text
from cyborg.results import analysis, cells, tables


def report(experiment: Experiment, root: Path = Path()) -> str:
    """Write results/, print the AUC table and where the rest lies, and return that text.

    All is computed before the first file is replaced, so a failure leaves earlier results whole.
    Raises UserError naming the cell where a planned one is not finished.
    """
    settings = experiment.report
    results = cells.read(experiment, root)
    draws = analysis.bootstrap(results, settings)
    baseline = settings.baseline or next(iter(experiment.variants))
    check = root / "results" / "check.json"
    baselines = read_json(check).get("baselines", {}) if check.is_file() else {}

    auc = analysis.auc_table(results, settings, draws)
    texts = {
        "auc.csv": tables.csv(auc),
        "auc.md": tables.markdown(
            auc, experiment.name, settings.confidence, baselines, experiment.classes[-1]
        ),
        "auc.tex": tables.latex(auc, baselines),
        "comparisons.csv": tables.csv(analysis.comparisons(results, settings, draws, baseline)),
        "alignment.csv": tables.csv(analysis.alignment_table(results)),
        "operating_points.csv": tables.csv(analysis.operating_points(results)),
        "roc.csv": tables.csv(analysis.roc_table(results)),
        "auc_bars.csv": tables.csv(auc),
    }
    folder = root / "results"
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "metrics.json", tables.metrics(auc))
    shown = tables.grid(*tables.wide(auc, baselines), 2)
    print(shown)
    return shown
