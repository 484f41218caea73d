"""Layers for losses on input gradients: equal to torch's own in value and both derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cyborg.models import second_derivatives
from cyborg.models.second_derivatives import TwiceDifferentiable
from networks import make


def derivatives(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Output, input gradient, and gradients of a loss on that input gradient and the output."""
    given = images.clone().requires_grad_(True)
    out = layer(given)
    (first,) = torch.autograd.grad(out.sin().sum(), given, create_graph=True)
    layer.zero_grad()
    (first.square().sum() + out.square().sum()).backward()
    return [out.detach(), first.detach(), given.grad, *(p.grad for p in layer.parameters())]


def assert_alike(layer: nn.Module, images: torch.Tensor) -> None:
    expected = derivatives(layer, images)
    with TwiceDifferentiable():
        found = derivatives(layer, images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.sampled_from([2, 3, 6]),
    wider=st.integers(1, 2),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.integers(1, 2),
    side=st.integers(8, 11),
    bias=st.booleans(),
)
def test_convolution_with_groups(groups, wider, kernel, stride, padding, dilation, side, bias):
    torch.manual_seed(0)
    layer = nn.Conv2d(
        6, 6 * wider, kernel, stride, padding, dilation, groups=groups, bias=bias
    ).double()
    assert_alike(layer, torch.randn(2, 6, side, side + 1, dtype=torch.float64))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(affine, training):
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(5, affine=affine).double().train(training)
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    if affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    assert_alike(layer, torch.randn(3, 5, 4, 6, dtype=torch.float64))


def test_a_network_gives_the_same_and_runs_through_it_only_where_asked(monkeypatch):
    used = []
    plain = second_derivatives.GroupedConvolution.forward

    def counted(*arguments):
        used.append(1)
        return plain(*arguments)

    monkeypatch.setattr(second_derivatives.GroupedConvolution, "forward", staticmethod(counted))
    net = make("efficientnet_lite0", freeze_batch_norm=True).double().train()
    used.clear()
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    without = net(images).logits
    assert not used
    with_gradient = net(images.requires_grad_(True)).logits
    assert used
    torch.testing.assert_close(with_gradient, without, rtol=1e-9, atol=1e-12)
