"""Harmonization, right reasons, GradIA and RES against plain loops over samples and pixels.

The loops follow the formulas of the papers and their released codes, and share nothing with the
losses but the arithmetic of Python and NumPy.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn, tensor

from cyborg.losses._res import find_threshold, label_pixels
from cyborg.losses.gradia import gradia_loss
from cyborg.losses.harmonization import build_pyramid, harmonization_loss
from cyborg.losses.res_g import res_g_loss, widen_marks
from cyborg.losses.res_l import create_imputation, res_l_loss
from cyborg.losses.right_reasons import right_reasons_loss

B, K, C, H, W = 3, 3, 4, 5, 6


def waves(*shape: int, step: float) -> torch.Tensor:
    """Numbers that look random, from a formula."""
    n = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(n * n * step + n).view(shape)


@pytest.fixture
def linear():
    """A linear classifier of images: its input gradient is its weight, known without autograd."""
    weight = (waves(K, 3, H, W, step=0.31) / 3).requires_grad_()
    images = waves(B, 3, H, W, step=0.17).requires_grad_()
    logits = torch.einsum("bchw,kchw->bk", images, weight)
    return {
        "logits": logits,
        "labels": tensor([2, 0, 1]),
        "features": waves(B, C, 2, 2, step=0.7),
        "weight": waves(K, C, step=0.9),
        "saliency": waves(B, H, W, step=0.43).square(),
        "images": images,
    }, weight


def smoothed_cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        logarithms = row - math.log(sum(math.exp(v) for v in row))
        for k in range(len(row)):
            target = (1 - smoothing) * (k == label) + smoothing / len(row)
            total -= target * logarithms[k]
    return total / len(labels)


def cut(map_: np.ndarray) -> np.ndarray:
    mean = sum(map_.flat) / map_.size
    deviation = math.sqrt(sum((v - mean) ** 2 for v in map_.flat) / map_.size)
    return np.array([[max((v - mean) / (deviation + 1e-5), 0) for v in row] for row in map_])


def halved(map_: np.ndarray) -> np.ndarray:
    """TensorFlow's SAME convolution with the binomial kernel and a stride of two, in loops."""
    line = np.array([1, 4, 6, 4, 1]) / 16
    sides = [-(-n // 2) for n in map_.shape]
    before = [max((s - 1) * 2 + 5 - n, 0) // 2 for s, n in zip(sides, map_.shape, strict=True)]
    result = np.zeros(sides)
    for y in range(sides[0]):
        for x in range(sides[1]):
            for dy in range(5):
                for dx in range(5):
                    v, u = 2 * y + dy - before[0], 2 * x + dx - before[1]
                    if 0 <= v < map_.shape[0] and 0 <= u < map_.shape[1]:
                        result[y, x] += line[dy] * line[dx] * map_[v, u]
    return result


def harmonization_loop(gradient, human, present, levels, highest=None):
    """Distance of the pyramids; `highest` holds constant what the code lets no gradient through."""
    total = 0.0
    for level in range(levels):
        values = []
        for b in range(len(gradient)):
            model = cut(gradient[b].mean(0))
            top = (model.max() if highest is None else highest[b]) + 1e-6
            truth = cut(human[b])
            truth = truth / (truth.max() + 1e-6) * top
            for _ in range(level):
                model, truth = halved(model), halved(truth)
            values.extend(present[b] * (model - truth).ravel() ** 2)
        total += sum(values) / len(values)
    return total / levels


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_harmonization_equals_loops(linear, levels):
    batch, weight = linear
    present = tensor([True, False, True])
    out = harmonization_loss(**batch, present=present, levels=levels, strength=0.7)
    gradient = weight.detach().numpy()[batch["labels"].numpy()]
    expected = harmonization_loop(gradient, batch["saliency"].numpy(), present.numpy(), levels)
    classification = smoothed_cross_entropy(
        batch["logits"].detach().numpy(), batch["labels"].numpy(), 0.1
    )
    assert out.saliency.item() == pytest.approx(expected, rel=1e-12)
    assert out.classification.item() == pytest.approx(classification, rel=1e-12)
    assert out.total.item() == pytest.approx(classification + 0.7 * expected, rel=1e-12)


def test_gradient_of_harmonization_equals_differences_of_loops(linear):
    batch, weight = linear
    out = harmonization_loss(**batch, levels=3)
    (gradient,) = torch.autograd.grad(out.saliency, weight)
    base = weight.detach().numpy()
    labels, human = batch["labels"].numpy(), batch["saliency"].numpy()
    highest = [cut(base[k].mean(0)).max() for k in labels]

    def value(changed: np.ndarray) -> float:
        return harmonization_loop(changed[labels], human, np.ones(B), 3, highest)

    for place in [(0, 0, 0, 0), (1, 2, 3, 4), (2, 1, 4, 5)]:
        step = np.zeros_like(base)
        step[place] = 1e-6
        expected = (value(base + step) - value(base - step)) / 2e-6
        assert gradient[place].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_pyramid_of_odd_and_even_sides_equals_loops():
    for height, width in [(5, 6), (8, 7), (1, 3), (16, 16)]:
        map_ = waves(1, height, width, step=0.77)
        levels = build_pyramid(map_, 4)
        expected = map_[0].numpy()
        for level in levels:
            np.testing.assert_allclose(level[0].numpy(), expected, atol=1e-14)
            expected = halved(expected)


def test_right_reasons_equals_loops(linear):
    batch, weight = linear
    present = tensor([True, False, True])
    out = right_reasons_loss(**batch, present=present, strength=20.0)
    w, logits = weight.detach().numpy(), batch["logits"].detach().numpy()
    total = 0.0
    for b in range(B):
        if not present[b]:
            continue
        human = batch["saliency"][b].numpy()
        human = (human - human.min()) / (human.max() - human.min())
        p = np.exp(logits[b]) / np.exp(logits[b]).sum()
        # The sum of all log-probabilities: each class's weight, less K times their mean under p.
        gradient = sum(w[k] for k in range(K)) - K * sum(p[k] * w[k] for k in range(K))
        for c in range(3):
            for y in range(H):
                for x in range(W):
                    total += ((1 - human[y, x]) * gradient[c, y, x]) ** 2 / 2
    assert out.saliency.item() == pytest.approx(total / B, rel=1e-12)
    classification = smoothed_cross_entropy(logits, batch["labels"].numpy(), 0.0)
    assert out.total.item() == pytest.approx(classification + 20 * total / B, rel=1e-12)


def test_right_reasons_per_pixel_divides_by_the_area(linear):
    batch, _ = linear
    first = tensor([True, False, False])
    whole = right_reasons_loss(**batch, present=first).saliency.item()
    divided = right_reasons_loss(**batch, present=first, per_pixel=True).saliency.item()
    human = batch["saliency"][0].numpy()
    outside = 3 * (1 - (human - human.min()) / (human.max() - human.min())).sum()
    assert divided == pytest.approx(whole / outside, rel=1e-9)


class Pooled(nn.Module):
    """A layer, global average pooling, a linear layer; for Grad-CAM by autograd."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, C, 2).double()
        self.head = nn.Linear(C, K).double()

    def forward(self, images):
        features = torch.tanh(self.layer(images))
        return self.head(features.mean((2, 3))), features


@pytest.fixture
def pooled():
    net = Pooled()
    logits, features = net(waves(B, 3, H, W, step=0.17))
    human = waves(B, H - 1, W - 1, step=0.43).square()
    return {
        "logits": logits,
        "labels": tensor([2, 0, 1]),
        "features": features,
        "weight": net.head.weight,
        "saliency": human,
    }, net


def grad_cam_maps(batch) -> list[np.ndarray]:
    """Grad-CAM as the released codes make it: a backward pass per sample, then loops."""
    maps = []
    for b in range(B):
        (gradient,) = torch.autograd.grad(
            batch["logits"][b, batch["labels"][b]], batch["features"], retain_graph=True
        )
        cam = np.zeros(batch["features"].shape[2:])
        for c in range(C):
            channel = gradient[b, c].numpy()
            cam += (sum(channel.flat) / channel.size) * batch["features"][b, c].detach().numpy()
        cam = cam - cam.min()
        maps.append(cam / (cam.max() + 1e-6))
    return maps


def test_gradia_equals_loops(pooled):
    batch, _ = pooled
    present = tensor([True, False, True])
    out = gradia_loss(**batch, present=present, strength=2.0)
    distances = []
    for b, model in enumerate(grad_cam_maps(batch)):
        human = batch["saliency"][b].numpy()
        human = (human - human.min()) / (human.max() - human.min())
        distances.append(sum(abs(m - h) for m, h in zip(model.flat, human.flat, strict=True)) / 20)
    assert out.saliency.item() == pytest.approx((distances[0] + distances[2]) / 2, rel=1e-9)
    expected = out.classification.item() + 2 * out.saliency.item()
    assert out.total.item() == pytest.approx(expected, rel=1e-12)


def best_threshold(model: np.ndarray, truth: np.ndarray) -> float:
    """The brute-force search of the released code: negatives first, the first of equals."""
    values, labels = model.ravel(), truth.ravel()
    below, above = values[labels < 0], values[labels > 0]
    best, most = 0.0, 0.0
    for candidate in [*(below + 1e-4), *above]:
        hits = sum((candidate > v) / len(below) for v in below)
        hits += sum((candidate <= v) / len(above) for v in above)
        if hits > most + 1e-12:
            best, most = candidate, hits
    return best


def res_loop(models, truths, widened, eta) -> float:
    a = best_threshold(np.array(models), np.array(truths))
    labelled, soft = [], []
    for model, truth, wide in zip(models, truths, widened, strict=True):
        for m, f, t in zip(model.flat, truth.flat, wide.flat, strict=True):
            if f != 0:
                labelled.append(abs(math.tanh(5 * (m - a)) - f))
            soft.append(abs(m - t))
    hard = sum(labelled) / len(labelled) - eta if labelled else 0.0
    return max(hard, 0) + sum(soft) / len(soft)


def truths_of(human: np.ndarray, at: float, avoid: bool) -> np.ndarray:
    unit = (human - human.min()) / (human.max() - human.min())
    return np.where(unit >= at, 1.0, -1.0 if avoid else 0.0)


def blurred(marked: np.ndarray) -> np.ndarray:
    """OpenCV's 3×3 Gaussian, the edge reflected without repeating it."""
    height, width = marked.shape
    result = np.zeros_like(marked)
    for y in range(height):
        for x in range(width):
            for dy, p in ((-1, 0.25), (0, 0.5), (1, 0.25)):
                for dx, q in ((-1, 0.25), (0, 0.5), (1, 0.25)):
                    v, u = abs(y + dy), abs(x + dx)
                    v = 2 * (height - 1) - v if v >= height else v
                    u = 2 * (width - 1) - u if u >= width else u
                    result[y, x] += p * q * marked[v, u]
    return result / (result.max() + 1e-6)


@pytest.mark.parametrize("negative", ["unknown", "avoid"])
@pytest.mark.parametrize("eta", [0.0, 0.1, 5.0])
def test_res_g_equals_loops(pooled, negative, eta):
    batch, _ = pooled
    present = tensor([True, False, True])
    out = res_g_loss(**batch, present=present, eta=eta, negative=negative)
    maps, kept = grad_cam_maps(batch), [0, 2]
    truths = [truths_of(batch["saliency"][b].numpy(), 0.5, negative == "avoid") for b in kept]
    wide = [blurred(np.maximum(truth, 0)) for truth in truths]
    expected = res_loop([maps[b] for b in kept], truths, wide, eta)
    assert out.saliency.item() == pytest.approx(expected, rel=1e-9)


def test_gradient_of_res_and_gradia_leaves_channel_weights_alone(pooled):
    batch, net = pooled
    for loss in (res_g_loss, gradia_loss):
        out = loss(**batch)
        (head,) = torch.autograd.grad(
            out.saliency, net.head.weight, allow_unused=True, retain_graph=True
        )
        (layer,) = torch.autograd.grad(out.saliency, net.layer.weight, retain_graph=True)
        assert head is None
        assert layer.abs().max() > 0


def test_res_l_equals_loops(pooled):
    batch, _ = pooled
    height, width = batch["features"].shape[2:]
    learned = create_imputation(4 * height, (height, width), seed=0)
    stride = learned.stride
    human = waves(B, stride * height, stride * width, step=0.43).square()
    coarse = torch.nn.functional.interpolate(
        human[:, None], size=(height, width), mode="bilinear", antialias=True
    )[:, 0]
    out = res_l_loss(**{**batch, "saliency": human}, learned=learned, negative="unknown")
    kernel = learned.convolution.weight.detach().double().numpy()[0, 0]
    bias = learned.convolution.bias.item()
    truths = [truths_of(one.numpy(), 0.5, False) for one in coarse]
    wide = []
    for one in human.numpy():
        marked = truths_of(one, 0.5, False)
        image = np.full((height, width), bias)
        for y in range(height):
            for x in range(width):
                for dy in range(2 * stride):
                    for dx in range(2 * stride):
                        v, u = y * stride + dy - stride // 2, x * stride + dx - stride // 2
                        if 0 <= v < marked.shape[0] and 0 <= u < marked.shape[1]:
                            image[y, x] += kernel[dy, dx] * marked[v, u]
        image -= image.min()
        wide.append(image / (image.max() + 1e-6))
    expected = res_loop(grad_cam_maps(batch), truths, wide, 0.0)
    assert out.saliency.item() == pytest.approx(expected, rel=1e-6)
    out.total.backward()
    assert learned.convolution.weight.grad.abs().max() > 0


def test_res_l_imputes_from_224_pixels_to_7_as_published():
    learned = create_imputation(224, (7, 7), seed=3)
    assert learned.convolution.kernel_size == (64, 64)
    assert learned.convolution.stride == (32, 32)
    assert learned.convolution.padding == (16, 16)
    assert learned(torch.ones(2, 224, 224)).shape == (2, 7, 7)
    again = create_imputation(224, (7, 7), seed=3)
    assert learned.convolution.weight.equal(again.convolution.weight)


def test_thresholds_by_hand():
    model = tensor([0.1, 0.2, 0.6, 0.9])
    # Everything between .2 and .6 separates both; the first candidate is .2 and a little.
    assert find_threshold(model, tensor([-1.0, -1, 1, 1])).item() == pytest.approx(0.2001)
    # Positives only: all are kept from the lowest on.
    assert find_threshold(model, tensor([0.0, 1, 1, 1])).item() == pytest.approx(0.2)
    assert find_threshold(model, torch.zeros(4)).item() == 0


def test_labels_by_hand():
    human = tensor([[[0.0, 4, 8]], [[3, 3, 3]]])
    assert label_pixels(human, 0.5, "unknown").tolist() == [[[0, 1, 1]], [[0, 0, 0]]]
    assert label_pixels(human, 0.6, "avoid").tolist() == [[[-1, -1, 1]], [[0, 0, 0]]]
    assert label_pixels(human, 0.0, "avoid").tolist() == [[[-1, 1, 1]], [[0, 0, 0]]]


def test_widening_by_hand():
    """A point spreads 4 2 1 sixteenths, the highest scaled to one; edges mirror the inside."""
    point = torch.zeros(1, 5, 5)
    point[0, 2, 2] = 1
    expected = tensor([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]])
    torch.testing.assert_close(widen_marks(point)[0, 1:4, 1:4], expected, rtol=1e-4, atol=1e-6)
    assert widen_marks(point)[0, 0].sum() == 0
    # In three pixels each corner mirrors the middle on both sides: as bright as the middle.
    torch.testing.assert_close(widen_marks(point[:, 1:4, 1:4]), torch.ones(1, 3, 3))
