"""Find label conflicts: one picture in two classes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from cyborg.check.leaks import Findings
from cyborg.common.errors import UserError
from cyborg.config.experiment import Experiment
from cyborg.split.duplicates import Thumbnails, find_near_duplicates

# Copies that were compressed or resized again differ by no more than this: bits of the perceptual
# hash, and levels of grey thumbnails of 16 × 16 pixels. Measured: JPEG quality 30 at three quarters
# of the size changes pictures full of contrast by at most 15 levels. Composites differ from their
# base photographs by at least 33.
COPY_BITS = 4
COPY_LEVELS = 16


def check_labels(
    experiment: Experiment, images: pd.DataFrame, root: Path, findings: Findings
) -> None:
    """Report pictures that are in two classes: equal files, and copies that are encoded anew.

    images: all images of the sources in use, because the split leaves out some images that look
    like test images. Local edits of a photograph, such as composites, are not reported.
    """
    images = images[images["problem"] == ""]
    identical = _find_equal_files(images)
    findings.add(
        "files are in two classes",
        [
            UserError(
                f"is the same file as `{other}`, but one is `{label}` and the other `{others}`",
                location=name,
                hint="take out the one whose label is wrong",
            )
            for name, label, other, others in identical
        ],
    )
    copies = _find_copies(experiment, images, root)
    labels = images.set_index("image")["label"]
    findings.add(
        "pictures are in two classes",
        [
            UserError(
                f"shows the same picture as `{b}`, but one is `{labels[a]}` and the other "
                f"`{labels[b]}`",
                location=a,
                hint="take out the one whose label is wrong. If both are right, set "
                "check.on_near_duplicates: warn",
            )
            for a, b in copies
        ],
        warn=experiment.check.on_near_duplicates == "warn",
    )
    findings.numbers["label_conflicts"] = {
        "same_file": len(identical),
        "same_picture": len(copies),
    }


def _find_equal_files(images: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Return image, label, other image and other label of each file that has two labels."""
    found = []
    groups = images.groupby("sha256")["label"].transform("nunique")
    for _, rows in images[groups > 1].groupby("sha256"):
        firsts = rows.sort_values("image").drop_duplicates("label")[["image", "label"]].to_numpy()
        found.append((*firsts[0], *firsts[1]))
    return sorted(found)


def _find_copies(experiment: Experiment, images: pd.DataFrame, root: Path) -> list[tuple[str, str]]:
    """Return the pairs of images of two classes that are different files of one picture."""
    thumbnails = Thumbnails(root, images.set_index("image")["file"])
    digests = images.set_index("image")["sha256"]
    found: list[tuple[str, str]] = []
    for one, other in combinations(experiment.classes, 2):
        pairs = find_near_duplicates(
            images[images["label"] == one],
            images[images["label"] == other],
            thumbnails,
            bits=min(COPY_BITS, experiment.check.near_duplicate_bits),
            correlation=experiment.check.near_duplicate_correlation,
        )
        left, right = (_shrink_to_grey(thumbnails.fetch(pairs[column])) for column in "ab")
        levels = np.abs(left - right).max(axis=(1, 2), initial=0)
        for a, b in pairs.loc[levels <= COPY_LEVELS, ["a", "b"]].to_numpy():
            if digests[a] != digests[b]:
                found.append((a, b))
    return found


def _shrink_to_grey(pictures: np.ndarray) -> np.ndarray:
    """Return thumbnails, uint8 [N,side,side,3], in grey at half their side, [N,side/2,side/2]."""
    count, side = pictures.shape[:2]
    blocks: np.ndarray = pictures.reshape(count, side // 2, 2, side // 2, 2, 3).mean((2, 4, 5))
    return blocks
