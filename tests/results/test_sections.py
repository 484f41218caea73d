"""Test the contract of every section of the report, with much data and with little."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from cyborg.common.families import SECTIONS
from cyborg.results.page import ReportContext, render_report
from cyborg.results.report import build_context
from fake_results import build_experiment, write_grid
from html_page import HtmlPage


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ReportContext:
    """What sections are made from: three classes, 2 architectures, 2 runs, maps and a gallery."""
    root = tmp_path_factory.mktemp("full")
    params = build_experiment(seeds=2, classes=("bona_fide", "morph", "synthetic"), bootstrap=100)
    params = params.model_copy(update={"name": "A <b> & B"})
    write_grid(root, params, images=12)
    return build_context(params, root)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> ReportContext:
    """What sections are made from: one run, and no human maps, gallery or trivial classifiers."""
    root = tmp_path_factory.mktemp("sparse")
    params = build_experiment(seeds=1, architectures=1, bootstrap=100)
    write_grid(root, params, images=6, baselines=False)
    for path in (root / "runs/evaluate").rglob("alignment.parquet"):
        pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)
    for path in (root / "runs/evaluate").rglob("gallery.npz"):
        with np.load(path) as archive:
            empty = {name: archive[name][:0] for name in archive}
        np.savez(path, **empty)
    return build_context(params, root)


@pytest.mark.parametrize("data", ["full", "sparse"])
@pytest.mark.parametrize("name", SECTIONS.list_names())
def test_a_section_is_well_formed(name: str, data: str, request: pytest.FixtureRequest) -> None:
    context = request.getfixturevalue(data)
    text = SECTIONS.find(name).render(context)
    assert isinstance(text, str)
    assert text == SECTIONS.find(name).render(context)
    if not text and data == "sparse":
        return
    assert text.startswith("<h2>")
    page = HtmlPage(text)
    assert not {"a", "script", "link", "iframe", "style"} & set(page.tags)
    assert all(source.startswith("data:image/png;base64,") for source in page.list_images())
    words = re.sub(r"base64,[^\"]*", "", text)
    assert "http" not in words
    assert not re.search(r"\b(nan|None|inf)\b", words)


def test_the_page_holds_every_section_in_order(full: ReportContext) -> None:
    text = render_report(full)
    HtmlPage(text)
    assert "<h1>A &lt;b&gt; &amp; B</h1>" in text
    members = {name: SECTIONS.find(name) for name in SECTIONS.list_names()}
    names = sorted(members, key=lambda name: members[name].order)
    places = [text.index(members[name].render(full)) for name in names]
    assert places == sorted(places)
