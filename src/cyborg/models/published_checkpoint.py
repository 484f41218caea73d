"""Translate checkpoints of the published code into weights that this project loads."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from cyborg.common.errors import UserError
from cyborg.common.files import replacing_file
from cyborg.config.networks import NetworkOptions
from cyborg.models.architectures import resolve_network
from cyborg.models.network import build_network
from cyborg.models.weights import State, apply_state, read_state

# torchvision's and Cadene's key names are timm's, except for the three below.
# Prefixes: of DataParallel, and of the published code's class around Xception.
WRAPPERS = ("module.", "model.")
# DenseNet's layers before 2018: `norm.1.weight` is `norm1.weight` today.
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\..*)$")
# The last linear layer.
HEADS = ("fc", "classifier", "last_linear", "classifier.1")


def import_checkpoint(path: str | Path, architecture_name: str, out: str | Path) -> None:
    """Translate a checkpoint into safetensors of timm's key names, for `weights: <out>`.

    path: a torch file with a state dict of torchvision's, Cadene's, or timm's names, bare or as
    `{'state_dict': …}`. Code in it is never executed. architecture_name: a registered network or
    any timm name, which must fit in every name and shape. The number of classes is that of the
    file. As in the published code, class 0 is bona fide and class 1 is synthetic.
    Raises UserError, and writes nothing, if the file is of another network.
    """
    from safetensors.torch import save_file

    path = Path(path)
    state = _strip_wrapper(read_state(path))
    head = next((name for name in HEADS if f"{name}.weight" in state), None)
    if head is None or state[f"{head}.weight"].ndim != 2:
        raise UserError(
            "has no linear layer at its end",
            location=path,
            hint=f"expected {', '.join(f'`{name}.weight`' for name in HEADS)}",
        )
    classes = len(state[f"{head}.weight"])
    architecture = resolve_network(architecture_name, NetworkOptions(weights="none"))
    network = build_network(architecture, max(classes, 2), seed=0)
    net: nn.Module = network.net
    own = next(
        name for name, module in net.named_modules() if module is network.net.get_classifier()
    )
    renamed = {_rename_key(name, head, own): value for name, value in state.items()}
    if renamed[f"{own}.weight"].shape != net.state_dict()[f"{own}.weight"].shape:
        raise UserError(
            f"is not of `{architecture_name}`: its last layer is "
            f"{tuple(renamed[f'{own}.weight'].shape)}",
            location=path,
            hint="choose the architecture that the checkpoint was trained with",
        )
    apply_state(net, renamed, own, path)
    # Contiguous copies, because safetensors refuses tensors that share memory.
    content = {name: value.contiguous().clone() for name, value in net.state_dict().items()}
    with replacing_file(out) as temporary:
        save_file(content, temporary)


def _strip_wrapper(state: State) -> State:
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def _rename_key(name: str, head: str, own: str) -> str:
    if name.startswith(f"{head}."):
        return own + name.removeprefix(head)
    return OLD_DENSENET.sub(r"\1\2", name)
