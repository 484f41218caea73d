"""RES-L: a robust explanation loss, with human maps imputed by a convolution that is learned.

    L = CE(z, y) + strength · [ relu( mean |tanh(5 (M - a)) - F| - eta ) + mean |M - T(F₊)| ]

M is Grad-CAM of the true class without ReLU, min-max normalised with 1e-6 in the divisor. F labels
each pixel 1, -1, or 0 (unknown), and F₊ is 1 for pixels labelled 1. The first mean is over
labelled pixels. The number a is the threshold of the batch for which most labels hold. T is one
convolution from the binary map at the size of the image to the size of the map, min-max
normalised. Its stride s is the number of image pixels per map pixel, and its kernel is 2 s wide. It
is trained along with the network.

Source: Gao et al., RES: A Robust Framework for Guiding Visual Explanation, KDD 2022,
arXiv 2206.13413, with the code YuyangGao/RES, RES.py, `S1` (224 pixels to 7: kernel 64, stride 32).

Differs from the source: as `res_g` does, in `negative`, in `threshold`, and in the search for a.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cyborg.losses._base import (
    Loss,
    LossOutput,
    cross_entropy,
    grad_cam,
    mean_present,
    prepare_human_maps,
    resize_maps,
)
from cyborg.losses._res import RobustOptions, label_pixels, robust_distance
from cyborg.models.cam import normalise_maps


class Options(RobustOptions):
    """Options of `res_l`."""


class Imputation(nn.Module):
    """One convolution, its kernel twice its stride, from binary maps [B,S,S] to maps [B,h,w]."""

    def __init__(self, image_size: int, map_size: tuple[int, int]):
        super().__init__()
        self.map_size = map_size
        # An even stride, so that half of it pads each side. Maps of other sizes are resized to fit.
        self.stride = max(2 * round(image_size / max(map_size) / 2), 2)
        self.convolution = nn.Conv2d(1, 1, 2 * self.stride, self.stride, self.stride // 2)

    def forward(self, marked: Tensor) -> Tensor:
        """Return maps [B,h,w] in 0..1 from marked pixels [B,S,S] of any size."""
        size = (self.map_size[0] * self.stride, self.map_size[1] * self.stride)
        fitted = functional.interpolate(marked[:, None], size=size, mode="nearest-exact")
        weight = self.convolution.weight.to(fitted.dtype)
        bias = self.convolution.bias
        imputed = functional.conv2d(
            fitted,
            weight,
            None if bias is None else bias.to(fitted.dtype),
            self.stride,
            self.stride // 2,
        )
        return normalise_maps(imputed[:, 0], epsilon=1e-6)


def create_imputation(image_size: int, map_size: tuple[int, int], seed: int) -> Imputation:
    """Return the convolution that is trained with the network, its first values from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Imputation(image_size, map_size)


def res_l_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    strength: float = 1.0,
    eta: float = 0.0,
    threshold: float = 0.5,
    negative: str = "avoid",
    present: Tensor | None = None,
    learned: nn.Module,
) -> LossOutput:
    """Return cross-entropy + strength · robust distance of Grad-CAM from human and imputed maps.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,S,S] at the size of the
    image, present [B], learned: the module from `create_imputation`. `.saliency` is the distance
    before `strength`.
    """
    cam = grad_cam(features, weight, labels)
    coarse = resize_maps(saliency, (cam.shape[1], cam.shape[2]), present)
    human, present = prepare_human_maps(coarse, cam, present)
    truth = label_pixels(human, threshold, negative)
    fine, _ = prepare_human_maps(saliency, saliency, present)
    model = normalise_maps(cam, epsilon=1e-6)
    imputed = learned(label_pixels(fine.to(cam), threshold, "unknown"))
    soft = mean_present((model - imputed).abs().mean((1, 2)), present)
    agreement = robust_distance(model, truth, eta) + soft
    classification = cross_entropy(logits, labels)
    return LossOutput(classification + strength * agreement, classification, agreement, cam)


LOSS = Loss(res_l_loss, Options, map_size="images", create_module=create_imputation)
