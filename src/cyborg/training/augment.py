"""Change a batch at random on the device: geometry of images and maps, and looks of images.

All random numbers of a batch are drawn at once on the CPU, in a fixed order and number, so that
every device sees the same ones. No step loops over images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cyborg.config.training import Augmentation
from cyborg.training.jpeg import compress_images

# Shares of red, green, and blue in the grey value (ITU-R BT.601).
GREY = (0.299, 0.587, 0.114)
# Range of the standard deviation of the blur, pixels.
BLUR_SIGMA = (0.3, 1.5)
# Range of the JPEG quality.
JPEG_QUALITY = (50, 95)


def changes_images(augmentation: Augmentation) -> bool:
    """Tell whether an augmentation changes anything at all.

    >>> changes_images(Augmentation()), changes_images(Augmentation(flip=0.5))
    (False, True)
    """
    return any(augmentation.model_dump().values())


def augment_batch(
    images: Tensor, maps: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return images uint8 [B,3,S,S] and maps uint8 [B,S,S], changed at random.

    All draws are uniform. Geometry: a flip with its probability, a factor 1-scale..1+scale of the
    size, an angle of up to `rotation` degrees and a shift of up to `shift` of the side, either way.
    Looks: a factor 1-colour..1+colour of brightness, contrast, and saturation each, and blur (sigma
    0.3-1.5 pixels) and JPEG (quality 50-95) with their probabilities. Pixels that geometry uncovers
    are mirrored in the image and zero in the map. The memory format is that of the input.
    """
    draws = torch.rand(len(images), 12, generator=generator)
    flip, zoom, angle, across, down = draws[:, :5].T
    brightness, contrast, saturation = ((2 * draws[:, 5:8] - 1) * augmentation.colour + 1).T
    blurred, sigma, coded, quality = draws[:, 8:].T
    flip = flip < augmentation.flip
    if augmentation.scale or augmentation.rotation or augmentation.shift:
        theta = _build_affine(
            flip,
            1 + (2 * zoom - 1) * augmentation.scale,
            torch.deg2rad((2 * angle - 1) * augmentation.rotation),
            torch.stack([across, down], 1).mul(2).sub(1) * augmentation.shift,
        )
        pixels, human = warp_batch(images.float(), maps.float(), theta.to(images.device))
    else:
        flip = flip.to(images.device)
        pixels = torch.where(flip[:, None, None, None], images.flip(-1), images).float()
        human = torch.where(flip[:, None, None], maps.flip(-1), maps).float()
    if augmentation.colour:
        pixels = _adjust_colours(pixels, brightness, contrast, saturation)
    if (chosen := _select_rows(blurred < augmentation.blur, pixels)) is not None:
        low, high = BLUR_SIGMA
        pixels[chosen] = blur_images(
            pixels[chosen], low + (high - low) * sigma.to(pixels.device)[chosen]
        )
    if (chosen := _select_rows(coded < augmentation.jpeg, pixels)) is not None:
        low, high = JPEG_QUALITY
        pixels[chosen] = compress_images(
            pixels[chosen].round(), low + (high - low) * quality.to(pixels.device)[chosen]
        )
    return _round_to_bytes(pixels), _round_to_bytes(human)


def warp_batch(images: Tensor, maps: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return images [B,3,S,S] and maps [B,S,S] (float), sampled at theta [B,2,3] of their grid."""
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    human = functional.grid_sample(maps[:, None], grid, padding_mode="zeros", align_corners=False)
    return moved, human[:, 0]


def blur_images(images: Tensor, sigma: Tensor) -> Tensor:
    """Return images [B,3,H,W] blurred by Gaussians of sigma [B] pixels, their edges repeated.

    The kernel is cut off at 5 pixels.
    """
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


def _build_affine(flip: Tensor, zoom: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Return matrices [B,2,3] from places in the output to places in the input (-1..1 per side).

    An object is mirrored, enlarged by `zoom`, turned by `angle`, and moved by `shift` of the side.
    The matrix is the inverse of that.
    """
    mirror = 1.0 - 2.0 * flip.float()
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    linear = torch.stack([mirror * cosine, mirror * sine, -sine, cosine], 1).reshape(-1, 2, 2)
    offset = -torch.einsum("bij,bj->bi", linear, 2 * shift)
    return torch.cat([linear, offset[:, :, None]], 2)


def _adjust_colours(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor
) -> Tensor:
    """Adjust brightness, contrast (about the mean grey), and saturation (about its own grey)."""

    def broadcast_factor(values: Tensor) -> Tensor:
        return values.to(images.device)[:, None, None, None]

    weights = images.new_tensor(GREY)[:, None, None]
    images = images * broadcast_factor(brightness)
    middle = (images * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    images = middle + (images - middle) * broadcast_factor(contrast)
    grey = (images * weights).sum(1, keepdim=True)
    return (grey + (images - grey) * broadcast_factor(saturation)).clamp(0, 255)


def _select_rows(mask: Tensor, like: Tensor) -> Tensor | None:
    """Return the rows at which the mask is true, or None. The mask is on the CPU: nobody waits."""
    return mask.nonzero()[:, 0].to(like.device) if mask.any() else None


def _round_to_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
