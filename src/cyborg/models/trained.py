"""The network of a finished training cell, with the weights that the training kept."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from cyborg.common.errors import UserError
from cyborg.config.networks import NetworkSpec
from cyborg.models.network import Network, build

MODEL = "model.safetensors"


def load_trained(folder: Path, architecture: NetworkSpec, *, classes: int, seed: int) -> Network:
    """Build the network of `architecture` and put the weights of the cell in `folder` into it.

    Raises UserError where the file is absent or of another network.
    """
    path = folder / MODEL
    # Its weights are in the file: none are fetched, whatever the architecture starts from.
    empty = architecture.model_copy(update={"weights": "none"})
    network = build(empty, classes=classes, seed=seed)
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        raise UserError(
            "there is no such file", where=path, hint="run `dvc repro train`"
        ) from error
    except (SafetensorError, RuntimeError) as error:
        raise UserError(
            f"is not a model of `{architecture.name}`: {str(error).splitlines()[0]}",
            where=path,
            hint="run `dvc repro train`; it checks finished cells and trains damaged ones again",
        ) from error
    return network
