"""Your own videos: a folder with one subfolder a class (UCF-101's and Kinetics' usual layout).

Preparation follows appendix B.1: a bilinear resize that maps the smallest side to the resolution, a random square crop
along the other, and a random sequence of frames; for measurements the middle of each.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dvdgan_lib.data.video import (
    DataError,
    VideoError,
    count_frames,
    crop_square,
    read_frames,
    window_span,
    window_start,
)

EXTENSIONS = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".gif")
TEST_EVERY = 10  # without train/ and test/ folders, every 10th video of a class is for testing
_NAMED = 10  # how many skipped files a warning names

logger = logging.getLogger(__name__)


def _videos_by_class(folder: Path) -> dict[str, list[Path]]:
    """Class name -> its video files, both sorted; hidden subfolders and those without a video file are no classes."""
    classes = {}
    for subfolder in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        videos = sorted(p for p in subfolder.iterdir() if p.suffix.lower() in EXTENSIONS and p.is_file())
        if videos:
            classes[subfolder.name] = videos
    return classes


def _layout(folder: Path) -> str:
    return f"expected {folder}/CLASS/*.mp4 or {folder}/{{train,test}}/CLASS/*.mp4 ({', '.join(EXTENSIONS)})"


def find_videos(folder: Path, split: str) -> tuple[dict[str, list[Path]], str]:
    """The files of a split by class, every class of the data set being there, and a remark on how it was split."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: {_layout(folder)}.")
    if all((folder / name).is_dir() for name in ("train", "test")):
        splits = {name: _videos_by_class(folder / name) for name in ("train", "test")}
        names = sorted(splits["train"].keys() | splits["test"].keys())
        chosen, remark = {name: splits[split].get(name, []) for name in names}, f"its {split}/ folder"
    else:
        classes = _videos_by_class(folder)
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
    return chosen, remark


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
        if split not in ("train", "test"):
            raise ValueError(f"folder has no split {split!r}: there are train, test.")
        folder = Path(data_dir)
        classes, remark = find_videos(folder, split)
        if num_classes is not None:
            if not 1 <= num_classes <= len(classes):
                raise ValueError(f"{folder} has 1 to {len(classes)} classes, not {num_classes}.")
            classes = dict(list(classes.items())[:num_classes])
        self.split, self.num_frames, self.resolution, self.stride = split, num_frames, resolution, stride
        self.class_names = tuple(classes)

        files = [(path, label) for label, videos in enumerate(classes.values()) for path in videos]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(self._probe, [path for path, _ in files])
            found = list(tqdm(found, "reading videos", len(files), unit="video", disable=len(files) < 50, leave=False))
        good = [(path, label, count) for (path, label), count in zip(files, found, strict=True) if type(count) is int]
        self.skipped = tuple((p, why) for (p, _), why in zip(files, found, strict=True) if type(why) is str)
        listed = "; ".join(f"{path} ({why})" for path, why in self.skipped[:_NAMED])
        listed += f"; and {len(self.skipped) - _NAMED} more" if len(self.skipped) > _NAMED else ""
        if not good:
            why = f"none of its {len(files)} videos is usable: {listed}" if files else "it has no videos"
            raise DataError(f"The {split} split of {folder} is empty ({remark}), because {why}; {_layout(folder)}.")
        if self.skipped:
            logger.warning("%d of %d videos in %s skipped: %s", len(self.skipped), len(files), folder, listed)
        self.paths = tuple(path for path, _, _ in good)
        self.labels = np.array([label for _, label, _ in good], np.int32)
        self.frames = np.array([count for _, _, count in good])
        self.description = (
            f"{len(good)} videos of {len(classes)} classes in the folder {folder.name} ({split}: {remark}; "
            f"{len(self.skipped)} skipped)"
        )

    def _probe(self, path: Path) -> int | str:
        """Number of frames, or why the file is of no use."""
        try:
            count = count_frames(path)
            window_start(count, self.num_frames, self.stride)
        except VideoError as error:
            return str(error)
        return count

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
