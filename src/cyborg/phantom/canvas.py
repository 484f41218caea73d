"""Hold the pose of a phantom face, and paint in its coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

Ellipse = tuple[float, float, float, float]


@dataclass(frozen=True)
class Pose:
    """Place and direction of a face: centre and half height in pixels, angle in radians.

    turn: -1..1, how far the head is turned to the side; nod: -1..1, up or down; aspect: width by
    height of the face.
    """

    x: float
    y: float
    half: float
    roll: float
    turn: float
    nod: float
    aspect: float

    def place_ellipse(self, ellipse: Ellipse, ear: bool = False) -> Ellipse:
        """Return the ellipse after turning and nodding, in units of the half height."""
        u, v, ru, rv = ellipse
        u, ru = u * self.aspect / 0.78, ru * self.aspect / 0.78
        if ear:
            # The ear on the side the head is turned to goes out of sight.
            return u * (1 - 0.12 * abs(self.turn)), v + 0.05 * self.nod, ru, rv
        far = 1 - 0.3 * abs(self.turn) * (u * self.turn > 0)
        return u * far + 0.26 * self.turn, v + 0.12 * self.nod, ru * far, rv

    def trace_ellipse(
        self, ellipse: Ellipse, angles: np.ndarray, stretch: np.ndarray
    ) -> np.ndarray:
        """Return points [N,2] (x, y in pixels) of an ellipse at `angles`, radii times `stretch`."""
        u, v, ru, rv = ellipse
        du, dv = u + ru * stretch * np.cos(angles), v + rv * stretch * np.sin(angles)
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.stack(
            [
                self.x + self.half * (du * cos - dv * sin),
                self.y + self.half * (du * sin + dv * cos),
            ],
            axis=-1,
        )


def draw_pose(rng: np.random.Generator, size: int) -> Pose:
    """Draw position, scale and direction so that head and parts stay inside the image."""
    half = size * rng.uniform(0.30, 0.43)
    room = 0.5 - 1.02 * half / size
    shift = min(0.17, max(room, 0.03))
    return Pose(
        x=size * (0.5 + rng.uniform(-1, 1) * max(shift, 0.08)),
        y=size * (0.52 + rng.uniform(-1, 1) * shift),
        half=half,
        roll=float(np.radians(rng.uniform(-24, 24))),
        turn=rng.uniform(-1, 1),
        nod=rng.uniform(-1, 1),
        aspect=rng.uniform(0.70, 0.86),
    )


class Canvas:
    """An image [S,S,3], float32, 0..1, with the coordinates (u, v) of the face at every pixel."""

    def __init__(self, size: int, pose: Pose):
        self.size, self.pose = size, pose
        axis = np.arange(size, dtype=np.float32) + 0.5
        dx = (axis[None, :] - pose.x) / pose.half
        dy = (axis[:, None] - pose.y) / pose.half
        cos, sin = float(np.cos(pose.roll)), float(np.sin(pose.roll))
        self.u = dx * cos + dy * sin
        self.v = dy * cos - dx * sin
        self.image = np.zeros((size, size, 3), np.float32)

    def find_window(self, ellipse: Ellipse, margin: float = 1.0) -> tuple[slice, slice]:
        """Return the smallest rectangle (rows, columns) around an ellipse, `margin` in pixels."""
        pose = self.pose
        u, v, ru, rv = ellipse
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        x = pose.x + pose.half * (u * cos - v * sin)
        y = pose.y + pose.half * (u * sin + v * cos)
        across = pose.half * np.hypot(ru * cos, rv * sin) + margin
        down = pose.half * np.hypot(ru * sin, rv * cos) + margin
        edges = np.clip([y - down, y + down + 1, x - across, x + across + 1], 0, self.size)
        top, bottom, left, right = (int(edge) for edge in edges)
        return slice(top, bottom), slice(left, right)

    def cover_ellipse(self, ellipse: Ellipse, soft: float = 1.0, tilt: float = 0.0) -> np.ndarray:
        """Return the share of each pixel [S,S] in an ellipse whose edge is `soft` pixels wide."""
        return self._cover_window((slice(None), slice(None)), ellipse, soft, tilt)

    def _cover_window(
        self, window: tuple[slice, slice], ellipse: Ellipse, soft: float, tilt: float
    ) -> np.ndarray:
        u, v, ru, rv = ellipse
        du, dv = self.u[window] - u, self.v[window] - v
        if tilt:
            cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
            du, dv = du * cos + dv * sin, dv * cos - du * sin
        inside = 1 - np.sqrt((du / ru) ** 2 + (dv / rv) ** 2)
        scale = min(ru, rv) * self.pose.half / soft
        covered: np.ndarray = np.clip(inside * scale + 0.5, 0, 1).astype(np.float32)
        return covered

    def paint_ellipse(
        self,
        ellipse: Ellipse,
        colour: np.ndarray,
        *,
        soft: float = 1.0,
        opacity: float = 1.0,
        tilt: float = 0.0,
    ) -> None:
        """Paint a small ellipse."""
        window = self.find_window((*ellipse[:2], max(ellipse[2:]), max(ellipse[2:])), soft + 1)
        mask = self._cover_window(window, ellipse, soft, tilt)[..., None] * opacity
        patch = self.image[window]
        patch += mask * (np.asarray(colour, np.float32) - patch)

    def paint_mask(self, mask: np.ndarray, colour: np.ndarray) -> None:
        """Paint a colour ([3] or [S,S,3]) with the opacity of a mask [S,S]."""
        self.image += mask[..., None] * (colour - self.image)


def draw_smooth_noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> np.ndarray:
    """Draw noise [S,S], float32, about -1..1, of `cells` (rows, columns) independent values."""
    coarse = rng.uniform(-1, 1, cells).astype(np.float32)
    enlarged = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.float32)
