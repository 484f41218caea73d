"""Draw one phantom face: pose, background, hair, skin and parts, whose outlines are known."""

from __future__ import annotations

import numpy as np

from cyborg.phantom.canvas import Canvas, Ellipse, draw_pose, draw_smooth_noise

# Where annotators look and faults occur, in units of half the face's height, seen from its centre:
# name -> (horizontal, vertical, horizontal radius, vertical radius).
PARTS = {
    "left_eye": (-0.36, -0.17, 0.22, 0.19),
    "right_eye": (0.36, -0.17, 0.22, 0.19),
    "nose": (0.0, 0.14, 0.15, 0.21),
    "mouth": (0.0, 0.52, 0.28, 0.15),
    "left_ear": (-0.86, -0.02, 0.14, 0.22),
    "right_ear": (0.86, -0.02, 0.14, 0.22),
}

# Places beside the parts, inside the head, where the shortcut cue is drawn.
PLACES = {
    "left_cheek": (-0.45, 0.24, 0.17, 0.15),
    "right_cheek": (0.45, 0.24, 0.17, 0.15),
    "forehead": (0.0, -0.52, 0.30, 0.12),
    "hair": (0.0, -0.92, 0.36, 0.16),
    "chin": (0.0, 0.80, 0.20, 0.11),
}


def _draw_background(canvas: Canvas, rng: np.random.Generator) -> None:
    size = canvas.size
    tones = rng.uniform(0.1, 0.9, (2, 3)).astype(np.float32)
    cells = int(rng.integers(2, 6))
    blend = 0.5 + 0.5 * draw_smooth_noise(rng, size, (cells, int(rng.integers(2, 6))))
    canvas.image[:] = tones[0] + blend[..., None] * (tones[1] - tones[0])
    pose = canvas.pose
    for _ in range(int(rng.integers(2, 7))):
        u, v = rng.uniform(-2.2, 2.2, 2)
        ru, rv = rng.uniform(0.2, 0.9, 2)
        colour = rng.uniform(0.05, 0.95, 3).astype(np.float32)
        if rng.random() < 0.5:
            mask = canvas.cover_ellipse((u, v, ru, rv), soft=rng.uniform(1, 8))
        else:
            edge = np.minimum(ru - abs(canvas.u - u), rv - abs(canvas.v - v)) * pose.half
            mask = np.clip(edge + 0.5, 0, 1)
        canvas.paint_mask(mask * rng.uniform(0.4, 0.9), colour)


def _draw_strands(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Draw the texture of hair [S,S]: stripes that run from the crown."""
    count = int(rng.integers(50, 90))
    values = rng.uniform(-1, 1, count).astype(np.float32)
    angle = np.arctan2(canvas.v + 1.4, canvas.u - rng.uniform(-0.5, 0.5))
    wave = 0.06 * np.sin(canvas.v * rng.uniform(3, 7) + rng.uniform(0, 6))
    position = (angle + wave) * count / np.pi
    return values[np.floor(position).astype(np.int64) % count]


def draw_face(rng: np.random.Generator, size: int) -> tuple[Canvas, dict[str, Ellipse], np.ndarray]:
    """Draw a face without fault.

    Returns the canvas, the placed parts (an ear out of sight is absent) and the mask [S,S] of the
    head (skin and hair), within which the shortcut cue may lie.
    """
    pose = draw_pose(rng, size)
    canvas = Canvas(size, pose)
    _draw_background(canvas, rng)
    tone = rng.uniform(0.28, 1.0)
    skin = tone * np.array([0.93, 0.72, 0.60], np.float32) + rng.uniform(-0.05, 0.05, 3)
    skin = skin.astype(np.float32)
    hair = rng.uniform(0.05, 0.75) * np.array([0.95, 0.75, 0.5], np.float32)
    hair = np.clip(hair + rng.uniform(-0.06, 0.06, 3), 0.02, 0.9).astype(np.float32)
    dark = skin * 0.55
    width = pose.aspect
    bald = rng.random() < 0.12
    strands = _draw_strands(canvas, rng)[..., None]
    hair_texture = hair * (1 + 0.38 * strands)

    # Shoulders and neck, then hair behind the head.
    cloth = rng.uniform(0.05, 0.95, 3).astype(np.float32)
    canvas.paint_mask(canvas.cover_ellipse((0, 2.1, rng.uniform(1.2, 1.7), 0.95), 1.5), cloth)
    canvas.paint_mask(canvas.cover_ellipse((0, 1.0, width * 0.5, 0.55)), skin * 0.8)
    head = np.zeros((size, size), np.float32)
    if not bald:
        length = rng.uniform(0.0, 0.75)
        behind = canvas.cover_ellipse(
            (0.08 * pose.turn, -0.15 + length / 2, width * rng.uniform(1.1, 1.3), 1.0 + length / 2)
        )
        canvas.paint_mask(behind, hair_texture * 0.8)
        head = np.maximum(head, behind * (canvas.v < -0.3))

    parts = {}
    for name, ellipse in PARTS.items():
        ear = name.endswith("_ear")
        if ear and ellipse[0] * pose.turn > 0.25:
            continue
        parts[name] = pose.place_ellipse(ellipse, ear)
    for name in ("left_ear", "right_ear"):
        if name in parts:
            u, v, ru, rv = parts[name]
            canvas.paint_ellipse((u, v, ru, rv), skin * 0.92)
            canvas.paint_ellipse((u, v, ru * 0.62, rv * 0.68), skin * 0.66)
            for _ in range(3):
                du, dv = rng.uniform(-0.35, 0.35, 2)
                canvas.paint_ellipse((u + du * ru, v + dv * rv, ru * 0.25, rv * 0.3), skin * 0.95)

    face = canvas.cover_ellipse((0, 0, width, 1.0))
    light = rng.uniform(-1, 1, 2)
    shade = 1 + 0.22 * (light[0] * canvas.u + light[1] * canvas.v)
    shade = shade - 0.16 * np.clip(canvas.u**2 / width**2 + canvas.v**2, 0, 1.2)
    canvas.paint_mask(face, skin * shade[..., None].astype(np.float32))
    head = np.maximum(head, face)
    _draw_features(canvas, rng, parts, skin, dark, hair)
    if not bald:
        line = -rng.uniform(0.62, 0.8) + rng.uniform(-0.25, 0.25) * canvas.u
        line = line + 0.5 * rng.uniform(0, 1) * canvas.u**2
        fringe = canvas.cover_ellipse((0, -0.15, width * 1.08, 1.02))
        fringe = fringe * np.clip((line - canvas.v) * pose.half + 0.5, 0, 1)
        canvas.paint_mask(fringe, hair_texture)
        head = np.maximum(head, fringe)
    return canvas, parts, head


def _draw_features(
    canvas: Canvas,
    rng: np.random.Generator,
    parts: dict[str, Ellipse],
    skin: np.ndarray,
    dark: np.ndarray,
    hair: np.ndarray,
) -> None:
    """Draw eyes with brows, nose and mouth, full of small detail that a fault would disturb."""
    iris = rng.uniform(0.1, 0.6) * np.array([rng.uniform(0.3, 1), rng.uniform(0.5, 1), 1])
    gaze = rng.uniform(-0.25, 0.25, 2)
    open_ = rng.uniform(0.28, 0.45)
    brow = rng.uniform(0.10, 0.2)
    for name in ("left_eye", "right_eye"):
        u, v, ru, rv = parts[name]
        canvas.paint_ellipse(
            (u, v + 0.15 * rv, ru * 0.95, rv * 0.75), skin * 0.82, soft=3, opacity=0.7
        )
        canvas.paint_ellipse((u, v + 0.2 * rv, ru * 0.78, rv * (open_ + 0.1)), dark * 0.5)
        canvas.paint_ellipse((u, v + 0.24 * rv, ru * 0.7, rv * open_), np.array([0.93, 0.92, 0.9]))
        centre = (u + gaze[0] * ru, v + 0.24 * rv + gaze[1] * rv * 0.3)
        size = rv * open_ * 0.95
        canvas.paint_ellipse((*centre, size, size), iris)
        canvas.paint_ellipse((*centre, size * 0.45, size * 0.45), np.full(3, 0.03))
        canvas.paint_ellipse(
            (centre[0] - 0.2 * size, centre[1] - 0.35 * size, size * 0.3, size * 0.3), np.ones(3)
        )
        for lash in np.linspace(-0.75, 0.75, 7):
            canvas.paint_ellipse(
                (u + lash * ru * 0.8, v + rv * (0.14 - open_ * (1 - lash**2 * 0.6)), 0.012, 0.06),
                np.full(3, 0.05),
                tilt=lash * 0.9,
                opacity=0.8,
            )
        for hairlet in np.linspace(-0.85, 0.85, 8):
            canvas.paint_ellipse(
                (u + hairlet * ru, v - rv * (0.85 - 0.3 * hairlet**2), 0.028, brow * 0.5),
                hair * rng.uniform(0.3, 0.9),
                tilt=0.5 + 0.3 * hairlet,
                opacity=0.85,
            )
    u, v, ru, rv = parts["nose"]
    side = -1.0 if rng.random() < 0.5 else 1.0
    canvas.paint_ellipse(
        (u + side * ru * 0.45, v - rv * 0.2, ru * 0.22, rv * 0.85), skin * 0.72, soft=2
    )
    canvas.paint_ellipse(
        (u, v + rv * 0.3, ru * 0.5, rv * 0.5), np.clip(skin * 1.15, 0, 1), soft=4, opacity=0.6
    )
    for nostril in (-1, 1):
        canvas.paint_ellipse(
            (u + nostril * ru * 0.5, v + rv * 0.72, ru * 0.26, rv * 0.14), dark * 0.5
        )
        canvas.paint_ellipse((u + nostril * ru * 0.88, v + rv * 0.55, ru * 0.1, rv * 0.24), dark)
    u, v, ru, rv = parts["mouth"]
    lips = np.clip(skin * np.array([0.95, 0.6, 0.6]) * rng.uniform(0.75, 1.05), 0, 1)
    full = rng.uniform(0.45, 0.8)
    wide = rng.uniform(0.75, 0.95)
    canvas.paint_ellipse((u, v, ru * wide, rv * full), lips)
    for crease in np.linspace(-0.7, 0.7, 9):
        canvas.paint_ellipse(
            (u + crease * ru * wide, v, 0.012, rv * full * 0.8 * (1 - crease**2 * 0.7)),
            lips * rng.uniform(0.55, 0.8),
            opacity=0.8,
        )
    if rng.random() < 0.4:
        canvas.paint_ellipse(
            (u, v, ru * wide * 0.75, rv * full * 0.4), np.array([0.95, 0.93, 0.88])
        )
        for tooth in np.linspace(-0.6, 0.6, 6):
            canvas.paint_ellipse(
                (u + tooth * ru * wide * 0.75, v, 0.01, rv * full * 0.35),
                np.full(3, 0.5),
                opacity=0.8,
            )
    canvas.paint_ellipse((u, v, ru * wide * 0.92, rv * 0.07), dark * 0.4)
