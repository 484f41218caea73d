"""What is minimised: a loss of cyborg/losses with its options, and what it asks for besides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from cyborg.data.batches import Batch
from cyborg.losses._base import LossOutput
from cyborg.models.network import NetworkOutput


class Objective(nn.Module):
    """A loss as a module: its parameters are what the loss learns itself, mostly nothing.

    module: of cyborg/losses; options: those of its schema; image_size, map_size: of the network;
    seed: decides first values of what is learned.
    """

    def __init__(
        self,
        module: ModuleType,
        options: dict[str, Any],
        image_size: int,
        map_size: tuple[int, int],
        seed: int,
    ):
        super().__init__()
        name = module.__name__.rsplit(".", 1)[-1]
        checked = module.Options.model_validate(options).model_dump()
        self.loss: Callable[..., LossOutput] = partial(getattr(module, f"{name}_loss"), **checked)
        self.needs = frozenset(getattr(module, "NEEDS", ()))
        # Side lengths of the human maps that the loss wants.
        full = getattr(module, "MAPS", "features") == "images"
        self.map_size = (image_size, image_size) if full else map_size
        if "learned" in self.needs:
            self.learned: nn.Module = module.learn(image_size, map_size, seed)

    def prepared(self, normalised: Tensor) -> Tensor:
        """The network's input, made to require its gradient where the loss takes one."""
        return normalised.requires_grad_("images" in self.needs)

    def forward(
        self,
        output: NetworkOutput,
        batch: Batch,
        inputs: Tensor,
        network: Callable[[Tensor], NetworkOutput],
    ) -> LossOutput:
        """The loss of a batch; `inputs` gave `output`, `network` is there to be asked again."""
        offered = {"images": inputs, "network": network, "sample_weight": batch.weight}
        if "learned" in self.needs:
            offered["learned"] = self.learned
        return self.loss(
            output.logits,
            batch.labels,
            output.features,
            output.weight,
            batch.saliency,
            present=batch.present,
            **{name: offered[name] for name in self.needs},
        )
