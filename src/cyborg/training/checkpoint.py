"""The state of an interrupted training: kept after every epoch, loaded without running pickles."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cyborg.common.files import replacing_file

State = dict[str, Tensor]


@dataclass
class Progress:
    """How far a training has come.

    epoch: number of finished epochs; history: one row each; best: state dict (on the CPU) of the
    chosen epoch `selected` and its validation measures; improved: last epoch that was better than
    all before (an equal one is chosen, but is no improvement). Epochs count from one, 0 is none.
    """

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: State = field(default_factory=dict)
    selected: int = 0
    measures: dict[str, float] | None = None
    improved: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """One file: Progress, and the states of what is trained, of optimiser and gradient scaler.

    path: the file, None to keep nothing; identity: what the training is (of its specification);
    the checkpoint of another is not used.
    """

    path: Path | None
    identity: str = ""

    def save(
        self,
        progress: Progress,
        trained: nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> None:
        """Replace the file by the present state, or leave the former one whole."""
        if self.path is None:
            return
        state = {
            "identity": self.identity,
            "progress": vars(progress),
            "trained": trained.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scaler": scaler.state_dict(),
        }
        with replacing_file(self.path) as temporary:
            torch.save(state, temporary)

    def restore(
        self,
        trained: nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> Progress:
        """Bring everything back to the saved state; Progress() where there is none to use."""
        if self.path is None:
            return Progress()
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return Progress()
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            # A damaged disk at worst: the file is replaced as a whole. Training starts again.
            return Progress()
        if not isinstance(state, dict) or state.get("identity") != self.identity:
            return Progress()
        trained.load_state_dict(state["trained"])
        optimiser.load_state_dict(state["optimiser"])
        scaler.load_state_dict(state["scaler"])
        return Progress(**state["progress"])


def copied(network: nn.Module) -> State:
    """A copy of the state dict on the CPU, that further steps do not change."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in network.state_dict().items()
    }
