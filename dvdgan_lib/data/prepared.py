"""A prepared data set (`preparation`): UCF-101, Kinetics-600, BAIR or a folder of one's own, as training reads it.

A clip is what appendix B.1 says: the short side is mapped to the resolution, a square is cropped at random along the other
side, and a random window of consecutive (every stride-th) frames is taken; for measurements always the middle of both.
"""

from __future__ import annotations

import io
import json
import logging
import os
from typing import Any

import numpy as np
from etils import epath

from dvdgan_lib.data.video import (
    DataError,
    VideoError,
    crop_square,
    read_frames,
    resize_short_side,
    window_span,
    window_start,
)

_OPEN_FILES = 1024  # besides the shards
_TRIES = 10  # records in a row that can't be read: then it isn't the record
_GIVEN_UP = "Retry policy exhausted"  # says google-cloud-cpp, having tried to read an object for a quarter of an hour

logger = logging.getLogger(__name__)


def _reason(error: BaseException) -> str:
    """The first line of what went wrong, in a length that fits into a sentence."""
    return (str(error).partition("\n")[0] or type(error).__name__)[:200]


def _exists(file: epath.Path) -> bool:
    """DataError where that can't be told: a bucket that is closed to us or away, a name that no bucket can have."""
    try:
        return file.exists()
    except Exception as error:  # whatever the storage's client raises
        raise DataError(
            f"{file.parent} cannot be looked into ({_reason(error)}): is its name right, is there a network, and may this "
            "machine read there?"
        ) from error


def is_prepared(folder: str | os.PathLike) -> bool:
    """Whether `preparation.prepare` has made the folder, or has begun to; DataError where that can't be told."""
    return _exists(epath.Path(folder) / "preparation.json")


def _check_shards(folder: epath.Path, names: list[str], sizes: list[int]) -> None:
    """ValueError where a shard is missing or cut off, as a copy that broke off leaves them: ArrayRecord tells it late."""
    found = {file.name: file for file in folder.iterdir()}  # one question: there may be a thousand, in a bucket
    for name, wanted in zip(names, sizes, strict=True):
        has = found[name].stat().length if name in found else None
        if has != wanted:
            raise ValueError(f"{name} {'is missing' if has is None else f'has {has} of {wanted} bytes'}")


def _let_be_open(files: int) -> None:
    """ArrayRecord keeps every shard open, Kinetics-600 has 1,500, and systems often let a process open 1,024, or 256."""
    import resource  # Windows has neither it nor ArrayRecord

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + _OPEN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


class PreparedVideos:
    """The data set (a VideoSource); an example is a clip of one video.

    Attributes:
      frames: int32 [len(self)], how many frames each video has.
      too_short: how many videos of the split are left out since a clip is longer.
      stored: what is stored of a video, see `preparation`.
      rate: frames a second as which videos that were encoded again are stored; None for others.
    """

    def __init__(
        self,
        split: str,
        num_frames: int,
        resolution: int,
        stride: int = 1,
        num_classes: int | None = None,
        *,
        data_dir: str | os.PathLike,
    ):
        """Opens a split; arguments as for `load`. "test" is "val" where there is no "test"."""
        import tensorflow_datasets as tfds  # takes seconds, and the stand-ins don't need it

        folder = epath.Path(data_dir)
        if not _exists(folder / "dataset_info.json"):
            begun = f"the preparation in {folder} was begun and not finished: start it again, it goes on"
            missing = f"there is no prepared data set in {folder}: make it by notebooks/01_data_prep, or name its folder"
            raise DataError(f"Nothing to read: {begun if is_prepared(folder) else missing}.")
        try:
            plan = json.loads((folder / "preparation.json").read_text())
            splits, names = plan["splits"], tuple(plan["class_names"])
            wanted = "val" if split == "test" and split not in splits and "val" in splits else split
            if wanted not in splits:
                raise DataError(f"{folder} has no split {split!r}: there are {', '.join(splits)}.")
            with np.load(io.BytesIO((folder / f"index-{wanted}.npz").read_bytes())) as index:
                labels, frames = index["labels"], index["frames"]
            self._records = tfds.builder_from_directory(folder).as_data_source(wanted)
            if len(self._records) != len(labels):
                raise ValueError(f"its index lists {len(labels)} videos, its shards hold {len(self._records)}")
            shards = sorted(file.name for file in self._records.dataset_info.splits[wanted].filepaths)
            report = json.loads((folder / "report.json").read_text())["splits"][wanted]
            _check_shards(folder, shards, report["shard_bytes"])
        except DataError:
            raise
        except Exception as error:  # whatever a damaged JSON, zip or NumPy file raises
            raise DataError(
                f"{folder} cannot be read, or is damaged ({_reason(error)}): if it is still there and may be read, prepare "
                "it again, or copy it again."
            ) from error
        _let_be_open(len(shards))
        if num_classes is not None and not 1 <= num_classes <= len(names):
            raise ValueError(f"{folder} has 1 to {len(names)} classes, not {num_classes}.")
        self.class_names = names[:num_classes]
        self.stored, short_side = plan["stored"], plan.get("short_side")
        if short_side and resolution > short_side:
            raise DataError(
                f"{folder} holds videos of {short_side} pixels, and {resolution} are asked for: prepare it again, in a new "
                f"folder, with short_side={resolution} or more."
            )
        self.num_frames, self.resolution, self.stride, self.rate = num_frames, resolution, stride, plan.get("rate")
        own = labels < len(self.class_names)
        if not own.any():
            raise DataError(f"{folder}'s {wanted} split has no video of its first {num_classes} classes.")
        usable = own & (frames >= window_span(num_frames, stride))
        if not usable.any():
            raise DataError(
                f"No video of {folder}'s {wanted} split has the {window_span(num_frames, stride)} frames that a clip of "
                f"{num_frames} with stride {stride} takes; the longest has {frames[own].max()}."
            )
        self._where = np.flatnonzero(usable)
        self.labels, self.frames = labels[usable], frames[usable]
        self.too_short = int(own.sum() - usable.sum())
        self.description = (
            f"{splits[wanted]['name']}: {len(self):,} clips of {len(np.unique(self.labels))} classes"
            + (f" at a short side of {short_side}, encoded again" if short_side else "")
            + (f"; {self.too_short:,} too short for {num_frames} frames" if self.too_short else "")
        )

    def __len__(self) -> int:
        """Number of videos long enough for a clip."""
        return len(self._where)

    def record(self, index: int) -> dict[str, Any]:
        """What is stored of video `index`: "key" (its name in the raw data), "label", "frames", "fps", and "video".

        That is its bytes or all its pixels, see `stored`.
        """
        record = self._records[int(self._where[index])]
        return record | {"key": record["key"].decode()}

    def clip(self, index: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """uint8 [T, H, W, 3] from video `index`, as in `example`; VideoError or RuntimeError where the record is damaged."""
        record = self.record(index)
        if (record["frames"], record["label"]) != (self.frames[index], self.labels[index]):
            raise VideoError("the record is not the one that the index lists")  # or of a file that is cut off: empty
        start = window_start(int(self.frames[index]), self.num_frames, self.stride, rng)
        stop = start + window_span(self.num_frames, self.stride)
        if self.stored == "frames":
            video = np.stack([resize_short_side(f, self.resolution) for f in record["video"][start : stop : self.stride]])
        else:
            video = read_frames(record["video"], self.resolution, start, stop, self.stride, rate=self.rate)
        return np.ascontiguousarray(crop_square(video, rng))

    def example(self, index: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """{"video": uint8 [T, H, W, 3], "label": int32} from video `index`: its middle, or by `rng` anywhere in it.

        A record that is damaged is replaced by the next of its class.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"There are videos 0 to {len(self) - 1} in {self.description}, not {index}.")
        label, reason = self.labels[index], ""
        same_class = np.flatnonzero(self.labels == label)
        for candidate in np.roll(same_class, -np.searchsorted(same_class, index))[:_TRIES]:
            try:
                return {"video": self.clip(candidate, rng), "label": np.int32(label)}
            except (VideoError, OSError, RuntimeError, ValueError) as error:  # ArrayRecord raises RuntimeError
                reason = _reason(error)
                if _GIVEN_UP in str(error):  # the bucket, not the record: the next would take as long
                    break
                logger.warning(
                    "Record %d of %s cannot be read (%s): another of its class", candidate, self.description, reason
                )
        raise DataError(
            f"No record of class {self.class_names[label]!r} is readable ({reason}): is the disk still there? If it is, "
            "prepare the data set again, or copy it again."
        )
