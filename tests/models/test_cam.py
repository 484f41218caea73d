"""Class activation maps: by hand, and what they mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor

from cyborg.models.cam import class_activation_map, full_precision


def test_by_hand():
    """Two channels of a 2×1 map, weights 1 and 10 for class 0, -1 and 2 for class 1."""
    features = tensor([[[[1.0], [2.0]], [[3.0], [4.0]]]]).repeat(2, 1, 1, 1)
    weight = tensor([[1.0, 10.0], [-1.0, 2.0]])
    maps = class_activation_map(features, weight, tensor([0, 1]))
    assert maps.tolist() == [[[31.0], [42.0]], [[5.0], [6.0]]]


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, n) for n in (4, 5, 3, 4))),
    classes=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_spatial_mean_is_the_logit_without_bias(shape, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight = torch.randn(classes, shape[1], generator=generator, dtype=torch.float64)
    chosen = torch.randint(classes, (shape[0],), generator=generator)
    logits = features.mean((2, 3)) @ weight.T
    maps = class_activation_map(features, weight, chosen)
    assert maps.shape == (shape[0], *shape[2:])
    assert maps.dtype == torch.float64
    torch.testing.assert_close(maps.mean((1, 2)), logits.gather(1, chosen[:, None])[:, 0])


def test_gradient_reaches_features_and_the_chosen_weights_only():
    features = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    classes = tensor([2, 0])
    assert torch.autograd.gradcheck(
        lambda f, w: class_activation_map(f, w, classes), (features, weight)
    )
    class_activation_map(features, weight, classes).sum().backward()
    assert weight.grad is not None
    assert weight.grad[1].abs().max() == 0
    assert weight.grad[[0, 2]].abs().min() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    features, weight = torch.randn(2, 64, 3, 3).to(dtype), torch.randn(2, 64).to(dtype)
    expected = class_activation_map(features.float(), weight.float(), tensor([0, 1]))
    with torch.autocast("cpu", torch.bfloat16):
        maps = class_activation_map(features, weight, tensor([0, 1]))
    assert maps.dtype == torch.float32
    assert maps.equal(expected)


def test_precision_is_the_higher_of_those_given():
    half, single, double = (
        torch.zeros(1, dtype=t) for t in (torch.half, torch.float, torch.double)
    )
    assert full_precision(half) == torch.float32
    assert full_precision(single, double) == torch.float64
    assert full_precision(torch.zeros(1, dtype=torch.uint8)) == torch.float32
