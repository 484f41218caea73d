"""Offer the losses to Python code: by name, and as a module for a training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from cyborg.common.errors import UserError
from cyborg.common.families import LOSSES
from cyborg.common.schema import collect_mistakes
from cyborg.losses._base import Loss, LossOutput, resize_maps

# What each extra is, for the message that it is missing.
EXTRAS = {
    "images": "the network's input [B,3,H,W]. Call `images.requires_grad_()` before the network",
    "network": "a function of images that returns (logits, features)",
    "sample_weight": "one positive number per sample [B], NaN if it is not known",
}


def list_losses() -> list[str]:
    """Return the names of all losses, sorted.

    >>> "cyborg" in list_losses()
    True
    """
    return LOSSES.list_names()


def find_loss(name: str) -> Loss:
    """Return the record of a loss, whose `function` computes it and whose `options` it takes.

    Raises UserError, with the nearest name, for an unknown loss.

    >>> find_loss("cyborg").function.__name__
    'cyborg_loss'
    >>> find_loss("gradai")
    Traceback (most recent call last):
    cyborg.common.errors.UserError: error: `gradai` is not a loss
    hint: did you mean `gradia`? known: ...
    """
    return LOSSES.find(name)


class SaliencyLoss(nn.Module):
    """A loss as a module, with its options checked once.

    loss: a name such as `cyborg` or `harmonization` (`list_losses` returns all), or a record of
    your own. options: the options of the loss, as in params.yaml.
    image_size (side of the input in pixels), map_size (height and width of the features), and seed
    are for losses that learn something themselves, such as `res_l`. Their parameters are those of
    this module: give them to the optimiser too.
    Raises UserError, with the nearest name, for an unknown loss or option, and for a value that is
    out of range.

    >>> loss = SaliencyLoss("cyborg", alpha=0.3)
    >>> loss.options["alpha"], loss.options["target"]
    (0.3, 'predicted')
    >>> SaliencyLoss("cyborg", alhpa=0.3)
    Traceback (most recent call last):
    cyborg.common.errors.UserErrors: error: loss cyborg: alhpa: not a parameter
    hint: did you mean `alpha`? ...
    """

    def __init__(
        self,
        loss: str | Loss,
        *,
        image_size: int | None = None,
        map_size: tuple[int, int] | None = None,
        seed: int = 0,
        **options: Any,
    ):
        super().__init__()
        record = find_loss(loss) if isinstance(loss, str) else loss
        self.name = loss if isinstance(loss, str) else record.function.__name__
        try:
            self.options = record.options.model_validate(options).model_dump()
        except ValidationError as error:
            raise collect_mistakes(error, record.options, f"loss {self.name}") from None
        self.record = record
        self.learned: nn.Module | None = None
        if record.create_module is not None:
            if image_size is None or map_size is None:
                raise UserError(
                    f"`{self.name}` learns a module of its own and needs its sizes",
                    hint=f'SaliencyLoss("{self.name}", image_size=224, map_size=(7, 7))',
                )
            self.learned = record.create_module(image_size, map_size, seed)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        features: Tensor,
        weight: Tensor,
        saliency: Tensor,
        *,
        present: Tensor | None = None,
        images: Tensor | None = None,
        network: Callable[[Tensor], Any] | None = None,
        sample_weight: Tensor | None = None,
    ) -> LossOutput:
        """Return the loss of a batch.

        logits [B,K], labels [B], features [B,C,h,w] before global average pooling, weight [K,C] of
        the linear layer. saliency [B,H,W] holds human maps of any scale and size, which are resized
        to the size that the loss compares. present bool [B] marks the samples that have a map
        (None: all).
        Some losses need more: images [B,3,H,W], the network's input that requires its gradient,
        network, a function of images that returns logits and features, or sample_weight [B].
        Raises UserError if one of them is missing.
        """
        offered = {"images": images, "network": network, "sample_weight": sample_weight}
        extras: dict[str, Any] = {name: offered[name] for name in sorted(self.record.extras)}
        for name, value in extras.items():
            if value is None or (name == "images" and not value.requires_grad):
                raise UserError(f"`{self.name}` needs `{name}`", hint=f"pass {EXTRAS[name]}")
        size = features.shape[-2:]
        if self.record.map_size == "images":
            size = saliency.shape[-2:] if images is None else images.shape[-2:]
        if saliency.shape[-2:] != size:
            saliency = resize_maps(saliency, (size[0], size[1]), present)
        if self.learned is not None:
            extras["learned"] = self.learned
        return self.record.function(
            logits, labels, features, weight, saliency, present=present, **self.options, **extras
        )

    def extra_repr(self) -> str:
        """Return name and options, for `print` of the module.

        >>> print(SaliencyLoss("gradia"))
        SaliencyLoss(gradia, strength=1.0)
        """
        return ", ".join([self.name, *(f"{name}={value}" for name, value in self.options.items())])
