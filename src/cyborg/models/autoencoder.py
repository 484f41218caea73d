"""Define an autoencoder from image to human map: a classifier's trunk with a U-Net decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from torch import Tensor, nn

from cyborg.common.errors import UserError
from cyborg.models.network import Network

# Channels of the decoder's stages, from coarse to fine.
WIDTHS = (256, 128, 64, 32, 16)
# Features narrower than this share of another's width belong to the next level. Convolutions
# without padding (Inception) take a few pixels off at every layer and are no new level.
NARROWER = 0.7
# Decoders of segmentation_models_pytorch.
DECODERS = {"unet": UnetDecoder, "unetplusplus": UnetPlusPlusDecoder}


class Skip(NamedTuple):
    """A module of the trunk whose output goes to the decoder, with the shape of that output."""

    name: str
    channels: int
    size: tuple[int, int]


class Autoencoder(nn.Module):
    """A classifier as encoder, and a decoder that returns a map.

    The encoder is the classifier itself, so that no weights need to be translated afterwards.

    network: trained in place, except its head. size: side of the images, pixels. decoder: `unet` or
    `unetplusplus`. Raises UserError if the trunk does not halve its maps as the decoder needs.
    """

    def __init__(self, network: Network, size: int, decoder: str):
        super().__init__()
        self.network = network
        self.skips = find_skips(network, size)
        self._check_sizes(size, decoder)
        channels = (3, *(skip.channels for skip in self.skips))
        widths = WIDTHS[-len(self.skips) :]
        self.decoder = DECODERS[decoder](channels, widths, len(self.skips))
        self.head = SegmentationHead(widths[-1], 1, kernel_size=3)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of the map [B,S,S] of images [B,3,S,S], uint8 or float 0..1."""
        normalised = self.network.normalise_images(images)
        outputs = _run_trunk(self.network, normalised, [skip.name for skip in self.skips])
        decoded = self.decoder([normalised, *outputs])
        logits: Tensor = self.head(decoded)[:, 0]
        return logits

    def _check_sizes(self, size: int, decoder: str) -> None:
        exact = all(
            skip.size == (size >> level,) * 2 for level, skip in enumerate(self.skips, start=1)
        )
        if decoder == "unetplusplus" and not exact:
            sizes = ", ".join(f"{skip.size[0]}x{skip.size[1]}" for skip in self.skips)
            raise UserError(
                f"the maps of this network ({sizes} at {size} pixels) are not halves of each other",
                location="params.yaml: variants: prepare.mentor.decoder",
                hint="use `decoder: unet`",
            )


def find_skips(network: Network, size: int) -> list[Skip]:
    """Return one module for every halving of the image, from fine to coarse.

    Among all modules of about one size, the one with most channels is taken, and the last of
    equals. That is a stage rather than its parts. The one of the last size is, or leads to, the
    features that the classifier pools. Raises UserError if there are not 1 to 5 halvings.
    """
    outputs: list[Skip] = []
    image = torch.zeros(1, 3, size, size)

    def record_output(name: str, output: Any) -> None:
        if (
            isinstance(output, Tensor)
            and output.ndim == 4
            and 1 < output.shape[-1] < NARROWER * size
        ):
            height, width = output.shape[-2:]
            outputs.append(Skip(name, output.shape[1], (height, width)))

    training = network.training
    network.eval()
    names = [name for name, _ in network.net.named_modules() if name]
    try:
        with torch.no_grad(), _watch_outputs(network.net, names, record_output):
            network.net.forward_features(network.normalise_images(image))
    finally:
        network.train(training)
    levels: list[list[Skip]] = []
    for skip in sorted(outputs, key=lambda skip: -skip.size[1]):  # stable: in order of execution
        if not levels or skip.size[1] < NARROWER * levels[-1][0].size[1]:
            levels.append([])
        levels[-1].append(skip)
    if not levels or len(levels) > len(WIDTHS):
        raise UserError(
            f"the trunk of this network halves its maps {len(levels)} times, not 1 to 5 times",
            location="params.yaml: variants: prepare.mentor",
            hint="MENTOR needs a convolutional network such as ResNet, DenseNet or EfficientNet",
        )
    # max() returns the first of equals. From the end, that is the last one.
    return [max(reversed(level), key=lambda skip: skip.channels) for level in levels]


def _run_trunk(network: Network, normalised: Tensor, names: list[str]) -> list[Tensor]:
    """Return the outputs of the named modules, from one forward pass through the trunk."""
    outputs: dict[str, Tensor] = {}
    with _watch_outputs(network.net, names, outputs.__setitem__):
        network.net.forward_features(normalised)
    return [outputs[name] for name in names]


@contextmanager
def _watch_outputs(
    net: nn.Module, names: list[str], record: Callable[[str, Any], None]
) -> Iterator[None]:
    """Call `record` with the name and the output of each named module that runs."""

    def make_hook(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: record(name, output)

    modules = dict(net.named_modules())
    handles = [modules[name].register_forward_hook(make_hook(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
