"""Test the contract of preparations, over every module in cyborg/training/preparations."""

from __future__ import annotations

import copy
from dataclasses import fields

import numpy as np
import pytest
import torch

from cyborg.common.families import PREPARATIONS
from cyborg.models.network import build_network
from cyborg.training.preparations._base import Context, TrainingData
from tiny_project import SIZE, train_spec


@pytest.fixture
def data() -> TrainingData:
    """Four images, the second and the fourth with a map."""
    rng = np.random.default_rng(0)
    return TrainingData(
        images=rng.integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.uint8),
        labels=np.array([0, 1, 0, 1]),
        sources=np.array(list("abcd"), dtype=object),
        weights=np.array([1.0, 2.0, np.nan, 4.0]),
        maps=rng.integers(0, 256, (2, SIZE, SIZE)).astype(np.uint8),
        owners=np.array([1, 3]),
    )


@pytest.mark.parametrize("name", PREPARATIONS.list_names())
def test_a_preparation_explains_itself(name: str):
    assert "Source:" in PREPARATIONS.read_documentation(name)
    options = PREPARATIONS.find(name).options.model_fields
    assert all(field.description for field in options.values())


@pytest.mark.parametrize("name", PREPARATIONS.list_names())
def test_a_preparation_returns_consistent_data_and_keeps_its_input(name: str, data: TrainingData):
    preparation = PREPARATIONS.find(name)
    if preparation.plan_parent is not None:
        pytest.skip("starts from the result of another cell")
    spec = train_spec()
    network = build_network(spec.architecture, classes=len(spec.classes), seed=spec.seed)
    before = copy.deepcopy(data)
    context = Context(network, spec, None, torch.device("cpu"))
    out = preparation.prepare(data, preparation.options(), context)
    for field in fields(data):
        np.testing.assert_array_equal(getattr(data, field.name), getattr(before, field.name))
        assert getattr(out, field.name).dtype == getattr(data, field.name).dtype
    count = len(out.images)
    assert out.images.shape[1:] == data.images.shape[1:]
    assert out.labels.shape == out.sources.shape == out.weights.shape == (count,)
    assert len(out.maps) == len(out.owners)
    assert out.maps.shape[1:] == data.maps.shape[1:]
    assert (np.diff(out.owners) > 0).all()
    assert ((out.owners >= 0) & (out.owners < count)).all()
