"""Your own videos: a folder with one subfolder a class (UCF-101's and Kinetics' usual layout).

Preparation follows appendix B.1: a bilinear resize that maps the smallest side to the resolution, a random square crop
along the other, and a random sequence of frames; for measurements the middle of each.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dvdgan_lib.data.raw import EXTENSIONS, RawSplit, RawVideo, probe_all, video_files
from dvdgan_lib.data.video import (
    DataError,
    VideoError,
    VideoFacts,
    crop_square,
    read_frames,
    window_span,
    window_start,
)

TEST_EVERY = 10  # without train/ and test/ folders, every 10th video of a class is for testing
_NAMED = 10  # how many skipped files a warning names

logger = logging.getLogger(__name__)


def _videos_by_class(folder: Path) -> tuple[dict[str, list[Path]], list[tuple[str, str]]]:
    """Class name -> its video files, both sorted, and what is none; subfolders without a video are no classes."""
    classes, refused = {}, []
    for subfolder in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        videos, bad = video_files(subfolder)
        refused += bad
        if videos:
            classes[subfolder.name] = videos
    return classes, refused


def _layout(folder: Path) -> str:
    return f"expected {folder}/CLASS/*.mp4 or {folder}/{{train,test}}/CLASS/*.mp4 ({', '.join(EXTENSIONS)})"


def find(folder: str | os.PathLike, split: str) -> RawSplit:
    """The videos of a split ("train" or "test"), every class of the data set being among its class names.

    DataError if there is no class; a class without videos of this split is none.
    """
    folder = Path(folder)
    if split not in ("train", "test"):
        raise ValueError(f"folder has no split {split!r}: there are train, test.")
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: {_layout(folder)}.")
    if all((folder / name).is_dir() for name in ("train", "test")):
        splits = {name: _videos_by_class(folder / name) for name in ("train", "test")}
        names = sorted(splits["train"][0].keys() | splits["test"][0].keys())
        chosen, refused = {name: splits[split][0].get(name, []) for name in names}, splits[split][1]
        remark = f"its {split}/ folder"
    else:
        classes, refused = _videos_by_class(folder)
        chosen, single = {}, 0
        for name, videos in classes.items():
            test = set(videos[::TEST_EVERY])
            # A class of one video would be missing on one side: it is on both.
            single += len(videos) == 1
            chosen[name] = [v for v in videos if len(videos) == 1 or (v in test) == (split == "test")]
        share = f"every {TEST_EVERY}th video" if split == "test" else f"all but every {TEST_EVERY}th video"
        remark = f"{share} of a class" + (f"; {single} classes of one video are in train and test" if single else "")
    if not chosen:
        raise DataError(f"There are no subfolders with videos in {folder}: {_layout(folder)}.")
    videos = tuple(
        RawVideo(path.relative_to(folder).as_posix(), label, path)
        for label, paths in enumerate(chosen.values())
        for path in paths
    )
    return RawSplit(f"the folder {folder.name} ({split}: {remark})", tuple(chosen), videos, tuple(refused))


_known: dict[tuple[str, int, int], VideoFacts] = {}  # of this process, which opens a folder several times to measure


def _facts(videos: Sequence[RawVideo]) -> list[VideoFacts | str]:
    """`probe_all`, for good files that were there before with that size and time from memory."""

    def file_now(video: RawVideo) -> tuple[str, int, int] | None:
        try:
            status = os.stat(video.path)
        except OSError:  # `probe_all` says what is wrong
            return None
        return os.fspath(video.path), status.st_size, status.st_mtime_ns

    files = [file_now(video) for video in videos]
    unknown = [i for i, file in enumerate(files) if file not in _known]
    found = dict(zip(unknown, probe_all([videos[i] for i in unknown]), strict=True))
    _known.update((files[i], fact) for i, fact in found.items() if files[i] and not isinstance(fact, str))
    return [found[i] if i in found else _known[file] for i, file in enumerate(files)]


class VideoFolder:
    """The data set; an example is a clip of one video.

    Attributes:
      paths: the videos, in the order of the examples.
      frames: how many frames each of them has.
      skipped: (path, reason) of each file that was left out.
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
        """Lists the split's videos and decodes each once to see that it is whole; arguments as for `load`."""
        raw = find(data_dir, split)
        if num_classes is not None:
            if not 1 <= num_classes <= len(raw.class_names):
                raise ValueError(f"{data_dir} has 1 to {len(raw.class_names)} classes, not {num_classes}.")
            kept = tuple(video for video in raw.videos if video.label < num_classes)
            raw = replace(raw, class_names=raw.class_names[:num_classes], videos=kept)
        self.split, self.num_frames, self.resolution, self.stride = split, num_frames, resolution, stride
        self.class_names = raw.class_names

        found = [self._usable(fact) for fact in _facts(raw.videos)]
        pairs = list(zip(raw.videos, found, strict=True))
        good = [(video, fact) for video, fact in pairs if not isinstance(fact, str)]
        self.skipped = raw.skipped + tuple((os.fspath(v.path), why) for v, why in pairs if isinstance(why, str))
        listed = "; ".join(f"{path} ({why})" for path, why in self.skipped[:_NAMED])
        listed += f"; and {len(self.skipped) - _NAMED} more" if len(self.skipped) > _NAMED else ""
        if not good:
            why = f"none of its {len(pairs)} videos is usable: {listed}" if pairs else "it has no videos"
            raise DataError(f"There is nothing to learn from in {raw.name}, because {why}; {_layout(Path(data_dir))}.")
        if self.skipped:
            logger.warning("%d of %d videos in %s skipped: %s", len(self.skipped), len(pairs), data_dir, listed)
        self.paths = tuple(video.path for video, _ in good)
        self.labels = np.array([video.label for video, _ in good], np.int32)
        self.frames = np.array([fact.frames for _, fact in good])
        self.description = f"{len(good)} videos of {len(raw.class_names)} classes in {raw.name}; {len(self.skipped)} skipped"

    def _usable(self, fact: VideoFacts | str) -> VideoFacts | str:
        """What `probe_all` says, or that the video is too short for a clip."""
        if isinstance(fact, str):
            return fact
        try:
            window_start(fact.frames, self.num_frames, self.stride)
        except VideoError as error:
            return str(error)
        return fact

    def __len__(self) -> int:
        """Number of videos that can be read."""
        return len(self.paths)

    def example(self, index: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """{"video": uint8 [T, H, W, 3], "label": int32} from video `index`: its middle, or by `rng` anywhere in it.

        A file that was good when it was listed and is not any more is replaced by the next one of its class.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"The {self.split} split has videos 0 to {len(self) - 1}, not {index}.")
        label = self.labels[index]
        same_class = np.flatnonzero(self.labels == label)
        for candidate in np.roll(same_class, -np.searchsorted(same_class, index)):
            start = window_start(int(self.frames[candidate]), self.num_frames, self.stride, rng)
            stop = start + window_span(self.num_frames, self.stride)
            try:
                video = read_frames(self.paths[candidate], self.resolution, start, stop, self.stride)
            except VideoError as error:
                logger.warning("%s cannot be read any more (%s): another of its class", self.paths[candidate], error)
                continue
            return {"video": np.ascontiguousarray(crop_square(video, rng)), "label": np.int32(label)}
        raise DataError(f"No video of class {self.class_names[label]!r} is readable any more: is the disk still there?")
