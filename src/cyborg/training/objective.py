"""Turn a loss of cyborg/losses, with its options, into the module that training minimises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from cyborg.losses._base import Loss, LossOutput
from cyborg.losses._module import SaliencyLoss
from cyborg.models.network import NetworkOutput
from cyborg.training.batches import Batch


class Objective(nn.Module):
    """A loss of batches, whose parameters are those that the loss learns itself (mostly none).

    loss: a member of cyborg/losses. options: its options, as in params.yaml. image_size, map_size:
    those of the network. seed: decides the first values of the parameters.
    """

    def __init__(
        self,
        loss: Loss,
        options: Mapping[str, Any],
        image_size: int,
        map_size: tuple[int, int],
        seed: int,
    ):
        super().__init__()
        self.loss = SaliencyLoss(
            loss, image_size=image_size, map_size=map_size, seed=seed, **options
        )
        self.extras = loss.extras
        # Height and width of the human maps that the loss compares.
        full = loss.map_size == "images"
        self.map_size = (image_size, image_size) if full else map_size

    def prepare_inputs(self, normalised: Tensor) -> Tensor:
        """Return the network's input, which requires its gradient if the loss needs it."""
        return normalised.requires_grad_("images" in self.extras)

    def forward(
        self,
        output: NetworkOutput,
        batch: Batch,
        inputs: Tensor,
        network: Callable[[Tensor], NetworkOutput],
    ) -> LossOutput:
        """Return the loss of a batch.

        inputs: the network's input, of which `output` was computed. network: computes the output
        of other inputs, for losses that need it.
        """
        result: LossOutput = self.loss(
            output.logits,
            batch.labels,
            output.features,
            output.weight,
            batch.saliency,
            present=batch.present,
            images=inputs,
            network=network,
            sample_weight=batch.weight,
        )
        return result
