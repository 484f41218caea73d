"""Save and load the network of a finished training cell."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from cyborg.common.errors import UserError
from cyborg.common.files import read_json, write_json
from cyborg.common.schema import Parameters, collect_mistakes
from cyborg.config.networks import NetworkSpec
from cyborg.models.network import Network, build_network

# Files in the folder of a cell: the weights, and the description of the network.
MODEL, NETWORK = "model.safetensors", "network.json"


class TrainedNetwork(Parameters):
    """The content of network.json: all that is needed to build the network of the weights."""

    architecture: NetworkSpec
    classes: tuple[str, ...] = Field(min_length=2)


def write_description(folder: Path, architecture: NetworkSpec, classes: tuple[str, ...]) -> None:
    """Write network.json into the folder of a cell, beside its weights."""
    network = TrainedNetwork(architecture=architecture, classes=classes)
    write_json(folder / NETWORK, network.model_dump(mode="json"))


def load_model(folder: str | Path) -> Network:
    """Return the network of a finished training cell, in evaluation mode.

    folder: that of the cell, `runs/train/<architecture>/<variant>/seed<k>/<fingerprint>`. It may be
    moved anywhere, because it describes the network itself. The names of the classes, in the order
    of the logits, are `class_names` of the network.
    Raises UserError if the folder has no network, or one that does not fit its description.
    """
    path = Path(folder) / NETWORK
    if not path.is_file():
        raise UserError(
            "there is no such file",
            location=path,
            hint="give the folder of a finished training cell, "
            "runs/train/<architecture>/<variant>/seed<k>/<fingerprint>",
        )
    try:
        trained = TrainedNetwork.model_validate(read_json(path))
    except ValidationError as error:
        raise collect_mistakes(error, TrainedNetwork, path) from error
    network = load_trained(Path(folder), trained.architecture, classes=len(trained.classes), seed=0)
    network.class_names = trained.classes
    return network.eval()


def load_trained(folder: Path, architecture: NetworkSpec, *, classes: int, seed: int) -> Network:
    """Return the network of `architecture` with the weights of the cell in `folder`.

    Raises UserError if the weights are absent or of another network.
    """
    path = folder / MODEL
    # Its weights are in the file: none are fetched, whatever the architecture starts from.
    empty = architecture.model_copy(update={"weights": "none"})
    network = build_network(empty, classes=classes, seed=seed)
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        raise UserError(
            "there is no such file", location=path, hint="run `dvc repro train`"
        ) from error
    except (SafetensorError, RuntimeError) as error:
        raise UserError(
            f"is not a model of `{architecture.name}`: {str(error).splitlines()[0]}",
            location=path,
            hint="run `dvc repro train`. It checks finished cells and trains damaged ones again",
        ) from error
    return network
