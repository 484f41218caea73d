"""Correlate rows of numbers: the Pearson correlation of pictures and of maps."""

from __future__ import annotations

import numpy as np


def standardize_rows(rows: np.ndarray, least_length: float = 0.0) -> np.ndarray:
    """Return rows [N,P] with mean zero and length one, so that dot products are correlations.

    rows: float32 or float64. The result has the same type. Sums are taken in float64.
    least_length: a row is called constant, and becomes NaN, if its Euclidean length after the mean
        was subtracted is at most this. Rounding leaves a constant row a length above zero.

    >>> standardize_rows(np.array([[1.0, 3.0, 1.0, 3.0], [5.0, 5.0, 5.0, 5.0]])).tolist()
    [[-0.5, 0.5, -0.5, 0.5], [nan, nan, nan, nan]]
    """
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(rows.dtype)
    length = np.sqrt(np.square(centred, dtype=np.float64).sum(axis=1, keepdims=True))
    constant = length <= least_length
    divisor = np.where(constant, 1.0, length)
    return np.where(constant, np.nan, centred / divisor).astype(rows.dtype)


def correlate_rows(left: np.ndarray, right: np.ndarray, least_length: float = 0.0) -> np.ndarray:
    """Return the Pearson correlation [N] of each row of `left` with that of `right` (-1..1).

    left, right: [N,P], both float32 or both float64, as is the result. The correlation is NaN if
    one of the two rows is constant (`standardize_rows` says when it is).

    >>> correlate_rows(np.array([[0.0, 1, 2], [0, 1, 2]]), np.array([[1.0, 3, 5], [2, 2, 2]]))
    array([ 1., nan])
    """
    one, other = standardize_rows(left, least_length), standardize_rows(right, least_length)
    correlation: np.ndarray = np.einsum("np,np->n", one, other)
    clipped: np.ndarray = np.clip(correlation, -1, 1)
    return clipped
