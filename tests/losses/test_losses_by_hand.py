"""The CYBORG loss equals the published one; its relatives equal what is worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import tensor

from cyborg.common.errors import UserError
from cyborg.common.schema import collect_mistakes
from cyborg.losses.cam_entropy import cam_entropy_loss, spatial_entropy
from cyborg.losses.cross_entropy import cross_entropy_loss
from cyborg.losses.cyborg import Options, contrast_weights, cyborg_loss
from cyborg.losses.divisive import divisive_loss
from cyborg.losses.perceptual_weight import perceptual_weight_loss, scale_sample_weights
from cyborg.losses.sage import blur_gaussian, jensen_shannon, sage_loss
from cyborg.models.cam import normalise_maps
from paths import SHARED

REFERENCE = SHARED / "reference"
BIAS = tensor([0.1, -0.1], dtype=torch.float64)


def formula(batch: int = 5, channels: int = 7, height: int = 4, width: int = 3):
    """Features, weight, human maps and labels that look random but come from a formula."""
    n = torch.arange(batch * channels * height * width, dtype=torch.float64)
    features = torch.sin(n * n * 0.37 + 0.11 * n).view(batch, channels, height, width) * 2
    m = torch.arange(2 * channels, dtype=torch.float64)
    weight = torch.cos(m * m * 0.53 + m).view(2, channels)
    k = torch.arange(batch * height * width, dtype=torch.float64)
    saliency = torch.sin(k * k * 0.29).square().view(batch, height, width) * 200
    labels = torch.arange(batch) * 2 // 3 % 2
    return features, weight, saliency, labels


def published(features, weight, saliency, labels, alpha):
    """The published training step's loss, sample by sample as its code goes through them."""
    logits = torch.stack([f.mean((1, 2)) @ weight.T + BIAS for f in features])
    classification = sum(
        -torch.log_softmax(logits[b], 0)[labels[b]] for b in range(len(labels))
    ) / len(labels)
    distance = 0.0
    for b in range(len(labels)):
        k = int(logits[b].argmax())
        cam = sum(weight[k, c] * features[b, c] for c in range(features.shape[1]))
        cam = cam - cam.min()
        cam = cam / cam.max()
        human = saliency[b] - saliency[b].min()
        human = human / human.max()
        distance = distance + ((cam - human) ** 2).sum() / cam.numel()
    distance = distance / len(labels)
    return alpha * classification + (1 - alpha) * distance, classification, distance


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_equals_the_published_loop_in_value_and_gradient(alpha):
    features, weight, saliency, labels = formula()
    results = []
    for compute in (published, None):
        f, w = features.clone().requires_grad_(), weight.clone().requires_grad_()
        if compute:
            parts = compute(f, w, saliency, labels, alpha)
        else:
            logits = f.mean((2, 3)) @ w.T + BIAS
            parts = cyborg_loss(logits, labels, f, w, saliency, alpha=alpha)[:3]
        parts[0].backward()
        results.append((*(p.detach() for p in parts), f.grad, w.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference values are not on this machine")
@pytest.mark.parametrize("case", ["resnet50_like", "densenet121_like", "alpha_0.9"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equals_the_reference(case, dtype, tolerance):
    values = json.loads((REFERENCE / "cyborg_loss.json").read_text())[case]
    with np.load(REFERENCE / "cyborg_loss.npz") as arrays:
        stored = {
            name.removeprefix(f"{case}/"): torch.from_numpy(arrays[name]).to(dtype)
            for name in arrays.files
            if name.startswith(f"{case}/")
        }
    features, weight = stored["features"].requires_grad_(), stored["weight"].requires_grad_()
    logits = features.mean((2, 3)) @ weight.T + BIAS.to(dtype)
    out = cyborg_loss(
        logits,
        tensor(values["labels"]),
        features,
        weight,
        stored["saliency"],
        alpha=values["alpha"],
    )
    out.total.backward()
    assert out.total.dtype == dtype
    assert logits.argmax(1).tolist() == values["predicted"]
    for part, name in zip(out[:3], ("loss", "class_loss", "saliency_loss"), strict=True):
        assert part.item() == pytest.approx(values[name], abs=tolerance)
    for result, name in (
        (normalise_maps(out.cam), "cam"),
        (features.grad, "grad_features"),
        (weight.grad, "grad_weight"),
    ):
        torch.testing.assert_close(result, stored[name], rtol=0, atol=tolerance)


def three_pixels(**options):
    """CAM 0, 1, 2 of class 1 and human map 0, 1, 1; class 0 has a constant map."""
    return cyborg_loss(
        tensor([[0.0, 9.0]]),
        tensor([0]),
        tensor([[[[0.0, 1.0, 2.0]]]]),
        tensor([[0.0], [1.0]]),
        tensor([[[0.0, 1.0, 1.0]]]),
        **options,
    )


def test_three_pixels_by_hand():
    """CAM 0, 1, 2 scales to 0, ½, 1; the map 0, 1, 1 differs by ½ in one of three: 1/12."""
    out = three_pixels(alpha=0)
    assert out.total.item() == pytest.approx(1 / 12)
    assert out.saliency.item() == pytest.approx(1 / 12)
    assert out.cam.tolist() == [[[0, 1, 2]]]  # raw, not normalised
    # Of the true class the map is constant, so zeros: (0 + 1 + 1) / 3.
    assert three_pixels(alpha=0, target="true").total.item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [1.5, -0.1, "dynamc", True, None, "0.5", float("nan")])
def test_a_wrong_alpha_is_one_mistake(value):
    with pytest.raises(ValidationError) as caught:
        Options(alpha=value)
    (mistake,) = collect_mistakes(caught.value, Options, "params.yaml").mistakes
    assert "number from 0 to 1 or one of dynamic, dynamic_detached" in mistake.what
    assert mistake.location == "params.yaml: alpha"


def test_dynamic_alpha_by_hand():
    """VISER: a = CE / (CE + S), so L = (CE² + S²) / (CE + S); detached, the value is the same."""
    features, weight, saliency, labels = formula()
    gradients = {}
    for alpha in ("dynamic", "dynamic_detached"):
        f = features.clone().requires_grad_()
        out = cyborg_loss(f.mean((2, 3)) @ weight.T, labels, f, weight, saliency, alpha=alpha)
        c, s = out.classification.item(), out.saliency.item()
        assert out.total.item() == pytest.approx((c * c + s * s) / (c + s), rel=1e-7)
        out.total.backward()
        gradients[alpha] = f.grad
    f = features.clone().requires_grad_()
    out = cyborg_loss(f.mean((2, 3)) @ weight.T, labels, f, weight, saliency, alpha=c / (c + s))
    out.total.backward()
    torch.testing.assert_close(gradients["dynamic_detached"], f.grad, rtol=1e-6, atol=1e-9)
    assert (gradients["dynamic"] - f.grad).abs().max() > 1e-4


def test_mean_over_those_that_have_a_map_or_over_the_batch():
    features, weight, saliency, labels = formula(batch=4)
    logits = features.mean((2, 3)) @ weight.T
    batch = (logits, labels, features, weight, saliency)
    present = tensor([True, False, False, True])
    alone = [cyborg_loss(*(x[[b]] if x is not weight else x for x in batch)) for b in (0, 3)]
    expected = sum(out.saliency for out in alone)
    out = cyborg_loss(*batch, present=present)
    assert out.saliency.item() == pytest.approx(expected.item() / 2)
    assert out.classification.item() == cyborg_loss(*batch).classification.item()
    diluted = cyborg_loss(*batch, present=present, reduction="batch")
    assert diluted.saliency.item() == pytest.approx(expected.item() / 4)


def test_the_difference_of_two_classes_by_hand():
    """Three pixels, class maps (0, 1, 2) and (2, 0, 0): the decision's map is (-2, 1, 2)."""
    features = torch.tensor([[[[0.0, 1.0, 2.0]], [[2.0, 0.0, 0.0]]]], dtype=torch.float64)
    weight = torch.eye(2, dtype=torch.float64)
    logits = features.mean((2, 3)) @ weight.T  # (1, 2/3): class 0 is predicted
    human = torch.tensor([[[0.0, 1.0, 1.0]]])
    out = cyborg_loss(logits, tensor([1]), features, weight, human, compared="difference")
    assert out.cam is not None
    assert out.cam.flatten().tolist() == [-2, 1, 2]
    assert out.saliency.item() == pytest.approx((0 + (0.75 - 1) ** 2 + 0) / 3)
    # The mean of the map is the difference of the logits: nothing of the decision escapes it.
    assert out.cam.mean().item() == pytest.approx((logits[0, 0] - logits[0, 1]).item())


def test_the_published_loss_does_not_see_the_other_class_and_the_difference_does():
    """Evidence that moves into the map of the other class changes one loss and not the other."""
    features, weight, saliency, labels = formula()
    moved = weight.clone().requires_grad_()
    for k in range(len(labels)):
        sample = features[k : k + 1]
        logits = sample.mean((2, 3)) @ weight.T + BIAS
        other = 1 - int(logits.argmax())
        for compared, seen in (("class", False), ("difference", True)):
            out = cyborg_loss(
                logits, labels[k : k + 1], sample, moved, saliency[k : k + 1], compared=compared
            )
            (gradient,) = torch.autograd.grad(out.saliency, moved)
            assert (gradient[other].abs().max().item() > 0) == seen


def test_contrast_weights_of_three_classes():
    found = contrast_weights(torch.tensor([[0.0], [3.0], [6.0]]))
    assert found.flatten().tolist() == [-4.5, 0.0, 4.5]


def test_a_map_of_another_size_is_an_error():
    features, weight, saliency, labels = formula()
    logits = features.mean((2, 3)) @ weight.T
    with pytest.raises(UserError, match="human maps are 5×3×4, the network's map is 5×4×3"):
        cyborg_loss(logits, labels, features, weight, saliency.transpose(1, 2))


def test_normalised_maps_ignore_rounding_noise():
    """A constant map but for the last digit is constant, at any scale."""
    for scale in (1e-30, 1.0, 1e30):
        maps = torch.full((1, 2, 2), scale, requires_grad=True)
        noisy = maps * tensor([[[1.0, 1.0], [1.0, 1 + 1.2e-7]]])
        normalise_maps(noisy).sum().backward()
        assert normalise_maps(noisy).abs().max() == 0
        assert maps.grad.isfinite().all()
    assert normalise_maps(tensor([[[1.0, 1.001]]])).tolist() == [[[0.0, 1.0]]]


def test_cross_entropy_looks_at_logits_alone():
    out = cross_entropy_loss(tensor([[0.0, 0.0]]), tensor([1]), *[tensor(torch.nan)] * 3)
    assert out.total.item() == pytest.approx(math.log(2))
    assert out.saliency.item() == 0


def test_entropy_of_maps_by_hand():
    """Uniform over four of four places: 1; over two of four: ln 2 / ln 4 = ½; one place: 0."""
    maps = tensor([[[1.0, 1], [1, 1]], [[1, 0], [0, 1]], [[0, 0], [0, 1]]], dtype=torch.float64)
    assert spatial_entropy(maps).tolist() == pytest.approx([1, 0.5, 0], abs=1e-4)


def test_cam_entropy_is_a_weighted_sum():
    features, weight, saliency, labels = formula()
    batch = (features.mean((2, 3)) @ weight.T, labels, features, weight, saliency)
    one = cam_entropy_loss(*batch, alpha=0.2, beta=0.3, gamma=0.4)
    guided = cyborg_loss(*batch, target="true")
    alone = cam_entropy_loss(*batch, alpha=0, beta=0, gamma=1)
    expected = 0.2 * guided.classification + 0.3 * guided.saliency + 0.4 * alone.total
    assert one.total.item() == pytest.approx(expected.item())
    assert 0 < alone.total < 1


def test_perceptual_weights_change_the_gradient():
    """The released codes' additive weights do not; two samples of weights 3 and 1 by hand."""
    features, weight, saliency, labels = formula(batch=2)
    logits = (features.mean((2, 3)) @ weight.T).requires_grad_()
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    out = perceptual_weight_loss(
        logits, labels, features, weight, saliency, sample_weight=tensor([3.0, 1.0])
    )
    assert out.total.item() == pytest.approx(((3 * plain[0] + plain[1]) / 2).item())
    (weighted,) = torch.autograd.grad(out.total, logits)
    (unweighted,) = torch.autograd.grad(plain.mean(), logits)
    torch.testing.assert_close(weighted, unweighted * tensor([[3.0], [1.0]]))
    # What the released codes do: the same scalar on all logits of a sample.
    shifted = torch.nn.functional.cross_entropy(logits + tensor([[3.0], [1.0]]), labels)
    (additive,) = torch.autograd.grad(shifted, logits)
    torch.testing.assert_close(additive, unweighted)


def test_sample_weights_by_hand():
    given = tensor([2.0, 8.0, torch.nan])
    assert scale_sample_weights(given, "high", 4.0).tolist() == [0.5, 2.0, 1.0]
    assert scale_sample_weights(given, "low", 4.0).tolist() == [2.0, 0.5, 1.0]


def test_divisive_by_hand():
    """True map 0, 1, 2, false map 2, 2, 0; human map 0, 0, 1 (two channels, one per class)."""
    batch = (
        tensor([[0.0, 1.0, -5.0]]),
        tensor([0]),
        tensor([[[[0.0, 1, 2]], [[2.0, 2, 0]]]]),
        tensor([[1.0, 0], [0, 1], [7, 7]]),
        tensor([[[0.0, 0, 1]]]),
    )
    # The difference -2, -1, 2 scales to 0, ¼, 1: (¼)² / 3.
    out = divisive_loss(*batch, alpha=0)
    assert out.total.item() == pytest.approx(1 / 48)
    assert out.cam.tolist() == [[[-2, -1, 2]]]
    # 0, ½, 1 against 0, 0, 1 is 1/12; 1, 1, 0 against 1, 1, 0 is none.
    assert divisive_loss(*batch, alpha=0, form="opposed").total.item() == pytest.approx(1 / 24)
    # In the one marked pixel the maps are 1 and 0: they differ as far as can be.
    assert divisive_loss(*batch, alpha=0, form="divergence").total.item() == pytest.approx(0)


def test_jensen_shannon_by_hand():
    far = tensor([[40.0, -40.0]]), tensor([[-40.0, 40.0]])
    assert jensen_shannon(*far, 1.0).item() == pytest.approx(math.log(2))
    assert jensen_shannon(far[0], far[0], 1.0).item() == pytest.approx(0)
    # p = (1/2, 1/2), q = (1/4, 3/4), middle (3/8, 5/8)
    p, q, m = np.array([0.5, 0.5]), np.array([0.25, 0.75]), np.array([0.375, 0.625])
    expected = ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum()) / 2
    logits = tensor([[0.0, 0.0]]), tensor([[0.0, 2 * math.log(3)]])
    assert jensen_shannon(*logits, 2.0).item() == pytest.approx(expected, abs=1e-6)


def test_gaussian_keeps_constants_and_spreads_a_point():
    assert blur_gaussian(torch.ones(1, 3, 9, 7), 1.0).sub(1).abs().max() < 1e-6
    point = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
    point[..., 7, 7] = 1
    spread = blur_gaussian(point, 1.5)[0, 0]
    assert spread.sum().item() == pytest.approx(1)
    assert (spread[7, 8] / spread[7, 7]).item() == pytest.approx(math.exp(-0.5 / 1.5**2))
    torch.testing.assert_close(spread, spread.T)


def test_sage_augmentations_and_triplet_by_hand():
    """Left half marked: the positive keeps it sharp, the negative the right half."""
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    human = torch.zeros(1, 8, 8)
    human[:, :, :4] = 1
    seen = []

    def network(batch):
        seen.append(batch)
        # Embeddings at right angles to each other: the positive like the anchor, or the negative.
        vector = tensor([[1.0, 0.0]]) if len(seen) % 2 else tensor([[0.0, 1.0]])
        return tensor([[0.0, 0.0]]), vector[:, :, None, None]

    def loss(first):
        anchor = tensor([first])[:, :, None, None]
        return sage_loss(
            tensor([[0.0, 0.0]]),
            tensor([0]),
            anchor,
            torch.eye(2),
            human,
            margin=0.5,
            images=images,
            network=network,
        )

    # |a-p|² = 0 and |a-n|² = 2: nothing left to gain. The other way round: 2 - 0 + ½.
    assert loss([3.0, 0.0]).saliency.item() == pytest.approx(0)
    assert loss([0.0, 3.0]).saliency.item() == pytest.approx(2.5)
    positive, negative = seen[:2]
    assert positive[..., :4].equal(images[..., :4])
    assert negative[..., 4:].equal(images[..., 4:])
    assert (positive[..., 4:] - images[..., 4:]).abs().max() > 0.01
