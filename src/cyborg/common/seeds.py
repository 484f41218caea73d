"""One seed decides every random choice: independent generators for every purpose."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed in 0..2**63-1 for one purpose: independent for every seed and purpose.

    With a purpose such as `("draw", epoch)` nothing of a random state has to be kept to resume.
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def create_numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose."""
    return np.random.default_rng(derive_seed(seed, *purpose))


def create_torch_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A torch generator for one purpose; on the CPU, so that every device sees the same numbers."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
