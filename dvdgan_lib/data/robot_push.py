"""Robot pushing: a stand-in for BAIR that is simulated on the fly.

An arm reaches over a tray from above, moves at random among toys that lie free, and pushes them; they stay where they
are pushed. As in BAIR the first frame tells what there is but not what the arm will do, so a model that predicts has
to follow the arm and to learn what a contact does. pymunk (rigid bodies in the plane) decides the contacts.

A scene (toys, tray, the arm's plan) is drawn from the split and the index alone, and frame t is simulated from frame 0
whatever the clip's length, resolution and stride. Lengths are in half-widths of the frame (x and y run over [-1, 1], y
downwards, the tray's floor lies in the picture's plane), times in frames.

The same index is the same bytes for every order and thread, with one version of NumPy and pymunk on one platform.
Elsewhere the scene is the same but for rounding; physics compiled otherwise rounds otherwise, and after some contacts
the toys may lie visibly elsewhere.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from dvdgan_lib.data.robot_push_scene import Motion, Scene, Toy, draw_scene, simulate
from dvdgan_lib.data.video import window_span

NUM_CLIPS = {"train": 43_264, "test": 256}  # BAIR's sizes
CLIP_FRAMES = 30  # BAIR's length

_SEED = 64
_SPLIT_IDS = {"train": 0, "test": 1}

# --- the picture: positions to pixels --------------------------------------------------------------------------------


def _unit(values: np.ndarray) -> np.ndarray:
    """Clips to 0..1, in place."""
    return np.minimum(np.maximum(values, 0, out=values), 1, out=values)


def _coverage(distance: np.ndarray, width: float) -> np.ndarray:
    """How much of a pixel lies inside an edge at signed `distance`, in place; the edge is `width` wide (a pixel)."""
    distance *= -1 / width
    distance += 0.5
    return _unit(distance)


def _blend(video: np.ndarray, cover: np.ndarray, colours) -> None:
    """Lays colours (three, each a number or an array that broadcasts) over float32 video [3, T, H, W], in place."""
    for channel, colour in zip(video, colours, strict=True):
        channel += cover * (colour - channel)


def _draw_background(scene: Scene, resolution: int) -> np.ndarray:
    """The empty tray, float32 [3, H, W]."""
    pixel = 2 / resolution
    grid = (np.arange(resolution) + 0.5) * pixel - 1
    x, y = grid[None, :], grid[:, None]
    (left, back), _, (right, front), _ = scene.tray
    inner = -left
    slope = (right - inner) / (front - back)
    along = np.clip((y - back) / (front - back), 0, 1)
    plank = x / (inner + slope * (y - back)).clip(0.2)  # the boards run to the back, closer together there
    ones = np.ones((resolution, resolution))
    stripes = sum(a * np.sin(f * plank + p + 0.3 * along) for a, f, p in scene.grain)
    floor = scene.floor[:, None, None] + stripes + 22 * (along - 0.5)
    picture = np.stack([ones * 226, ones * 220, ones * 204]) + 20 * np.sin(7 * x + 3 * scene.lean) * ones  # behind
    side = (np.abs(x) - inner - slope * (y - back)) / (1 + slope * slope) ** 0.5
    walls = np.stack([ones * 196, ones * 204, ones * 212]) + 34 * along + 40 * np.clip(side, 0, 0.5)
    panel = np.stack([ones * 228, ones * 232, ones * 238]) + 40 * (y - front)
    edge = np.stack([ones * 96, ones * 66, ones * 42])

    def cover(distance):
        return _coverage(distance * ones, pixel)

    for layer, inside in (
        (walls, cover(back - 0.18 - y)),
        (floor, cover(np.maximum(back - y, side))),
        (panel, cover(front - y)),
        (edge, cover(0.88 - y)),
    ):
        picture += inside * (layer - picture)
    lx, ly, size, strength = scene.light
    picture += strength * np.exp(-(((x - lx) / size) ** 2)) * np.exp(-(((y - ly) / size) ** 2))
    # The walls' shade on the floor, where it meets them.
    shade = np.exp(-((side / 0.07) ** 2)) + np.exp(-(((y - back) / 0.07) ** 2)) * (np.abs(x) < inner)
    picture *= 1 - 0.16 * np.clip(shade, 0, 1) * cover(y - front)
    return np.clip(picture, 0, 255).astype(np.float32)


def _half_planes(vertices: np.ndarray) -> np.ndarray:
    """A convex polygon's edges: outward normals' x and y and their distances from the origin, [3, K]."""
    step = np.concatenate([vertices[1:], vertices[:1]]) - vertices
    normals = np.stack([step[:, 1], -step[:, 0]]) / np.hypot(*step.T)
    return np.concatenate([normals, (normals * vertices.T).sum(0, keepdims=True)])


def _draw_toy_over(
    video: np.ndarray, toy: Toy, positions: np.ndarray, rotations: np.ndarray, grid: np.ndarray, pixel: float
) -> None:
    """Draws one toy over float32 video [3, T, H, W] in place, at positions [T, 2] turned by rotations [T, 2] (cos, sin).

    A toy is a set of half planes, its edges, and a circle that it lies within. Its top is shifted up by its height, its
    side is what lies between top and foot: for half planes and a circle that is an offset.
    """
    reach = 1.4 * toy.radius + 2 * pixel
    low, high = positions.min(0) - reach, positions.max(0) + reach
    columns = slice(*np.searchsorted(grid, [low[0], high[0]]))
    rows = slice(*np.searchsorted(grid, [low[1] - toy.height, high[1]]))
    video = video[:, :, rows, columns]
    f32 = np.float32
    dx, foot = (grid[columns] - positions[:, :1]).astype(f32), (grid[rows] - positions[:, 1:]).astype(f32)  # [T, W], [T, H]
    cos, sin = np.split(rotations.astype(f32), 2, axis=1)  # [T, 1]
    radius, height = f32(toy.radius), f32(toy.height)
    top = foot + height

    soft_x, soft_y = (_unit(f32(2.7) - np.abs(d) * (2 / radius)) for d in (dx - f32(0.03), foot - f32(0.02)))
    video *= 1 - (f32(0.35) * soft_x)[:, None, :] * soft_y[:, :, None]

    between = foot - np.minimum(np.maximum(foot, -height), 0)
    side = np.sqrt((dx * dx)[:, None, :] + (between * between)[:, :, None]) - radius
    face = np.sqrt((dx * dx)[:, None, :] + (top * top)[:, :, None]) - radius
    if len(toy.vertices):
        own_x, own_y, offset = _half_planes(toy.vertices).astype(f32)[:, :, None, None]  # each [K, 1, 1]
        normal_x, normal_y = cos * own_x - sin * own_y, sin * own_x + cos * own_y  # [K, T, 1]
        across = (normal_x * dx - offset)[:, :, None, :]
        np.maximum(face, (across + (normal_y * top)[..., None]).max(0), out=face)
        lowered = normal_y * foot + np.minimum(normal_y, 0) * height
        np.maximum(side, (across + lowered[..., None]).max(0), out=side)
    second = _coverage((cos * dx - f32(toy.border))[:, None, :] + (sin * top)[:, :, None], pixel)
    tilt = f32(0.2) / radius
    shine = (f32(1.08) - tilt * dx)[:, None, :] - (tilt * top)[:, :, None]
    first, other = toy.colours.astype(f32)
    _blend(video, _coverage(side, pixel), 0.5 * first)
    _blend(video, _coverage(face, pixel), (shine * (a + second * (b - a)) for a, b in zip(first, other, strict=True)))


def _draw_toys(video: np.ndarray, scene: Scene, motion: Motion, grid: np.ndarray, pixel: float) -> None:
    """Draws the toys, those at the back first, over float32 video [3, T, H, W] in place."""
    order = np.argsort(motion.positions[..., 1], axis=1, kind="stable")  # [T, N]
    changes = np.flatnonzero((order[1:] != order[:-1]).any(1)) + 1
    for start, stop in itertools.pairwise([0, *changes.tolist(), len(order)]):
        for i in order[start]:
            positions, rotations = motion.positions[start:stop, i], motion.rotations[start:stop, i]
            _draw_toy_over(video[:, start:stop], scene.toys[i], positions, rotations, grid, pixel)


def _along(x, y, to_x, to_y, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For segments (x, y)-(to_x, to_y), each [T]: every pixel's share of the way, distance, and side, [T, H, W]."""
    step_x, step_y = to_x - x, to_y - y
    length = np.sqrt(np.maximum(step_x**2 + step_y**2, 1e-9))
    dx, dy = grid[None, :] - x[:, None], grid[None, :] - y[:, None]

    def project(a, b):
        return (a[:, None] * dx).astype(np.float32)[:, None, :] + (b[:, None] * dy).astype(np.float32)[:, :, None]

    way, across = project(step_x / length, step_y / length), project(-step_y / length, step_x / length)
    length = length.astype(np.float32)[:, None, None]
    beyond = way - np.clip(way, 0, length)
    return way / length, np.sqrt(beyond * beyond + across * across), across


def _draw_arm(video: np.ndarray, scene: Scene, motion: Motion, grid: np.ndarray, pixel: float) -> None:
    """Draws forearm, wrist and fingers, and their shadow first, over float32 video [3, T, H, W] in place."""
    x, y = motion.gripper.T
    lift = 0.16 * motion.heights
    f32 = np.float32
    wrist_x, wrist_y = x + 0.15 * scene.lean, y - 0.25 - lift
    elbow_x, elbow_y = 0.8 * x + scene.lean, np.full_like(y, -1.35)

    # Higher means a shadow further off.
    off = 0.05 + 0.6 * lift
    _, distance, _ = _along(x + off, y + 0.02, elbow_x + 0.3, elbow_y, grid)
    video *= 1 - 0.3 * _coverage(distance - f32(0.09), 0.14)

    for side in (-1, 1):
        _, distance, _ = _along(x + side * 0.045, y - lift, wrist_x + side * 0.06, wrist_y, grid)
        _blend(video, _coverage(distance - f32(0.035), pixel), (38, 34, 34))
    way, distance, across = _along(wrist_x, wrist_y, elbow_x, elbow_y, grid)
    thick = 0.09 + 0.12 * np.clip(way, 0, 1)
    cover = _coverage(distance - thick, pixel)
    shine = 16 * np.clip(across / thick, -1, 1)
    ring = np.clip(1.5 - np.abs(way - 0.1) * 25, 0, 1) + np.clip(1.5 - np.abs(way - 0.62) * 30, 0, 1)
    _blend(video, cover, (base + ring * red + shine for base, red in ((36, 115), (31, -8), (32, 2))))


def render(scene: Scene, motion: Motion, resolution: int) -> np.ndarray:
    """Draws the motion's frames: uint8 [T, H, W, 3] with H = W = resolution."""
    pixel = 2 / resolution
    grid = (np.arange(resolution) + 0.5) * pixel - 1
    background = _draw_background(scene, resolution)
    video = np.repeat(background[:, None], len(motion.gripper), axis=1)  # [3, T, H, W]
    _draw_toys(video, scene, motion, grid, pixel)
    _draw_arm(video, scene, motion, grid, pixel)
    video += 0.5  # the cast below cuts off
    return np.clip(video, 0, 255, out=video).transpose(1, 2, 3, 0).astype(np.uint8)


class RobotPush:
    """The data set: 43,264 training and 256 test clips of one class, none of them stored (a VideoSource)."""

    def __init__(self, split: str, num_frames: int, resolution: int, stride: int = 1, num_classes: int | None = None):
        """Opens a split.

        Args:
          split: "train" or "test".
          num_frames: T; T frames with `stride` lie within the 30 frames that a clip of BAIR has.
          resolution: H = W (the toys are recognisable from 16 on).
          stride: show every stride-th frame.
          num_classes: 1 or None: there is one class.
        """
        if split not in NUM_CLIPS:
            raise ValueError(f"robot_push has no split {split!r}: there are {', '.join(NUM_CLIPS)}.")
        if num_classes not in (None, 1):
            raise ValueError(f"robot_push has 1 class, not {num_classes}.")
        if window_span(num_frames, stride) > CLIP_FRAMES:
            raise ValueError(
                f"A clip of {num_frames} frames with stride {stride} does not fit into the {CLIP_FRAMES} frames of "
                f"robot_push's clips: the most possible with this stride is {(CLIP_FRAMES - 1) // stride + 1} frames."
            )
        self.split, self.num_frames, self.resolution, self.stride = split, num_frames, resolution, stride
        self.class_names = ("robot pushing",)
        self.labels = np.zeros(NUM_CLIPS[split], np.int32)
        self.description = f"robot pushing, simulated ({split}): stand-in for BAIR"

    def __len__(self) -> int:
        """Number of clips."""
        return NUM_CLIPS[self.split]

    def scene(self, index: int) -> Scene:
        """What the index-th clip shows."""
        if not 0 <= index < len(self):
            raise IndexError(f"robot_push's {self.split} split has clips 0 to {len(self) - 1}, not {index}.")
        return draw_scene(np.random.default_rng((_SEED, _SPLIT_IDS[self.split], int(index))))

    def example(self, index: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """The index-th clip: {"video": uint8 [T, H, W, 3], "label": int32}, its middle window, or by `rng` any."""
        scene = self.scene(index)
        span = window_span(self.num_frames, self.stride)
        # Not the first frames: there every arm is at rest yet, and to copy the last frame would be right for a while.
        start = (CLIP_FRAMES - span) // 2 if rng is None else int(rng.integers(CLIP_FRAMES - span + 1))
        motion = simulate(scene, start + span)
        shown = slice(start, None, self.stride)
        motion = Motion(*(getattr(motion, field.name)[shown] for field in dataclasses.fields(Motion)))
        return {"video": render(scene, motion, self.resolution), "label": np.int32(0)}
