"""Derive the random generators of all purposes from one seed."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed in 0..2**63-1 for one purpose, independent of those for other purposes.

    If the purpose names a moment, such as `("draw", epoch)`, an interrupted run can be resumed
    without the state of its random generators.

    >>> derive_seed(1, "order", 3) == derive_seed(1, "order", 3)
    True
    >>> derive_seed(1, "order", 3) == derive_seed(1, "order", 4)
    False
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def create_numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a NumPy generator for one purpose."""
    return np.random.default_rng(derive_seed(seed, *purpose))


def create_torch_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a torch generator for one purpose.

    It runs on the CPU, so that a run on any device sees the same numbers.
    """
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
