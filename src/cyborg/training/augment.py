"""Random changes of a batch on the device: geometry to image and map together, the rest to images.

All random numbers of a batch are drawn at once on the CPU, in a fixed order and number, so that
every device sees the same ones; no step loops over images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cyborg.config.training import Augmentation
from cyborg.training.jpeg import compress

# Grey value of red, green, blue (ITU-R BT.601).
GREY = (0.299, 0.587, 0.114)
BLUR_SIGMA = (0.3, 1.5)  # pixels
JPEG_QUALITY = (50, 95)


def changes(augmentation: Augmentation) -> bool:
    """Whether anything is changed at all."""
    return any(augmentation.model_dump().values())


def augment(
    images: Tensor, maps: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images uint8 [B,3,S,S] and maps uint8 [B,S,S], changed at random.

    Uniform draws: flip with its probability; size by a factor 1-scale..1+scale, angle up to
    `rotation` degrees and shift up to `shift` of the side, either way; brightness, contrast and
    saturation by a factor 1-colour..1+colour each; blur (sigma 0.3-1.5 pixels) and JPEG (quality
    50-95) with their probabilities. What geometry uncovers is mirrored in the image and zero in
    the map. Gives uint8 in the memory format of the input.
    """
    draws = torch.rand(len(images), 12, generator=generator)
    flip, zoom, angle, across, down = draws[:, :5].T
    brightness, contrast, saturation = ((2 * draws[:, 5:8] - 1) * augmentation.colour + 1).T
    blurred, sigma, coded, quality = draws[:, 8:].T
    flip = flip < augmentation.flip
    if augmentation.scale or augmentation.rotation or augmentation.shift:
        theta = _theta(
            flip,
            1 + (2 * zoom - 1) * augmentation.scale,
            torch.deg2rad((2 * angle - 1) * augmentation.rotation),
            torch.stack([across, down], 1).mul(2).sub(1) * augmentation.shift,
        )
        pixels, human = warp(images.float(), maps.float(), theta.to(images.device))
    else:
        flip = flip.to(images.device)
        pixels = torch.where(flip[:, None, None, None], images.flip(-1), images).float()
        human = torch.where(flip[:, None, None], maps.flip(-1), maps).float()
    if augmentation.colour:
        pixels = _colour(pixels, brightness, contrast, saturation)
    if (chosen := _chosen(blurred < augmentation.blur, pixels)) is not None:
        low, high = BLUR_SIGMA
        pixels[chosen] = blur(pixels[chosen], low + (high - low) * sigma.to(pixels.device)[chosen])
    if (chosen := _chosen(coded < augmentation.jpeg, pixels)) is not None:
        low, high = JPEG_QUALITY
        pixels[chosen] = compress(
            pixels[chosen].round(), low + (high - low) * quality.to(pixels.device)[chosen]
        )
    return _bytes(pixels), _bytes(human)


def warp(images: Tensor, maps: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Images [B,3,S,S] and maps [B,S,S] (float) sampled at theta [B,2,3] of the output grid."""
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    human = functional.grid_sample(maps[:, None], grid, padding_mode="zeros", align_corners=False)
    return moved, human[:, 0]


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Images [B,3,H,W] blurred by Gaussians of sigma [B] pixels (cut off at 5), edges repeated."""
    radius = 5
    number, channels, height, width = images.shape
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-((offsets / sigma[:, None]) ** 2) / 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = functional.pad(images, [radius] * 4, mode="replicate")
    planes = planes.reshape(1, number * channels, height + 2 * radius, width + 2 * radius)
    planes = functional.conv2d(planes, kernel[:, None, :, None], groups=len(kernel))
    planes = functional.conv2d(planes, kernel[:, None, None, :], groups=len(kernel))
    return planes.reshape(images.shape)


def _theta(flip: Tensor, zoom: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Matrices [B,2,3] from places in the output to places in the input (-1..1 over the side).

    An object is mirrored, enlarged by `zoom`, turned by `angle` and moved by `shift` of the side;
    the matrix is the inverse of that.
    """
    mirror = 1.0 - 2.0 * flip.float()
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    linear = torch.stack([mirror * cosine, mirror * sine, -sine, cosine], 1).reshape(-1, 2, 2)
    offset = -torch.einsum("bij,bj->bi", linear, 2 * shift)
    return torch.cat([linear, offset[:, :, None]], 2)


def _colour(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Brightness, contrast (about the mean grey), saturation (about each pixel's grey)."""

    def factor(values: Tensor) -> Tensor:
        return values.to(images.device)[:, None, None, None]

    weights = images.new_tensor(GREY)[:, None, None]
    images = images * factor(brightness)
    middle = (images * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    images = middle + (images - middle) * factor(contrast)
    grey = (images * weights).sum(1, keepdim=True)
    return (grey + (images - grey) * factor(saturation)).clamp(0, 255)


def _chosen(mask: Tensor, like: Tensor) -> Tensor | None:
    """Rows where the mask (on the CPU: no wait for the device) is true; None where nowhere."""
    return mask.nonzero()[:, 0].to(like.device) if mask.any() else None


def _bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
