"""Show how well three or more classes are told apart: AUC per class, accuracy, confusion."""

from __future__ import annotations

import pandas as pd

from cyborg.common.page import render_html, render_table
from cyborg.results.classes import ALL
from cyborg.results.page import ReportContext
from cyborg.results.sections._base import Section
from cyborg.results.tables import format_mean_sd


def render_classes(context: ReportContext) -> str:
    """Return the tables of classes, or nothing for two classes, whose AUC says the same."""
    classes = context.experiment.classes
    if len(classes) < 3:
        return ""
    average = "" if context.one_run else " Mean ± standard deviation over runs."
    return (
        render_html(
            "<h2>Classes</h2><p>All other AUCs of this page are of P({{ last }}): images of "
            "{{ last }} against those of {{ others }}, which count as one. Here each class has "
            "its own: images of the class against all others, ranked by the probability of the "
            "class. The macro AUC is their mean. 0.5 is chance.</p>",
            last=classes[-1],
            others=" and ".join(classes[:-1]),
        )
        + render_table(
            ["test set", "architecture", "variant", "runs", "macro AUC", *classes, "accuracy"],
            _list_aucs(context.classes, classes),
            3,
            "AUC of each class against the rest. Accuracy: share of all images whose most "
            f"probable class is their own; it depends on the classes' shares in the set.{average} "
            "“–”: the set has no images of the class.",
        )
        + render_html("<h3>Confusion</h3>")
        + render_table(
            ["test set", "architecture", "variant", "class", *(f"→ {name}" for name in classes)],
            _list_confusion(context.confusion, classes),
            4,
            "Share of the images of the class in the fourth column whose most probable class is "
            f"that of the column.{average}",
        )
    )


def _list_aucs(table: pd.DataFrame, classes: list[str]) -> list[list[str]]:
    """Return a row per test set, architecture and variant, from classes.csv."""
    rows = []
    for key, part in table.groupby(["test_set", "architecture", "variant"], sort=False):
        by_class = {row["class"]: row for _, row in part.iterrows()}
        aucs = [
            format_mean_sd(by_class[name]["auc_mean"], by_class[name]["auc_sd"])
            for name in (ALL, *classes)
        ]
        accuracy = format_mean_sd(by_class[ALL]["accuracy_mean"], by_class[ALL]["accuracy_sd"])
        rows.append([*map(str, key), str(part["runs"].iloc[0]), *aucs, accuracy])
    return rows


def _list_confusion(table: pd.DataFrame, classes: list[str]) -> list[list[str]]:
    """Return a row per test set, architecture, variant and class, from confusion.csv."""
    rows = []
    columns = ["test_set", "architecture", "variant", "class"]
    for key, part in table.groupby(columns, sort=False):
        shares = part.set_index("predicted").loc[classes]
        pairs = zip(shares["share_mean"], shares["share_sd"], strict=True)
        rows.append([*map(str, key), *(format_mean_sd(mean, sd) for mean, sd in pairs)])
    return rows


SECTION = Section(12, render_classes)
