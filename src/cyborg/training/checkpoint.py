"""Keep the state of a training after every epoch, and load it without executing pickled code."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cyborg.common.files import replacing_file, sha256_bytes

State = dict[str, Tensor]
# Length of the hexadecimal sha256 with which the file begins.
DIGEST = 64


@dataclass
class TrainingState:
    """How far a training has come. Epochs count from one, and 0 means none.

    epoch: number of finished epochs.
    history: a row of numbers for each finished epoch.
    best: state dict (on the CPU) of the chosen epoch.
    selected, measures: number of the chosen epoch and its validation measures.
    improved: last epoch that was better than all before. An equal one is chosen, but is no
    improvement.
    """

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: State = field(default_factory=dict)
    selected: int = 0
    measures: dict[str, float] | None = None
    improved: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A file with a TrainingState and the states of network, optimiser and gradient scaler.

    It begins with the sha256 of the rest. torch reads damaged files without complaint, or raises
    any kind of error for them.

    path: the file, or None to keep nothing.
    identity: digest of the training's specification. The checkpoint of another one is not used.
    """

    path: Path | None
    identity: str = ""

    def save_state(
        self,
        state: TrainingState,
        trained: nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> None:
        """Replace the file by the present state. On any error the former file stays whole."""
        if self.path is None:
            return
        content = {
            "identity": self.identity,
            "progress": vars(state),
            "trained": trained.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scaler": scaler.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        saved = buffer.getvalue()
        with replacing_file(self.path) as temporary, open(temporary, "wb") as file:
            file.write(sha256_bytes(saved).encode())
            file.write(saved)

    def restore_state(
        self,
        trained: nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> TrainingState:
        """Restore the saved state. Return a fresh TrainingState if there is none to use."""
        if self.path is None:
            return TrainingState()
        try:
            content = self._read_content(self.path)
        except (OSError, pickle.UnpicklingError):
            return TrainingState()
        if not isinstance(content, dict) or content.get("identity") != self.identity:
            return TrainingState()
        trained.load_state_dict(content["trained"])
        optimiser.load_state_dict(content["optimiser"])
        scaler.load_state_dict(content["scaler"])
        return TrainingState(**content["progress"])

    @staticmethod
    def _read_content(path: Path) -> object:
        """Return the content of the file, or None if it does not have its checksum."""
        with open(path, "rb") as file:
            digest, saved = file.read(DIGEST), file.read()
        if sha256_bytes(saved).encode() != digest:
            # The file is replaced as a whole, so only the disk can damage it. Training starts anew.
            return None
        return torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)


def copy_state(network: nn.Module) -> State:
    """Return a copy of the state dict on the CPU, which further steps do not change."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in network.state_dict().items()
    }
