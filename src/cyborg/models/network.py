"""Build classifiers that return logits, features, and class weights in one forward pass.

    network = create_network("resnet50", weights="none", classes=2, seed=0)
    logits, features, weight = network(images)      # [B,K], [B,C,h,w], [K,C]

Images go in as they are stored (uint8, or float 0..1). Normalisation belongs to the network and
happens on its device. There are no hooks: the network returns its features before pooling.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cyborg.common.errors import UserError
from cyborg.common.schema import collect_mistakes
from cyborg.config.networks import NetworkOptions, NetworkSpec
from cyborg.models import taps, weights
from cyborg.models.architectures import RegisteredNetwork, find_network, resolve_network
from cyborg.models.second_derivatives import TwiceDifferentiable


class NetworkOutput(NamedTuple):
    """Logits [B,K], features [B,C,h,w] that the map is made of, and class weights [K,C]."""

    logits: Tensor
    features: Tensor
    weight: Tensor


class Network(nn.Module):
    """A network with its normalisation, its tap, and its frozen parts.

    net: the network itself, with timm's interface.
    image_size: side of the input, pixels.
    map_size: (height, width) of the class activation map.
    class_names: names of the classes in the order of the logits. Empty if they are not known.
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
        # Not stored with the weights, because they belong to the architecture.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._tap = getattr(taps, tap) if tap else None
        self._channels_first = getattr(net, "output_fmt", None) not in ("NHWC",)
        self._freeze_parts(frozen, freeze_batch_norm)
        self.map_size: tuple[int, int] = (0, 0)
        self.class_names: tuple[str, ...] = ()

    def forward(self, images: Tensor) -> NetworkOutput:
        """Run images [B,3,S,S], uint8 or float 0..1, through the network once."""
        return self.forward_normalised(self.normalise_images(images))

    def normalise_images(self, images: Tensor) -> Tensor:
        """Return images [B,3,S,S], uint8 or float 0..1, with the mean and deviation of training."""
        if images.dtype == torch.uint8:
            images = images.to(self.mean.dtype) / 255
        return (images - self.mean) / self.std

    def forward_normalised(self, normalised: Tensor) -> NetworkOutput:
        """Run normalised images through the network, for losses that need their gradient."""
        if normalised.requires_grad:
            with TwiceDifferentiable():
                return self._run(normalised)
        return self._run(normalised)

    def _run(self, normalised: Tensor) -> NetworkOutput:
        if self._tap is not None:
            last, features = self._tap(self.net, normalised)
        else:
            last = features = self.net.forward_features(normalised)
        logits = self.net.forward_head(last)
        if not self._channels_first:
            features = features.permute(0, 3, 1, 2)
        return NetworkOutput(logits, features, self.net.get_classifier().weight)

    def train(self, mode: bool = True) -> Network:
        """Set training or evaluation mode. Frozen parts stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_norms:
            module.eval()
        return self

    def _freeze_parts(self, prefixes: tuple[str, ...], batch_norm: bool) -> None:
        parameters = dict(self.net.named_parameters())
        for prefix in prefixes:
            chosen = [p for name, p in parameters.items() if _is_part_of(prefix, name)]
            if not chosen:
                tops = sorted(
                    {".".join(name.split(".")[:n]) for name in parameters for n in (1, 2)}
                )
                near = difflib.get_close_matches(prefix, tops, n=3) or tops[:8]
                raise UserError(
                    f"no parameter name begins with `{prefix}`",
                    location="architectures: frozen",
                    hint=f"known: {', '.join(near)}",
                )
            for parameter in chosen:
                parameter.requires_grad_(False)
        # A frozen part keeps its running statistics too. Otherwise it would change all the same.
        self._frozen_norms = [
            module
            for name, module in self.net.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
            and (batch_norm or any(_is_part_of(prefix, f"{name}.weight") for prefix in prefixes))
        ]


def create_network(name: str, *, classes: int = 2, seed: int = 0, **options: Any) -> Network:
    """Return a network by its registered name or any name of timm, with its first weights.

    options: keys of a row of `architectures` in params.yaml, such as `weights="none"`,
    `image_size=160`, or `features="published"`. seed decides all random weights.
    Raises UserError, with the nearest name, for an unknown network or option.

    >>> network = create_network("small_cnn", weights="none", image_size=40)
    >>> [tuple(tensor.shape) for tensor in network(torch.zeros(1, 3, 40, 40))]
    [(1, 2), (1, 64, 5, 5), (2, 64)]
    """
    try:
        checked = NetworkOptions.model_validate(options)
    except ValidationError as error:
        raise collect_mistakes(error, NetworkOptions, f"network {name}") from None
    return build_network(resolve_network(name, checked), classes, seed)


def build_network(architecture: NetworkSpec, classes: int, seed: int) -> Network:
    """Return a network with its first weights.

    classes: number of classes K, at least 2. seed: decides everything random, above all the new
    head. Its values are torch's default for a linear layer, as in the published code.
    Raises UserError for an unknown network, for one without a pooled linear head, for options that
    the network does not have, and for weights that are not available.
    """
    name = architecture.network
    where = f"architectures: {architecture.name}"
    if classes < 2:
        raise UserError(f"a classifier needs at least 2 classes, not {classes}", location="classes")
    row = find_network(name)
    tap = ""
    if architecture.features == "published":
        if not row.published_tap:
            raise UserError(
                f"`{name}` has no published tap",
                location=f"{where}.features",
                hint="use `features: final`",
            )
        tap = row.published_tap
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net, mean, std = _create_network(row, architecture, classes, where)
        head = _find_linear_head(net, name, where)
        torch.manual_seed(seed)
        net.get_classifier().reset_parameters()
        _load_weights(net, architecture, head, where)
        network = Network(
            net,
            mean=mean,
            std=std,
            image_size=architecture.image_size,
            tap=tap,
            frozen=architecture.frozen,
            freeze_batch_norm=architecture.freeze_batch_norm,
        )
        network.map_size = _measure_map(network, name, where)
    return network


def _create_network(
    row: RegisteredNetwork, architecture: NetworkSpec, classes: int, where: str
) -> tuple[Any, tuple[float, ...], tuple[float, ...]]:
    """Return the network with random or timm's pretrained weights, and its mean and deviation."""
    name = architecture.network
    options = dict(row.options)
    if architecture.output_stride:
        options["output_stride"] = architecture.output_stride
    half = (0.5, 0.5, 0.5)
    try:
        if row.module:
            if architecture.weights == "imagenet":
                raise UserError(
                    f"`{name}` has no ImageNet weights",
                    location=f"{where}.weights",
                    hint="use `none`",
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
                f"ImageNet weights of `{name}` are not available: {str(error).splitlines()[0]}",
                location=f"{where}.weights",
                hint=f"without network access, {weights.ALTERNATIVES}",
            ) from error
    except (TypeError, AssertionError, NotImplementedError, ValueError) as error:
        if "output_stride" not in options:
            raise UserError(
                f"cannot build `{name}`: {error or type(error).__name__}", location=where
            ) from error
        raise UserError(
            f"`{name}` does not support output_stride {options['output_stride']}",
            location=f"{where}.output_stride",
            hint="leave it null. A larger image_size gives a larger map",
        ) from error
    record: Any = net.pretrained_cfg
    return net, tuple(record.get("mean", half)), tuple(record.get("std", half))


def _load_weights(net: nn.Module, architecture: NetworkSpec, head: str, where: str) -> None:
    source = architecture.weights
    if source == "package":
        weights.load_packaged_weights(net, head, f"{where}.weights")
    elif source not in ("imagenet", "none"):
        weights.load_weights_file(net, source, architecture.weights_sha256, head)


def _find_linear_head(net: Any, name: str, where: str) -> str:
    """Return the name of the linear layer that ends the network. Raise UserError if it has none."""
    needed = ("forward_features", "forward_head", "get_classifier")
    head = net.get_classifier() if all(hasattr(net, n) for n in needed) else None
    if not isinstance(head, nn.Linear):
        raise _explain_no_map(name, where)
    names: dict[nn.Module, str] = {module: key for key, module in net.named_modules()}
    return names[head]


def _measure_map(network: Network, name: str, where: str) -> tuple[int, int]:
    """Return the size of the map, from one forward pass.

    Raises UserError if the logits are not the linear layer of the pooled features.
    """
    side = network.image_size
    # Not a constant image, which would be all zeros behind batch norm of fresh weights.
    image = torch.linspace(0, 1, 3 * side * side).view(1, 3, side, side)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            logits, features, weight = network(image)
            final = network.net.forward_features(network.normalise_images(image))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"`{name}` does not accept images of {side} px: {str(error).splitlines()[0]}",
            location=f"{where}.image_size",
            hint="use the network's own size (null) or a larger one",
        ) from error
    finally:
        network.train(training)
    if features.ndim != 4 or features.shape[1] != weight.shape[1]:
        raise _explain_no_map(name, where)
    if not network._channels_first:
        final = final.permute(0, 3, 1, 2)
    bias = network.net.get_classifier().bias
    expected = nn.functional.linear(final.mean((2, 3)), weight, bias)
    if not torch.allclose(logits, expected, rtol=1e-3, atol=1e-4 * float(logits.abs().max())):
        raise _explain_no_map(name, where)
    height, width = features.shape[-2:]
    if min(height, width) < 2:
        raise UserError(
            f"the map of `{name}` at {side} px is {height}×{width}, too small to compare places",
            location=f"{where}.image_size",
            hint="use larger images or a smaller output_stride",
        )
    return int(height), int(width)


def _explain_no_map(name: str, where: str) -> UserError:
    """Return the error for a network that class activation maps cannot be made of."""
    return UserError(
        f"`{name}` does not end in global average pooling and one linear layer",
        location=where,
        hint="class activation maps need both. ResNet, DenseNet, Inception, and EfficientNet "
        "have them",
    )


def _is_part_of(prefix: str, name: str) -> bool:
    """Tell whether a parameter belongs to a part. `blocks.1` is not a part of `blocks.10`."""
    prefix = prefix.rstrip(".")
    return name == prefix or name.startswith(f"{prefix}.")
