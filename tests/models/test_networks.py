"""Networks: one forward pass, the published taps, weights from everywhere, clear errors."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import timm
import torch
import torchvision

from cyborg.common.errors import UserError
from cyborg.models import taps
from cyborg.models.architectures import NETWORKS, find_network, list_modules
from cyborg.models.cam import class_activation_map
from networks import describe, make, pictures

FAST = ["densenet121", "efficientnet_lite0", "inception_v3", "resnet50", "small_cnn", "xception"]
SLOW = sorted(set(NETWORKS) - set(FAST))
BY_SPEED = [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.parametrize("name", BY_SPEED)
def test_one_forward_pass_gives_all_and_the_map_belongs_to_the_logit(name):
    net = make(name, classes=3).eval()
    calls = []
    head = net.net.get_classifier()
    first = next(m for m in net.net.modules() if isinstance(m, torch.nn.Conv2d))
    handles = [first.register_forward_hook(lambda *_: calls.append("first"))]
    logits, features, weight = net(pictures(net.image_size))
    for handle in handles:
        handle.remove()
    assert calls == ["first"]
    assert logits.shape == (2, 3)
    assert weight is head.weight
    assert tuple(features.shape) == (2, weight.shape[1], *net.map_size)
    for k in range(3):
        cam = class_activation_map(features, weight, torch.tensor([k, k]))
        torch.testing.assert_close(
            cam.mean((1, 2)) + head.bias[k], logits[:, k], rtol=1e-3, atol=1e-4
        )


def test_sizes_of_the_paper():
    """Sides of the input as published; a row of the experiment may say otherwise."""
    assert [describe(n).image_size for n in ("resnet50", "densenet121")] == [224, 224]
    assert [describe(n).image_size for n in ("inception_v3", "xception")] == [299, 299]
    assert describe("mine", network="xception").image_size == 299
    assert describe("mine", network="xception", image_size=64).image_size == 64
    assert describe("lambda_resnet26t").image_size == 256  # timm's own record


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side", "half"),
    [
        ("resnet50", 7, False),
        ("densenet121", 7, False),
        ("inception_v3", 8, True),
        ("xception", 10, True),
    ],
)
def test_map_size_and_normalisation_of_the_paper(name, side, half):
    net = make(name, image_size=None)
    assert net.map_size == (side, side)
    expected = [0.5] * 3 if half else [0.485, 0.456, 0.406]
    assert net.mean.flatten().tolist() == pytest.approx(expected)
    assert net.std.flatten().tolist() == pytest.approx([0.5] * 3 if half else [0.229, 0.224, 0.225])


def test_every_row_is_known_to_timm_with_a_licence_and_has_a_source():
    for name, row in NETWORKS.items():
        assert row.source
        if row.timm:
            record = timm.get_pretrained_cfg(row.timm)
            assert record.license, name
            assert row.image_size >= 112
        if row.published_tap:
            assert hasattr(taps, row.published_tap)


def test_planning_imports_neither_torch_nor_timm():
    code = (
        "import sys; from cyborg.models.architectures import *; "
        "resolve = lambda name: resolve_network(name, NetworkOptions()); "
        "assert resolve('xception').image_size == 299; "
        "assert list_modules(resolve('small_cnn')) == ['cyborg.models.small_cnn']; "
        "assert list_modules(resolve('resnet50')) == []; "
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list_modules(describe("resnet18")) == []


def test_images_as_stored_or_in_unit_range_are_the_same():
    net = make("small_cnn").eval()
    images = pictures(40)
    a, b = net(images), net(images.float() / 255)
    torch.testing.assert_close(a.logits, b.logits)
    normalised = net.normalise_images(images)
    torch.testing.assert_close(normalised, images.float() / 127.5 - 1)
    assert net.forward_normalised(normalised).logits.equal(a.logits)
    net.double()
    assert net(images).logits.dtype == torch.float64


def hooked(model, module, images):
    seen = []
    handle = module.register_forward_hook(lambda *a: seen.append(a[2].detach().clone()))
    final = model.forward_features(images)
    handle.remove()
    return final, seen[0]


@pytest.mark.parametrize(
    ("name", "tap", "module"),
    [
        ("resnet50", taps.tap_last_convolution_of_resnet, lambda m: m.layer4[-1].conv3),
        ("legacy_xception", taps.tap_conv4_of_xception, lambda m: m.conv4),
        ("tf_efficientnet_lite0", taps.tap_conv_head_of_efficientnet, lambda m: m.conv_head),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_published_taps_are_what_the_published_hook_sees(name, tap, module, training):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=2)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    images = torch.rand(2, 3, 64, 64)
    model.train(training)
    final, seen = hooked(model, module(model), images)
    after = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    ours, tapped = tap(model, images)
    assert ours.equal(final)
    assert tapped.equal(seen)
    # Batch norm counted the batch once.
    assert all(v.equal(after[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("training", [False, True])
def test_published_tap_of_densenet_is_torchvisions_features(training):
    torch.manual_seed(0)
    theirs = torchvision.models.densenet121(num_classes=2).train(training)
    ours = timm.create_model("densenet121", num_classes=2).train(training)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 64, 64)
    expected = theirs.features(images)
    final, tapped = taps.tap_before_last_relu(ours, images)
    torch.testing.assert_close(tapped, expected)
    torch.testing.assert_close(final, expected.relu())
    assert tapped.min() < 0
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value)


def test_tap_is_an_option_of_the_architecture():
    images = pictures(64)
    final, published = (make("resnet50", features=f).eval() for f in ("final", "published"))
    a, b = final(images), published(images)
    assert a.logits.equal(b.logits)
    assert a.features.min() >= 0 > b.features.min()
    same = make("inception_v3", features="published").eval()
    assert same(pictures(107)).features.min() >= 0
    with pytest.raises(UserError, match=r"`small_cnn` has no published tap(?s:.*)features: final"):
        make("small_cnn", features="published")


def test_seed_decides_the_first_weights_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    states = [make("small_cnn", seed=seed).state_dict() for seed in (0, 0, 1)]
    assert torch.rand(1).equal(expected)
    keys = [k for k in states[0] if k.endswith("weight") and states[0][k].ndim > 1]
    assert all(states[0][k].equal(states[1][k]) for k in keys)
    assert not any(states[0][k].equal(states[2][k]) for k in keys)


def test_new_head_is_torchs_default_whatever_the_network_does():
    """timm gives Inception and EfficientNet other ranges; the published code does not."""
    for name in ("inception_v3", "efficientnet_lite0"):
        head = make(name).net.get_classifier()
        bound = 1 / math.sqrt(head.in_features)
        assert 0.9 * bound < head.weight.abs().max() <= bound
        assert head.bias.abs().max() <= bound


def test_frozen_parts_get_no_gradient_and_keep_their_statistics():
    net = make("efficientnet_lite0", frozen=["conv_stem", "bn1", "blocks.1"])
    frozen = {k.split(".", 1)[1] for k, p in net.named_parameters() if not p.requires_grad}
    assert {k for k in frozen if k.startswith("conv_stem")} == {"conv_stem.weight"}
    assert {k.split(".")[1] for k in frozen if k.startswith("blocks")} == {"1"}
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net.train()
    net(pictures(64))
    changed = {k for k, v in net.state_dict().items() if not v.equal(before[k])}
    assert changed
    assert not any(k.startswith(("net.bn1", "net.blocks.1.")) for k in changed)
    with pytest.raises(UserError, match="begins with `block`") as caught:
        make("efficientnet_lite0", frozen=["block"])
    assert "blocks" in caught.value.text()


def test_batch_norm_stays_in_evaluation_mode():
    net = make("resnet18", freeze_batch_norm=True)
    net.train()
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)
    assert net.training
    assert all(p.requires_grad for p in net.parameters())


def test_output_stride_makes_the_map_finer():
    assert make("resnet18").map_size == (2, 2)
    assert make("resnet18", output_stride=8).map_size == (8, 8)
    with pytest.raises(UserError, match="does not support output_stride 8"):
        make("densenet121", output_stride=8)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnet5", {}, r"`resnet5` is not a network(?s:.*)resnet50"),
        ("resnet50.tv_in2k", {}, r"no weights `resnet50.tv_in2k`(?s:.*)resnet50.tv_in1k"),
        ("vit_tiny_patch16_224", {"image_size": 224}, "does not end in global average pooling"),
        ("convnext_atto", {}, "does not end in global average pooling"),
        ("resnet18", {"image_size": 32}, "the map of `resnet18` at 32 px is 1×1"),
        ("inception_v3", {"image_size": 40}, "does not accept images of 40 px"),
        ("small_cnn", {"weights": "imagenet"}, "has no ImageNet weights"),
    ],
)
def test_mistakes_are_explained(name, changes, message):
    with pytest.raises(UserError, match=message):
        make(name, **changes)


def test_one_class_is_an_error():
    with pytest.raises(UserError, match="at least 2 classes, not 1"):
        make("small_cnn", classes=1)


def test_without_network_access_the_alternatives_are_named(monkeypatch):
    def refuse(*args, **kwargs):
        if kwargs.get("pretrained"):
            raise OSError("We couldn't connect to the hub\nmore")
        raise AssertionError("pretrained weights were to be asked for")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(UserError) as caught:
        make("resnet50", weights="imagenet")
    text = caught.value.text()
    assert (
        "architectures: resnet50.weights: ImageNet weights of `resnet50` are not available" in text
    )
    assert all(word in text for word in ("`package`", ".safetensors", "`none`", "connect"))


def test_networks_of_channels_last_transformers_have_a_map_too():
    """Swin ends in pooling and a linear layer, but keeps channels last."""
    net = make("swin_tiny_patch4_window7_224", image_size=224).eval()
    assert net.map_size == (7, 7)
    logits, features, weight = net(pictures(224, count=1))
    assert features.shape == (1, 768, 7, 7)
    expected = features.mean((2, 3)) @ weight.T + net.net.get_classifier().bias
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    assert find_network("swin_tiny_patch4_window7_224").source == "timm"
