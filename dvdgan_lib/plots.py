"""Pictures and videos: filmstrips, grids, and figures saved with their provenance."""

from __future__ import annotations

import numpy as np


def enlarge(images: np.ndarray, scale: int) -> np.ndarray:
    """Repeats pixels: [..., H, W, 3] -> [..., scale*H, scale*W, 3], so that small frames can be seen unblurred."""
    return images.repeat(scale, axis=-3).repeat(scale, axis=-2)


def grid(images: np.ndarray, columns: int, gap: int = 2, background: int = 255) -> np.ndarray:
    """Images in raster order: uint8 [N, H, W, 3] -> [rows*(H+gap)-gap, columns*(W+gap)-gap, 3]."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), background, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        canvas[top : top + h, left : left + w] = image
    return canvas


def filmstrips(videos: np.ndarray, max_frames: int | None = None, scale: int = 1, gap: int = 2) -> np.ndarray:
    """One row a video, time to the right: uint8 [N, T, H, W, 3] -> one image. More than max_frames are thinned evenly."""
    n, t = videos.shape[:2]
    shown = (
        np.arange(t) if max_frames is None or t <= max_frames else np.linspace(0, t - 1, max_frames).round().astype(int)
    )
    frames = enlarge(videos[:, shown], scale)
    return grid(frames.reshape(-1, *frames.shape[2:]), columns=len(shown), gap=gap)
