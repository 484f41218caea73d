"""List the registered networks, with their facts that timm does not know.

Nothing here imports torch, because the planning stages ask for input sizes and module names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cyborg.common.errors import UserError
from cyborg.config.networks import NetworkOptions, NetworkSpec


@dataclass(frozen=True)
class RegisteredNetwork:
    """A network that has a name of its own in this project.

    timm: its name in timm, with the tag of its weights. Empty if `module` defines the network.
    image_size: side of the input in the source, pixels.
    source: the paper and code that network, size and tap are taken from.
    published_tap: function in cyborg.models.taps that returns the features which the published
    code makes its map of. Empty if there is none.
    options: keywords of the constructor in the source that differ from timm's defaults.
    module, factory: module and class in this project that define the network.

    The licence of the weights and the normalisation are in timm's record of the weights.
    """

    timm: str
    image_size: int
    source: str
    published_tap: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""
    factory: str = ""


# Sources that several networks share.
CYBORG = "Boyd et al., WACV 2023, code CVRL/CYBORG"
MENTOR = "Boyd et al., MENTOR, arXiv 2310.19545, code CVRL/MENTOR"

NETWORKS: dict[str, RegisteredNetwork] = {
    # Networks of the paper. The published training has the dropout of torchvision's Inception.
    "densenet121": RegisteredNetwork(
        "densenet121.tv_in1k", 224, CYBORG, published_tap="tap_before_last_relu"
    ),
    "inception_v3": RegisteredNetwork(
        "inception_v3.tv_in1k",
        299,
        CYBORG,
        published_tap="tap_last_features",
        options={"drop_rate": 0.5},
    ),
    "resnet50": RegisteredNetwork(
        "resnet50.tv_in1k", 224, CYBORG, published_tap="tap_last_convolution_of_resnet"
    ),
    "xception": RegisteredNetwork(
        "legacy_xception.tf_in1k", 299, CYBORG, published_tap="tap_conv4_of_xception"
    ),
    # Networks of its successors. EfficientNet-B7 has torchvision's stochastic depth but no dropout,
    # because the published code replaces that too by the new linear layer. MENTOR taps Inception-v4
    # inside its last block and puts another head on it. That is another network, so `final` is the
    # only tap here.
    "efficientnet_b7": RegisteredNetwork(
        "tf_efficientnet_b7.ra_in1k",
        224,
        MENTOR,
        published_tap="tap_conv_head_of_efficientnet",
        options={"drop_path_rate": 0.2},
    ),
    "inception_v4": RegisteredNetwork("inception_v4.tf_in1k", 299, MENTOR),
    "resnet152": RegisteredNetwork(
        "resnet152.tv_in1k", 224, MENTOR, published_tap="tap_last_convolution_of_resnet"
    ),
    # Light networks: one with ImageNet weights from the package index, one trained from scratch.
    "efficientnet_lite0": RegisteredNetwork(
        "tf_efficientnet_lite0.in1k", 160, "Tan and Le, EfficientNet, ICML 2019, lite: TensorFlow"
    ),
    "small_cnn": RegisteredNetwork(
        "", 112, "this project", module="cyborg.models.small_cnn", factory="SmallCNN"
    ),
}


def resolve_network(name: str, options: NetworkOptions) -> NetworkSpec:
    """Return the network that a row of `architectures` describes, with nothing left open.

    name: key of the row. timm is imported only for networks that have no row in this table.
    Raises UserError for a network that neither this table nor timm knows.

    >>> resolve_network("mine", NetworkOptions(network="xception")).image_size
    299
    """
    network = options.network or name
    row = options.model_dump(include=set(NetworkOptions.model_fields))
    row |= {
        "name": name,
        "network": network,
        "image_size": options.image_size or input_size(network),
    }
    return NetworkSpec.model_validate(row)


def input_size(network: str) -> int:
    """Return the side of a network's own input in pixels.

    timm is imported only for networks that have no row in this table. Raises UserError for a
    network that neither this table nor timm knows.
    """
    return find_network(network).image_size


def find_network(name: str) -> RegisteredNetwork:
    """Return the row of a registered network, or a new one for any other name that timm knows.

    Raises UserError, with the nearest names, for a network that timm does not know either.

    >>> find_network("resnet50").timm
    'resnet50.tv_in1k'
    """
    if name in NETWORKS:
        return NETWORKS[name]
    return RegisteredNetwork(name, int(_find_timm_record(name).input_size[-1]), "timm")


def list_modules(spec: NetworkSpec) -> list[str]:
    """Return the modules of this project that define a network, besides cyborg.models.network."""
    row = NETWORKS.get(spec.network)
    return [row.module] if row and row.module else []


def _find_timm_record(name: str) -> Any:
    """Return timm's record of a network's weights: input size, mean, std, licence."""
    import timm

    if not timm.is_model(name):
        raise UserError(f"`{name}` is not a network", hint=_suggest_networks(name))
    plain = name.split(".")[0]
    try:
        record = timm.get_pretrained_cfg(name)
    except (RuntimeError, ValueError) as error:
        tags = timm.list_pretrained(f"{plain}.*")
        raise UserError(
            f"timm has no weights `{name}`", hint=f"known: {', '.join(tags)}"
        ) from error
    if record is None:
        raise UserError(f"timm does not state the input size of `{name}`", hint="give `image_size`")
    return record


def _suggest_networks(name: str) -> str:
    import difflib

    import timm

    near = difflib.get_close_matches(name, sorted({*NETWORKS, *timm.list_models()}), n=3)
    hint = f"did you mean {' or '.join(f'`{other}`' for other in near)}? " if near else ""
    return f"{hint}registered: {', '.join(sorted(NETWORKS))}. Any name of timm works too"
