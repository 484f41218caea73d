"""MENTOR: first weights from an autoencoder that learned where people look.

A network with a decoder learns human maps from images, without labels, in a cell of its own. Its
encoder is the network that is then trained as a classifier. Its linear layer keeps its own weights.
The autoencoder u minimises

    L = mean (sigmoid(u(x)) - N(S))²

with Adam, and the epoch of the best validation loss is kept. Variants with equal options, maps,
network and seed share the autoencoder.

Source: Boyd et al., "MENTOR: Human Perception-Guided Pretraining for Increased Generalization",
arXiv 2310.19545, code CVRL/MENTOR. The defaults are those published.

Differs from the source: the encoder is the classifier's own trunk and not a copy with translated
names, so any network whose trunk halves its maps works (Inception with `decoder: unet` only).
Images come from the packed ones, of the network's input size, and are resized to `image_size`.
Parameters that the architecture freezes stay frozen here too.
"""

from __future__ import annotations

from cyborg.config.pretraining import Pretraining, PretrainSpec
from cyborg.config.training import TrainSpec
from cyborg.training.preparations._base import Context, PlanVariant, Preparation, TrainingData

# Name of the autoencoder's cells. Variants of equal options and maps share them.
VARIANT = "mentor_autoencoder"


def plan_autoencoder(
    options: Pretraining, alone: TrainSpec, plan_variant: PlanVariant
) -> PretrainSpec:
    """Return the autoencoder's cell: it reads the images and maps of the variant, and no loss."""
    return PretrainSpec(
        architecture=alone.architecture,
        variant=VARIANT,
        classes=alone.classes,
        seed=alone.seed,
        sources=alone.sources,
        saliency=alone.saliency,
        control=alone.control,
        autoencoder=options,
        inputs=alone.inputs,
        code="",
        parents=(),
    )


def load_encoder(data: TrainingData, options: Pretraining, context: Context) -> TrainingData:
    """Give the network the weights of the autoencoder's encoder. The head keeps its own."""
    # The autoencoder never used the head, so it saved the same first values there.
    context.network.load_state_dict(context.load_parent().state_dict())
    return data


PREPARATION = Preparation(Pretraining, load_encoder, needs_maps=True, plan_parent=plan_autoencoder)
