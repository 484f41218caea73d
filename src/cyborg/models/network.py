"""A classifier that gives logits, feature map and class weights in one forward pass.

    resnet = resolve_network("resnet50", NetworkOptions(weights="none"))
    net = build(resnet, classes=2, seed=0)
    logits, features, weight = net(images)      # [B,K], [B,C,h,w], [K,C]

Images go in as they are stored (uint8, or float 0..1); normalisation belongs to the network and
happens on its device. No hooks: what is before pooling is what the network hands on.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cyborg.common.errors import UserError
from cyborg.config.networks import NetworkSpec
from cyborg.models import taps, weights
from cyborg.models.architectures import Row, find_row
from cyborg.models.second_derivatives import TwiceDifferentiable


class NetworkOutput(NamedTuple):
    """Logits [B,K], the features [B,C,h,w] that the map is made of, the class weights [K,C]."""

    logits: Tensor
    features: Tensor
    weight: Tensor


class Network(nn.Module):
    """A network with its normalisation, tap point and frozen parts.

    image_size: side of the input; map_size: (height, width) of the map.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        image_size: int,
        tap: str = "",
        frozen: tuple[str, ...] = (),
        freeze_batch_norm: bool = False,
    ):
        super().__init__()
        self.net: Any = net
        self.image_size = image_size
        # Not stored with the weights: they belong to the architecture, which the cell knows.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._tap = getattr(taps, tap) if tap else None
        self._channels_first = getattr(net, "output_fmt", None) not in ("NHWC",)
        self._freeze(frozen, freeze_batch_norm)
        self.map_size: tuple[int, int] = (0, 0)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Images [B,3,S,S], uint8 or float 0..1, through the network once."""
        return self.outputs(self.normalise(images))

    def normalise(self, images: Tensor) -> Tensor:
        """Images [B,3,S,S], uint8 or float 0..1, to what the network was trained on."""
        if images.dtype == torch.uint8:
            images = images.to(self.mean.dtype) / 255
        return (images - self.mean) / self.std

    def outputs(self, normalised: Tensor) -> NetworkOutput:
        """The forward pass of normalised images, for losses that need their gradient."""
        if normalised.requires_grad:
            with TwiceDifferentiable():
                return self._outputs(normalised)
        return self._outputs(normalised)

    def _outputs(self, normalised: Tensor) -> NetworkOutput:
        if self._tap is not None:
            last, features = self._tap(self.net, normalised)
        else:
            last = features = self.net.forward_features(normalised)
        logits = self.net.forward_head(last)
        if not self._channels_first:
            features = features.permute(0, 3, 1, 2)
        return NetworkOutput(logits, features, self.net.get_classifier().weight)

    def train(self, mode: bool = True) -> Network:
        """Training or evaluation mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self._still:
            module.eval()
        return self

    def _freeze(self, prefixes: tuple[str, ...], batch_norm: bool) -> None:
        parameters = dict(self.net.named_parameters())
        for prefix in prefixes:
            chosen = [p for name, p in parameters.items() if _under(prefix, name)]
            if not chosen:
                tops = sorted(
                    {".".join(name.split(".")[:n]) for name in parameters for n in (1, 2)}
                )
                near = difflib.get_close_matches(prefix, tops, n=3) or tops[:8]
                raise UserError(
                    f"no parameter name begins with `{prefix}`",
                    where="architectures: frozen",
                    hint=f"there are {', '.join(near)}",
                )
            for parameter in chosen:
                parameter.requires_grad_(False)
        # A frozen part keeps its running statistics too, or it would change all the same.
        self._still = [
            module
            for name, module in self.net.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
            and (batch_norm or any(_under(prefix, f"{name}.weight") for prefix in prefixes))
        ]


def build(architecture: NetworkSpec, classes: int, seed: int) -> Network:
    """Make a network with its first weights.

    classes: K >= 2; seed: decides everything random, the new head first of all, whose values are
    torch's default for a linear layer, as in the published code.
    Raises UserError for an unknown network, one without a pooled linear head, options that it does
    not have, and weights that cannot be had.
    """
    name = architecture.network
    where = f"architectures: {architecture.name}"
    if classes < 2:
        raise UserError(f"{classes} class cannot be told apart", where="classes")
    row = find_row(name)
    tap = ""
    if architecture.features == "published":
        if not row.published:
            raise UserError(
                f"`{name}` has no published tap",
                where=f"{where}.features",
                hint="use `features: final`",
            )
        tap = "" if row.published == "same" else row.published
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net, mean, std = _create(row, architecture, classes, where)
        head = _linear_head(net, name, where)
        torch.manual_seed(seed)
        net.get_classifier().reset_parameters()
        _load(net, architecture, head, where)
        network = Network(
            net,
            mean=mean,
            std=std,
            image_size=architecture.image_size,
            tap=tap,
            frozen=architecture.frozen,
            freeze_batch_norm=architecture.freeze_batch_norm,
        )
        network.map_size = _dry_run(network, name, where)
    return network


def _create(
    row: Row, architecture: NetworkSpec, classes: int, where: str
) -> tuple[Any, tuple[float, ...], tuple[float, ...]]:
    """The network with random weights, or timm's pretrained ones, and its normalisation."""
    name = architecture.network
    options = dict(row.options)
    if architecture.output_stride:
        options["output_stride"] = architecture.output_stride
    half = (0.5, 0.5, 0.5)
    try:
        if row.module:
            if architecture.weights == "imagenet":
                raise UserError(
                    f"`{name}` has no ImageNet weights", where=f"{where}.weights", hint="use `none`"
                )
            factory = getattr(importlib.import_module(row.module), row.factory)
            return factory(num_classes=classes, **options), half, half
        import timm

        pretrained = architecture.weights == "imagenet"
        try:
            net = timm.create_model(row.timm, pretrained=pretrained, num_classes=classes, **options)
        except (OSError, RuntimeError) as error:
            if not pretrained:
                raise
            raise UserError(
                f"ImageNet weights of `{name}` cannot be had: {str(error).splitlines()[0]}",
                where=f"{where}.weights",
                hint=f"without network access, {weights.ALTERNATIVES}",
            ) from error
    except (TypeError, AssertionError, NotImplementedError, ValueError) as error:
        if "output_stride" not in options:
            raise UserError(
                f"`{name}` cannot be made: {error or type(error).__name__}", where=where
            ) from error
        raise UserError(
            f"`{name}` does not do output_stride {options['output_stride']}",
            where=f"{where}.output_stride",
            hint="leave it null; a larger image_size gives a larger map",
        ) from error
    record: Any = net.pretrained_cfg
    return net, tuple(record.get("mean", half)), tuple(record.get("std", half))


def _load(net: nn.Module, architecture: NetworkSpec, head: str, where: str) -> None:
    source = architecture.weights
    if source == "package":
        weights.load_package(net, head, f"{where}.weights")
    elif source not in ("imagenet", "none"):
        weights.load_file(net, source, architecture.weights_sha256, head)


def _linear_head(net: Any, name: str, where: str) -> str:
    """Name of the linear layer that ends the network."""
    needed = ("forward_features", "forward_head", "get_classifier")
    head = net.get_classifier() if all(hasattr(net, n) for n in needed) else None
    if not isinstance(head, nn.Linear):
        raise _no_map(name, where)
    return next(key for key, module in net.named_modules() if module is head)


def _dry_run(network: Network, name: str, where: str) -> tuple[int, int]:
    """Size of the map; holds that logits are the pooled features through the linear layer."""
    side = network.image_size
    # Not a constant image: behind batch norm of fresh weights that would be all zeros.
    image = torch.linspace(0, 1, 3 * side * side).view(1, 3, side, side)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            logits, features, weight = network(image)
            final = network.net.forward_features(network.normalise(image))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"`{name}` does not take images of {side} px: {str(error).splitlines()[0]}",
            where=f"{where}.image_size",
            hint="use the network's own size (null) or a larger one",
        ) from error
    finally:
        network.train(training)
    if features.ndim != 4 or features.shape[1] != weight.shape[1]:
        raise _no_map(name, where)
    if not network._channels_first:
        final = final.permute(0, 3, 1, 2)
    bias = network.net.get_classifier().bias
    expected = nn.functional.linear(final.mean((2, 3)), weight, bias)
    if not torch.allclose(logits, expected, rtol=1e-3, atol=1e-4 * float(logits.abs().max())):
        raise _no_map(name, where)
    height, width = features.shape[-2:]
    if min(height, width) < 2:
        raise UserError(
            f"the map of `{name}` at {side} px is {height}×{width}: it says nothing about places",
            where=f"{where}.image_size",
            hint="use larger images or a smaller output_stride",
        )
    return int(height), int(width)


def _no_map(name: str, where: str) -> UserError:
    return UserError(
        f"`{name}` does not end in global average pooling and one linear layer",
        where=where,
        hint="class activation maps need both, such as ResNet, DenseNet, Inception, EfficientNet",
    )


def _under(prefix: str, name: str) -> bool:
    """Whether a parameter belongs to a part: `blocks.1` is not the beginning of `blocks.10`."""
    prefix = prefix.rstrip(".")
    return name == prefix or name.startswith(f"{prefix}.")
