"""Teacher and student: the maps of a trained network guide where nobody annotated.

The teacher is another variant of the experiment, trained first, with the same network and seed.
Its class activation maps become the maps of the student's training images.

Source: Boyd et al., "Teaching AI to Teach: Leveraging Limited Human Salience Data Into Unlimited
Saliency-Based Training", BMVC 2023, arXiv 2306.05527. The paper also tries RISE maps, which are not
offered here. Inferred: the class of the map, the stretch of each map to 0..1, and that images keep
the human maps they have. The class and the images are options.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyborg.common.schema import Parameters
from cyborg.config.training import TrainSpec
from cyborg.models.cam import class_activation_map, normalise_maps, select_classes
from cyborg.models.network import Network
from cyborg.training.preparations._base import Context, PlanVariant, Preparation, TrainingData
from cyborg.training.validation import choose_batch_size


class Options(Parameters):
    """Options of `teacher`."""

    variant: str = Field(description="the teacher: another row of `variants`")
    images: Literal["missing", "all"] = Field(
        "missing", description="images that get the teacher's map: those without one, or all"
    )
    target: Literal["predicted", "true"] = Field(
        "predicted", description="class whose map is taken: the teacher's prediction or the label"
    )


def plan_teacher(options: Options, alone: TrainSpec, plan_variant: PlanVariant) -> TrainSpec:
    """Return the teacher's cell."""
    return plan_variant(options.variant)


def add_teacher_maps(data: TrainingData, options: Options, context: Context) -> TrainingData:
    """Give images the class activation map of the teacher as their human map."""
    teacher = context.load_parent().to(context.device)
    wanted = np.arange(len(data.images))
    kept = np.zeros(0, dtype=np.int64)
    if options.images == "missing":
        wanted, kept = np.setdiff1d(wanted, data.owners), np.arange(len(data.owners))
    taught = draw_maps(
        teacher, data.images[wanted], data.labels[wanted], options.target, context.device
    )
    owners = np.concatenate([data.owners[kept], wanted])
    maps = np.concatenate([data.maps[kept], taught])
    order = np.argsort(owners, kind="stable")
    return replace(data, maps=maps[order], owners=owners[order])


def draw_maps(
    network: Network,
    images: np.ndarray,
    labels: np.ndarray,
    target: str = "predicted",
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Return class activation maps of images in the form of human maps, uint8 [N,S,S].

    images uint8 [N,S,S,3], labels int64 [N]. Each map is stretched to 0..255 and enlarged
    bilinearly. A constant map becomes zero.
    """
    network.eval()
    side = images.shape[1]
    out = np.empty(images.shape[:3], np.uint8)
    with torch.inference_mode():
        chunk = choose_batch_size(torch.device(device))
        for start in range(0, len(images), chunk):
            part = slice(start, start + chunk)
            batch = torch.from_numpy(images[part]).to(device).permute(0, 3, 1, 2)
            output = network(batch)
            classes = select_classes(
                target, output.logits, torch.from_numpy(labels[part]).to(device)
            )
            cam = class_activation_map(output.features, output.weight, classes)
            large: Tensor = functional.interpolate(
                normalise_maps(cam.float())[:, None], size=(side, side), mode="bilinear"
            )
            out[part] = (large[:, 0] * 255).round().clamp(0, 255).byte().cpu().numpy()
    return out


PREPARATION = Preparation(Options, add_teacher_maps, gives_maps=True, plan_parent=plan_teacher)
