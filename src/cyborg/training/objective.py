"""What is minimised: a loss of cyborg/losses with its options, and what it asks for besides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from cyborg.losses._base import Loss, LossOutput
from cyborg.models.network import NetworkOutput
from cyborg.training.batches import Batch


class Objective(nn.Module):
    """A loss as a module: its parameters are what the loss learns itself, mostly nothing.

    loss: a member of cyborg/losses; options: those of its schema; image_size, map_size: of the
    network;
    seed: decides first values of what is learned.
    """

    def __init__(
        self,
        loss: Loss,
        options: dict[str, Any],
        image_size: int,
        map_size: tuple[int, int],
        seed: int,
    ):
        super().__init__()
        checked = loss.options.model_validate(options).model_dump()
        self.loss: Callable[..., LossOutput] = partial(loss.function, **checked)
        self.extras = loss.extras
        # Side lengths of the human maps that the loss wants.
        full = loss.map_size == "images"
        self.map_size = (image_size, image_size) if full else map_size
        self.learned: nn.Module | None = None
        if loss.create_module is not None:
            self.learned = loss.create_module(image_size, map_size, seed)

    def prepared(self, normalised: Tensor) -> Tensor:
        """The network's input, made to require its gradient where the loss takes one."""
        return normalised.requires_grad_("images" in self.extras)

    def forward(
        self,
        output: NetworkOutput,
        batch: Batch,
        inputs: Tensor,
        network: Callable[[Tensor], NetworkOutput],
    ) -> LossOutput:
        """The loss of a batch; `inputs` gave `output`, `network` is there to be asked again."""
        offered = {"images": inputs, "network": network, "sample_weight": batch.weight}
        return self.loss(
            output.logits,
            batch.labels,
            output.features,
            output.weight,
            batch.saliency,
            present=batch.present,
            **{name: offered[name] for name in self.extras},
            **({"learned": self.learned} if self.learned is not None else {}),
        )
