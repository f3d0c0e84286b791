"""Moving shapes: a stand-in for Kinetics-600 that is drawn on the fly.

The name of a class is an action and an object ("orbit triangle"): the action can be told from the frames' order only,
the object from one frame, so both of the paper's discriminators have their work. As in Kinetics, classes lean on
colours without being fixed to them, backgrounds vary, and now and then the camera zooms, pans or cuts (Figure 2).

A scene is a set of continuous parameters, drawn from the split and the index alone: the same example at another
resolution, length or stride is the same scene. Lengths are in half-widths of the frame (x and y run over [-1, 1], y
downwards), speeds per frame. Example 7 of 16x16 pixels and 12 frames is a small prefix of example 7 of 64x64 and 48.
"""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Callable

import numpy as np

ACTIONS = ("translate", "rotate", "bounce", "pulse", "orbit", "stroke")
OBJECTS = ("disk", "square", "triangle", "ring")
NUM_CLIPS = {"train": 500_000, "test": 50_000}  # Kinetics-600's sizes, rounded

_SEED = 600
_SPLIT_IDS = {"train": 0, "test": 1}
_GOLDEN = (5**0.5 - 1) / 2


def action_and_object(label: int) -> tuple[str, str]:
    """Which action and object class `label` (0..23) is; the first six classes have six actions and all objects."""
    return ACTIONS[label % 6], OBJECTS[(label % 6 + label // 6) % 4]


@dataclasses.dataclass(frozen=True)
class Shot:
    """What one camera setting shows: poses at any frame number, and colours.

    Attributes:
      shape: one of OBJECTS.
      pose: maps frame numbers [T] to x, y, angle (radians) and radius, each float64 [T].
      colours: float64 [2, 3] in [0, 255]: the object's two halves.
      background: float64 [2, 3]: the middle's colour and its change from the middle to the rim along `direction`.
      direction: angle of the background's gradient.
      blobs: float64 [K, 6]: x, y, size, and the RGB that a soft blob adds at its centre.
      line_width: half the width of the line that the object draws, or 0 where it draws none.
    """

    shape: str
    pose: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
    colours: np.ndarray
    background: np.ndarray
    direction: float
    blobs: np.ndarray
    line_width: float = 0.0


@dataclasses.dataclass(frozen=True)
class Camera:
    """A zoom by exp(zoom * s) and a shift by pan * s, where s(t) swings slowly between -1 and 1 from s(0) = 0.

    `cut`: frames [from, to) show the clip's second shot.
    """

    zoom: float = 0.0
    pan: tuple[float, float] = (0.0, 0.0)
    period: float = 50.0
    cut: tuple[float, float] | None = None


# --- the scene: random parameters ------------------------------------------------------------------------------------


def _wave(position: np.ndarray) -> np.ndarray:
    """Triangle wave of period 4 between -1 and 1 with wave(0) = 0: a straight walk, folded at two walls."""
    return np.abs((position - 1) % 4 - 2) - 1


def _draw_pose(action: str, rng: np.random.Generator):
    """Draws an action's parameters; returns the function from frame numbers to poses (see Shot.pose)."""
    u = rng.uniform
    x0, y0 = u(-0.15, 0.15), u(-0.15, 0.15)
    tilt, sign, phase, radius = u(-0.5, 0.5), 1 if u() < 0.5 else -1, u(0, 2 * np.pi), u(0.34, 0.45)
    still = np.zeros_like

    if action == "translate":  # a straight line; what leaves on one side comes back on the other
        step, start, wrap = u(0.12, 0.19), -u(4.0, 7.0), 1.1 + radius
        vx, vy = step * np.cos(phase), step * np.sin(phase)

        def pose(t):
            x, y = ((p + v * (t + start) + wrap) % (2 * wrap) - wrap for p, v in ((x0, vx), (y0, vy)))
            return x, y, still(t) + tilt, still(t) + radius

    elif action == "rotate":  # 11 to 23 degrees a frame: a third of a turn or more in 12 frames
        turn, radius = sign * u(0.19, 0.40), u(0.45, 0.62)

        def pose(t):
            return still(t) + x0, still(t) + y0, phase + turn * t, still(t) + radius

    elif action == "bounce":  # inside the frame's walls; fast enough to hit one within 12 frames
        radius, step, angle = u(0.30, 0.40), u(0.22, 0.30), u(0.25, 0.65)
        reach, first, second = 1 - radius, u(0, 4), u(0, 4)
        vx, vy = (step * f(angle) for f in ((np.cos, np.sin) if sign > 0 else (np.sin, np.cos)))

        def pose(t):
            x, y = (reach * _wave(p + v * t / reach) for p, v in ((first, vx), (second, vy)))
            return x, y, still(t) + tilt, still(t) + radius

    elif action == "pulse":
        period, swing = u(6.5, 10.0), u(0.4, 0.55)
        radius = u(0.38, 0.46)

        def pose(t):
            size = radius * (1 + swing * np.sin(phase + 2 * np.pi * t / period))
            return still(t) + x0, still(t) + y0, still(t) + tilt, size

    elif action == "orbit":
        turn, around, radius = sign * 2 * np.pi / u(8.5, 13.0), u(0.45, 0.55), u(0.30, 0.38)

        def pose(t):
            angle = phase + turn * t
            return x0 + around * np.cos(angle), y0 + around * np.sin(angle), still(t) + tilt, still(t) + radius

    elif action == "stroke":  # the pen's tip runs along a Lissajous curve, like handwriting without an end
        radius, wide, high = u(0.22, 0.29), u(0.55, 0.7), u(0.35, 0.65)
        turn = sign * 2 * np.pi / u(15, 24)
        ratio, second = u(1.3, 2.3), phase + np.pi / 2 + u(-0.6, 0.6)  # a quarter apart: never at rest at the start

        def pose(t):
            x = x0 + wide * np.sin(phase + turn * t)
            y = y0 + high * np.sin(second + ratio * turn * t)
            return x, y, still(t) + tilt, still(t) + radius

    else:
        raise ValueError(f"unknown action {action!r}: there are {', '.join(ACTIONS)}.")
    return pose


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def draw_shot(label: int, rng: np.random.Generator) -> Shot:
    """Draws a scene of class `label`: action, object, and a palette that leans on the class."""
    u = rng.uniform
    action, shape = action_and_object(label)
    pose = _draw_pose(action, rng)
    # Golden-ratio steps keep the hues of the first n classes apart for every n; the background goes round otherwise.
    hue = label * _GOLDEN + 0.05 * u(-1, 1)
    back_hue = 0.55 + label * (2**0.5 - 1) + 0.08 * u(-1, 1)
    light = u() < (0.8 if label % 3 == 1 else 0.1)
    if light:
        colours = np.stack([_rgb(hue, u(0.8, 1.0), u(0.6, 0.8)), _rgb(hue + u(0.04, 0.1), u(0.6, 0.9), u(0.25, 0.4))])
        middle = _rgb(back_hue, u(0.12, 0.3), u(0.75, 0.9))
    else:
        colours = np.stack([_rgb(hue, u(0.45, 0.8), u(0.9, 1.0)), _rgb(hue + u(0.04, 0.1), u(0.7, 1.0), u(0.55, 0.7))])
        middle = _rgb(back_hue, u(0.4, 0.7), u(0.18, 0.36))
    change = u(0.12, 0.3) * (_rgb(back_hue + u(-0.15, 0.15), u(0.3, 0.7), 0.6) - middle / 2)
    blobs = np.array(
        [
            [*u(-1, 1, 2), u(0.3, 0.7), *(u(-0.22, 0.22) * _rgb(back_hue + u(-0.2, 0.2), 0.4, 0.8))]
            for _ in range(1 + (u() < 0.5))
        ]
    )
    line_width = u(0.06, 0.10) if action == "stroke" else 0.0
    return Shot(shape, pose, colours, np.stack([middle, change]), u(0, 2 * np.pi), blobs, line_width)


def draw_camera(action: str, rng: np.random.Generator) -> Camera:
    """Draws what the camera does: mostly nothing, and in 4 % of the clips each a zoom, a pan, or a cut."""
    u = rng.uniform
    what, period, angle = u(), u(40, 60), u(0, 2 * np.pi)
    if what < 0.08 and action == "stroke":
        return Camera()  # the drawn line is kept in the frame's coordinates, which the camera would move
    if what < 0.04:
        return Camera(zoom=u(0.35, 0.6) if u() < 0.75 else -u(0.2, 0.3), period=period)
    if what < 0.08:
        far = u(0.35, 0.6)
        return Camera(pan=(far * np.cos(angle), far * np.sin(angle)), period=period)
    if what < 0.12:
        start = np.floor(u(3, 9))
        return Camera(cut=(start, start + np.floor(u(3, 6)) if u() < 0.5 else np.inf))
    return Camera()


# --- the picture: parameters to pixels -------------------------------------------------------------------------------


def _signed_distance(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Distance to an object of radius about 1 at the origin, negative inside, in the units of u and v (same shapes)."""
    if shape == "disk":
        return np.sqrt(u * u + v * v) - 1
    if shape == "ring":
        return np.abs(np.sqrt(u * u + v * v) - 0.74) - 0.29
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) - 0.85
    if shape == "triangle":  # three half planes, tip along -v (up)
        return np.maximum(v, 0.8660254 * np.abs(u) - 0.5 * v) - 0.6
    raise ValueError(f"unknown object {shape!r}: there are {', '.join(OBJECTS)}.")


def _coverage(distance: np.ndarray, per_pixel: np.ndarray) -> np.ndarray:
    """Share of a pixel inside a straight edge at signed `distance`, in place; per_pixel: pixels per unit of it."""
    distance *= -per_pixel
    distance += 0.5
    return np.clip(distance, 0, 1, out=distance)


def _drawn_line(shot: Shot, last: int, stride: int, grid: np.ndarray, pixel: float) -> np.ndarray:
    """Coverage of the line that the pen has drawn until each shown frame, float32 [T, H, W], never decreasing in T."""
    x, y, *_ = (p.astype(np.float32)[:, None, None] for p in shot.pose(np.arange(last + 1.0)))
    from_x, from_y = (np.concatenate([p[:1], p[:-1]]) for p in (x, y))  # the first piece is a dot
    dx, dy = grid[None, None, :] - from_x, grid[None, :, None] - from_y
    step_x, step_y = x - from_x, y - from_y
    length = np.maximum(step_x**2 + step_y**2, 1e-9)
    along = np.clip(dx * (step_x / length) + dy * (step_y / length), 0, 1)
    across_x, across_y = dx - along * step_x, dy - along * step_y
    pieces = _coverage(np.sqrt(across_x**2 + across_y**2) - np.float32(shot.line_width), np.float32(1 / pixel))
    return np.maximum.accumulate(pieces, axis=0, out=pieces)[::stride]


def render(shot: Shot, camera: Camera, num_frames: int, resolution: int, stride: int = 1) -> np.ndarray:
    """Draws frames 0, stride, 2*stride, ... of a shot: uint8 [T, H, W, 3] with H = W = resolution.

    Everything that depends on x and y alone is kept as [.., W] and [.., H] until the last moment: positions in the
    object's own axes and Gaussian blobs are sums and products of such rows and columns, under any zoom and pan.
    """
    t = np.arange(num_frames) * float(stride)
    pixel = 2 / resolution
    grid = ((np.arange(resolution) + 0.5) * pixel - 1).astype(np.float32)
    moving = camera.zoom != 0 or camera.pan != (0.0, 0.0)
    swing = np.sin(2 * np.pi * t / camera.period) if moving else np.zeros(1)  # [T], or [1] for a background at rest
    scale = np.exp(-camera.zoom * swing)
    # Where the pixels' columns and rows lie in the world: [T or 1, resolution].
    columns, rows = (scale[:, None] * grid + (shift * swing)[:, None] for shift in camera.pan)
    x, y, angle, radius = (p[:, None] for p in shot.pose(t))

    dx, dy, cos, sin = (columns - x) / radius, (rows - y) / radius, np.cos(angle), np.sin(angle)
    u = (cos * dx).astype(np.float32)[:, None, :] + (sin * dy).astype(np.float32)[:, :, None]
    v = (-sin * dx).astype(np.float32)[:, None, :] + (cos * dy).astype(np.float32)[:, :, None]
    per_pixel = (radius / (pixel * scale[:, None])).astype(np.float32)[:, :, None]
    inside = _coverage(_signed_distance(shot.shape, u, v), per_pixel)
    second_half = _coverage(u, per_pixel)

    ramp = np.cos(shot.direction) * columns[:, None, :] + np.sin(shot.direction) * rows[:, :, None]
    blobs = [
        np.exp(-(((columns - bx) / size) ** 2))[:, None, :] * np.exp(-(((rows - by) / size) ** 2))[:, :, None]
        for bx, by, size in shot.blobs[:, :3]
    ]
    layers = np.stack([np.ones_like(ramp), ramp, *blobs], axis=-1)
    background = (layers @ np.concatenate([shot.background, shot.blobs[:, 3:]])).astype(np.float32)
    first, second = shot.colours.astype(np.float32)
    line = _drawn_line(shot, (num_frames - 1) * stride, stride, grid, pixel) if shot.line_width else None

    out = np.empty((num_frames, resolution, resolution, 3), np.uint8)
    for c in range(3):  # a channel at a time keeps the arrays in the cache
        under = background[..., c]
        if line is not None:
            under = under + line * (second[c] - under)
        colour = second_half * (second[c] - first[c])
        colour += first[c] - under
        colour *= inside
        colour += under
        colour += 0.5  # the cast below cuts off
        out[..., c] = np.clip(colour, 0, 255, out=colour)
    return out


class MovingShapes:
    """The data set: 24 classes, 500,000 training and 50,000 test clips, none of them stored (a VideoSource)."""

    def __init__(
        self,
        split: str,
        num_frames: int,
        resolution: int,
        stride: int = 1,
        num_classes: int | None = None,
        events: bool = True,
    ):
        """Opens a split.

        Args:
          split: "train" or "test".
          num_frames: T, at least 1.
          resolution: H = W, at least 1 (objects are recognisable from 16 on).
          stride: show every stride-th frame.
          num_classes: take the first n classes only (1 to 24; None for all).
          events: False leaves out zooms, pans and cuts, for measurements.
        """
        every = len(ACTIONS) * len(OBJECTS)
        num_classes = every if num_classes is None else num_classes
        if split not in NUM_CLIPS:
            raise ValueError(f"moving_shapes has no split {split!r}: there are {', '.join(NUM_CLIPS)}.")
        if not 1 <= num_classes <= every:
            raise ValueError(f"moving_shapes has 1 to {every} classes, not {num_classes}.")
        self.split, self.events = split, events
        self.num_frames, self.resolution, self.stride = num_frames, resolution, stride
        self.class_names = tuple(" ".join(action_and_object(c)) for c in range(num_classes))
        self.labels = (np.arange(NUM_CLIPS[split]) % num_classes).astype(np.int32)
        self.description = f"moving shapes, drawn ({num_classes} classes, {split}): stand-in for Kinetics-600"

    def __len__(self) -> int:
        """Number of clips, whatever the number of classes."""
        return NUM_CLIPS[self.split]

    def example(self, index: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """The index-th clip: {"video": uint8 [T, H, W, 3], "label": int32}, its class being index % num_classes."""
        # rng is not used: a clip has no longer video or wider frame to choose a window or a crop from, and half a
        # million different ones need no augmentation.
        del rng
        if not 0 <= index < len(self):
            raise IndexError(f"moving_shapes' {self.split} split has clips 0 to {len(self) - 1}, not {index}.")
        label = self.labels[index]
        # One generator a clip, so that clips are independent of order and threads. It yields uniforms only: their
        # stream is the plainest thing in NumPy, the same on every platform.
        draws = np.random.default_rng((_SEED, _SPLIT_IDS[self.split], int(index)))
        shot = draw_shot(int(label), draws)
        size = (self.num_frames, self.resolution, self.stride)
        camera = draw_camera(action_and_object(int(label))[0], draws) if self.events else Camera()
        video = render(shot, camera, *size)
        if camera.cut is not None:
            t = np.arange(self.num_frames) * self.stride
            away = (camera.cut[0] <= t) & (t < camera.cut[1])
            if away.any():
                video[away] = render(draw_shot(int(label), draws), camera, *size)[away]
        return {"video": video, "label": np.int32(label)}
