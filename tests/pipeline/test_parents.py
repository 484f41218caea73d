"""Cells that start from other cells, by the real commands."""

from __future__ import annotations

import pandas as pd
import pytest

from project import TINY, Project

pytestmark = pytest.mark.slow


def test_a_teachers_alpha_retrains_teacher_and_students_only(project: Project):
    def variants(alpha: float) -> dict:
        teacher = {"loss": "cyborg", "saliency": "human", "alpha": alpha}
        student = {"loss": "cyborg", "prepare": {"teacher": {"variant": "cyborg"}}}
        encoder = {"mentor": {"image_size": 32, "epochs": 1}}
        mentor = {"loss": "cross_entropy", "saliency": "human", "prepare": encoder}
        return TINY["variants"] | {"cyborg": teacher, "student": student, "mentor": mentor}

    project.params(variants=variants(0.5), seeds=[1])
    project.repro()
    new = ("mentor", "mentor_autoencoder", "student")
    assert project.did("train", "run") == [f"small_cnn/{v}/seed1" for v in new]
    assert len(project.did("evaluate", "run")) == 2  # an autoencoder classifies nothing
    assert set(pd.read_csv(project.root / "results/auc.csv")["variant"]) == {
        *TINY["variants"],
        "student",
        "mentor",
    }
    project.params(variants=variants(0.25), seeds=[1])
    project.repro()
    students = [f"small_cnn/{v}/seed1" for v in ("cyborg", "student")]
    assert project.did("train", "run") == project.did("evaluate", "run") == students
    project.params(variants=variants(0.5), seeds=[1])
    project.repro()
    assert project.did("train", "run") == []
    assert project.did("train", "restored") == students
