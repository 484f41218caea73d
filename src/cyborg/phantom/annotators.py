"""Simulate annotators: the parts they mark, how exactly, how fast, and whether they are right."""

from __future__ import annotations

from typing import Any

import numpy as np

from cyborg.phantom.canvas import Ellipse, Pose

# Share of decisions that are right.
RIGHT = 0.85

# Share of faulty parts that an annotator who decides right also marks.
THOROUGH = 0.9

# Visibility of a fault that takes neither longer nor shorter than was drawn.
USUAL = 0.07

# Factor by which the time for a fault is longer, or shorter, at most.
SLOWEST = 4.0


def simulate_annotators(
    rng: np.random.Generator,
    size: int,
    pose: Pose,
    parts: dict[str, Ellipse],
    faulty: list[str],
    annotators: int,
) -> list[dict[str, Any]]:
    """Return the answers of all annotators of one image, as they are written to the file.

    An annotator who sees the fault marks the faulty parts. One who takes a synthetic face for
    bona fide, or a bona fide one for synthetic, marks other parts. One who rightly
    takes a face for bona fide marks one or two parts that were inspected. Outlines differ from hand
    to hand.
    """
    names = sorted(parts)
    said = []
    for number in range(annotators):
        right = bool(rng.random() < RIGHT)
        if faulty and right:
            chosen = [name for name in faulty if rng.random() < THOROUGH] or [faulty[0]]
        else:
            others = [name for name in names if name not in faulty]
            count = min(int(rng.integers(1, 3)), len(others))
            chosen = [others[k] for k in rng.permutation(len(others))[:count]]
        synthetic = bool(faulty) == right
        said.append(
            {
                "annotator": f"annotator_{number + 1}",
                "decision": "synthetic" if synthetic else "bona_fide",
                "correct": right,
                "seconds": round(float(rng.lognormal(2.0, 0.4)), 1),
                "regions": [
                    {"label": name, "polygon": _trace_by_hand(rng, size, pose, parts[name])}
                    for name in chosen
                ],
            }
        )
    return said


def compute_annotation_time(said: list[dict[str, Any]], visibility: float) -> float:
    """Return the mean time of all annotators of an image, in seconds. A faint fault takes longer.

    said: the result of `simulate_annotators`. Its `seconds` are drawn without regard to the image.
    visibility: mean absolute difference, grey values 0..1, that the fault made in the faulty parts.
    The time goes with its inverse. At 0 there is no fault, and the time is as drawn.
    """
    mean = sum(one["seconds"] for one in said) / len(said)
    factor = USUAL / visibility if visibility else 1.0
    return float(mean * min(max(factor, 1 / SLOWEST), SLOWEST))


def _trace_by_hand(
    rng: np.random.Generator, size: int, pose: Pose, part: Ellipse
) -> list[list[float]]:
    """Return a polygon drawn by an unsteady hand: 8 to 14 vertices, shifted, somewhat too large."""
    vertices = int(rng.integers(8, 15))
    angles = np.linspace(0, 2 * np.pi, vertices, endpoint=False) + rng.uniform(0, 1)
    stretch = rng.uniform(0.95, 1.25) * (1 + rng.normal(0, 0.06, vertices))
    points = pose.trace_ellipse(part, angles, stretch) + rng.normal(0, 0.04, 2) * pose.half
    return [[round(float(x), 1), round(float(y), 1)] for x, y in np.clip(points, 0, size)]
