"""From a video file to frames: decode, resize the short side, choose a window, crop a square (appendix B.1).

PyAV decodes and Pillow resizes. Pillow, because its bilinear filter is the same to the bit on every platform, does not
wrap round at borders, and is antialiased: when shrinking it averages over the pixels that an output pixel covers.
(FFmpeg's own scaler differs between builds; TensorFlow's and OpenCV's bilinear skip pixels, and what flickers is then
taken for motion.) The paper says "bilinear resize" and no more: that it is antialiased is our reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import av
import numpy as np
from PIL import Image


class DataError(Exception):
    """A data set that cannot be used; the message says what is wrong, where, and what would be right."""


class VideoError(Exception):
    """A video file that cannot be used; the message is the reason."""


def resized_size(height: int, width: int, resolution: int) -> tuple[int, int]:
    """(height, width) with the smaller one mapped to `resolution` and the aspect ratio kept to the nearest pixel."""
    short = min(height, width)
    return tuple(max(resolution, (2 * side * resolution + short) // (2 * short)) for side in (height, width))


def resize_short_side(frame: np.ndarray, resolution: int) -> np.ndarray:
    """Antialiased bilinear resize of one frame, uint8 [H, W, 3] -> uint8 [H', W', 3] with min(H', W') = resolution."""
    height, width = resized_size(*frame.shape[:2], resolution)
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))


def crop_square(video: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """A square of the short side: uint8 [T, H, W, 3] -> [T, S, S, 3], centred, or at random along the longer side."""
    height, width = video.shape[1:3]
    short = min(height, width)
    spare = max(height, width) - short
    start = spare // 2 if rng is None else int(rng.integers(spare + 1))
    return video[:, start : start + short] if height > width else video[:, :, start : start + short]


def window_span(num_frames: int, stride: int) -> int:
    """How many frames of a video a clip of every stride-th frame reaches over."""
    return (num_frames - 1) * stride + 1


def window_start(total: int, num_frames: int, stride: int, rng: np.random.Generator | None = None) -> int:
    """First frame of a window of a video of `total` frames: the middle window, or a random one."""
    spare = total - window_span(num_frames, stride)
    if spare < 0:
        raise VideoError(f"too short: {total} frames of the {window_span(num_frames, stride)} needed")
    return spare // 2 if rng is None else int(rng.integers(spare + 1))


def _decoded(path: str | os.PathLike) -> Iterator[av.VideoFrame]:
    """The frames of a file as the decoder leaves them; VideoError where it cannot go on."""
    count = 0
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.video:
                raise VideoError("no video in it")
            for frame in container.decode(container.streams.video[0]):
                yield frame
                count += 1
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"unreadable after {count} frames ({type(error).__name__})") from error


def read_frames(
    path: str | os.PathLike, resolution: int, start: int = 0, stop: int | None = None, step: int = 1
) -> np.ndarray:
    """Decodes frames start, start + step, ... before `stop`, each resized to the short side as soon as it is there.

    Decoding begins at the file's first frame (seeking is not exact in all formats), but only wanted frames are
    converted to RGB, one at a time, so no more than one frame is ever held in full size.

    Returns:
      uint8 [T, H, W, 3] with min(H, W) = resolution. VideoError if the file ends before the last of a finite range.
    """
    frames = []
    wanted = None if stop is None else len(range(start, stop, step))
    for i, frame in enumerate(_decoded(path)):
        if wanted is not None and len(frames) == wanted:
            break
        if i >= start and (i - start) % step == 0:
            rgb = frame.to_ndarray(format="rgb24")
            # A phone held upright stores a lying picture and the angle to turn it by, anticlockwise.
            rgb = np.rot90(rgb, round(frame.rotation / 90)) if frame.rotation else rgb
            frames.append(resize_short_side(np.ascontiguousarray(rgb), resolution))
    if not frames or (wanted is not None and len(frames) < wanted):
        raise VideoError(f"ended after {len(frames)} of the {wanted or 'many'} frames asked for")
    if len({frame.shape for frame in frames}) > 1:
        raise VideoError("the picture's size changes within the video")
    return np.stack(frames)


def count_frames(path: str | os.PathLike) -> int:
    """Decodes the whole file and counts its frames; VideoError if it is unreadable or has been cut off.

    A cut-off file decodes without complaint in some formats: then its header promises more than there is. Where the
    header does not count frames, its duration does; both are a little off in good files, hence the tolerance.
    """
    count = sum(1 for _ in _decoded(path))
    if count == 0:
        raise VideoError("no frames in it")
    with av.open(os.fspath(path)) as container:
        stream = container.streams.video[0]
        promised = stream.frames
        if not promised and container.duration and stream.average_rate:
            promised = int(container.duration / av.time_base * stream.average_rate)
    if os.fspath(path).lower().endswith(".gif"):  # promises nothing, but ends in a semicolon
        with open(path, "rb") as file:
            file.seek(-min(16, os.path.getsize(path)), os.SEEK_END)
            if not file.read().rstrip(b"\0\r\n").endswith(b";"):
                raise VideoError(f"truncated after {count} frames")
    if count < 0.9 * promised - 2:
        raise VideoError(f"truncated: {count} of {promised} frames")
    return count
