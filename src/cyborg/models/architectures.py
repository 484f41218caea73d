"""The networks that have a name of their own, and what timm cannot tell about them.

Nothing here imports torch: the planning stages ask for input sizes and module names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cyborg.common.errors import UserError
from cyborg.config.networks import NetworkOptions, NetworkSpec


@dataclass(frozen=True)
class Row:
    """A named network.

    timm: its name there, with the tag of its weights; empty: `module` of this project defines it.
    image_size: side of the input in the source, pixels.
    source: where the choice of network, size and tap comes from.
    published: function in cyborg.models.taps that gives the published code's map; empty: none.
    options: what the source gives the constructor besides timm's defaults.
    module, factory: module and class in this project that define the network.
    licence of the weights and normalisation travel with timm's record of them.
    """

    timm: str
    image_size: int
    source: str
    published: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""
    factory: str = ""


CYBORG = "Boyd et al., WACV 2023; code CVRL/CYBORG"
MENTOR = "Boyd et al., MENTOR, arXiv 2310.19545; code CVRL/MENTOR"

NETWORKS: dict[str, Row] = {
    # Those of the paper. Inception's dropout is torchvision's, in force in the published training.
    "densenet121": Row("densenet121.tv_in1k", 224, CYBORG, published="before_last_relu"),
    "inception_v3": Row(
        "inception_v3.tv_in1k", 299, CYBORG, published="same", options={"drop_rate": 0.5}
    ),
    "resnet50": Row("resnet50.tv_in1k", 224, CYBORG, published="last_convolution_of_resnet"),
    "xception": Row("legacy_xception.tf_in1k", 299, CYBORG, published="conv4_of_xception"),
    # Those of its successors. EfficientNet-B7 has torchvision's stochastic depth but no dropout,
    # since the published code replaces that too by the new linear layer. MENTOR taps Inception-v4
    # inside its last block and puts another head on it: that is another network, so `final` is the
    # only tap here.
    "efficientnet_b7": Row(
        "tf_efficientnet_b7.ra_in1k",
        224,
        MENTOR,
        published="conv_head_of_efficientnet",
        options={"drop_path_rate": 0.2},
    ),
    "inception_v4": Row("inception_v4.tf_in1k", 299, MENTOR),
    "resnet152": Row("resnet152.tv_in1k", 224, MENTOR, published="last_convolution_of_resnet"),
    # Light ones: ImageNet weights from the package index, and one trained from scratch.
    "efficientnet_lite0": Row(
        "tf_efficientnet_lite0.in1k", 160, "Tan and Le, EfficientNet, ICML 2019; lite: TensorFlow"
    ),
    "small_cnn": Row("", 112, "this project", module="cyborg.models.small_cnn", factory="SmallCNN"),
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
    return find_row(network).image_size


def find_row(name: str) -> Row:
    """The row of a registered network, or one made for any other name that timm knows."""
    if name in NETWORKS:
        return NETWORKS[name]
    return Row(name, int(_record(name).input_size[-1]), "timm")


def module_files(architecture: NetworkSpec) -> list[str]:
    """Modules of this project that a network is made of, besides cyborg.models.network."""
    row = NETWORKS.get(architecture.network)
    return [row.module] if row and row.module else []


def _record(name: str) -> Any:
    """timm's record of a network's weights: input size, mean, std, licence."""
    import timm

    if not timm.is_model(name):
        raise UserError(f"`{name}` is not a network", hint=_nearest(name))
    plain = name.split(".")[0]
    try:
        record = timm.get_pretrained_cfg(name)
    except (RuntimeError, ValueError) as error:
        tags = timm.list_pretrained(f"{plain}.*")
        raise UserError(
            f"timm has no weights `{name}`", hint=f"known: {', '.join(tags)}"
        ) from error
    if record is None:
        raise UserError(f"timm does not tell the input size of `{name}`", hint="give `image_size`")
    return record


def _nearest(name: str) -> str:
    import difflib

    import timm

    near = difflib.get_close_matches(name, sorted({*NETWORKS, *timm.list_models()}), n=3)
    hint = f"did you mean {' or '.join(f'`{other}`' for other in near)}? " if near else ""
    return f"{hint}registered: {', '.join(sorted(NETWORKS))}; any timm name works too"
