"""Test the correlation of rows against numpy and against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.common.correlation import correlate_rows, standardize_rows


@given(st.integers(0, 10_000), st.integers(2, 30))
def test_correlation_agrees_with_numpy(seed: int, length: int) -> None:
    random = np.random.default_rng(seed)
    left, right = random.random((2, 3, length))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(left, right, strict=True)]
    assert correlate_rows(left, right) == pytest.approx(expected)
    single = correlate_rows(left.astype(np.float32), right.astype(np.float32))
    assert single.dtype == np.float32
    assert single == pytest.approx(expected, abs=1e-5)


def test_correlation_by_hand() -> None:
    # Deviations -2 -1 0 3 and -1 -1 0 2: 9 / sqrt(14 * 6).
    found = correlate_rows(np.array([[0.0, 1, 2, 5]]), np.array([[0.0, 0, 1, 3]]))
    assert found == pytest.approx([9 / 84**0.5])


def test_rows_that_are_constant_up_to_rounding_are_not_known() -> None:
    rows = np.full((1, 100), 0.1)
    rows[0, 0] += 1e-9
    assert np.isfinite(standardize_rows(rows)).all()
    assert np.isnan(standardize_rows(rows, least_length=1e-6)).all()
    assert np.isnan(correlate_rows(rows, np.arange(100.0)[None], least_length=1e-6)).all()
