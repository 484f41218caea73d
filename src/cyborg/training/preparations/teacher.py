"""Teacher and student: the maps of a trained network guide where nobody annotated.

The teacher is another variant of the experiment, trained first, with the same network and seed;
its class activation maps become the maps of the student's training images. Source: Boyd et al.,
"Teaching AI to Teach: Leveraging Limited Human Salience Data Into Unlimited Saliency-Based
Training", BMVC 2023, arXiv 2306.05527 (there also with RISE maps). Whose class the map is of, and
that images keep the human maps they have, is inferred; both are options.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyborg.common.schema import Parameters
from cyborg.config.networks import NetworkSpec
from cyborg.models.cam import class_activation_map, normalise_maps, select_classes
from cyborg.models.network import Network
from cyborg.models.trained import load_trained
from cyborg.training.preparations._base import Context, Material, Preparation, Spec, Variants
from cyborg.training.validation import suitable


class Options(Parameters):
    """Options of `teacher`."""

    variant: str = Field(description="the teacher: another row of `variants`")
    images: Literal["missing", "all"] = Field(
        "missing", description="images that get the teacher's map: those without one, or all"
    )
    target: Literal["predicted", "true"] = Field(
        "predicted", description="class whose map is taken: the teacher's prediction or the label"
    )


def parent(options: Options, own: Spec, variants: Variants) -> Spec:
    """The teacher's cell."""
    return variants(options.variant)


def prepare(material: Material, options: Options, context: Context) -> Material:
    """Give images the class activation map of the teacher as their human map."""
    assert context.parent is not None  # `parent` above gives one
    spec = context.spec
    teacher = load_trained(
        context.parent,
        NetworkSpec.model_validate(spec["architecture"]),
        classes=len(spec["classes"]),
        seed=spec["seed"],
    ).to(context.device)
    wanted = np.arange(len(material.images))
    kept = np.zeros(0, dtype=np.int64)
    if options.images == "missing":
        wanted, kept = np.setdiff1d(wanted, material.owners), np.arange(len(material.owners))
    taught = maps_of(
        teacher, material.images[wanted], material.labels[wanted], options.target, context.device
    )
    owners = np.concatenate([material.owners[kept], wanted])
    maps = np.concatenate([material.maps[kept], taught])
    order = np.argsort(owners, kind="stable")
    return Material(
        material.images,
        material.labels,
        material.sources,
        material.weights,
        maps[order],
        owners[order],
    )


def maps_of(
    network: Network,
    images: np.ndarray,
    labels: np.ndarray,
    target: str = "predicted",
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Class activation maps of images uint8 [N,S,S,3] as human maps are kept: uint8 [N,S,S].

    Each is stretched to 0..255 and enlarged bilinearly; a constant map is zero. labels int64 [N].
    """
    network.eval()
    side = images.shape[1]
    out = np.empty(images.shape[:3], np.uint8)
    with torch.inference_mode():
        chunk = suitable(torch.device(device))
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


PREPARATION = Preparation(Options, prepare, gives_maps=True, parent=parent)
