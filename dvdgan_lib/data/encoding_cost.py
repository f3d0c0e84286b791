"""What is lost by storing videos encoded again: the same clips from the stored and from the raw files, compared.

    print(encoding_cost.measure(splits["train"], "data/kinetics600", num_frames=12, resolution=64, stride=2, num_clips=8))

A stored clip was resized to the stored short side, encoded, decoded, and resized again to the clip's resolution; a direct
clip is decoded from the raw file and resized once. Window and crop of the two are the same, but for this: rounded twice, the
longer side may come out a pixel longer (4:3 at 64 from stored 128: 86, not 85), which shifts pixels by up to one and lowers
the PSNR a good deal though nobody sees it. Measured at the stored resolution it can't happen.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from dvdgan_lib import metrics
from dvdgan_lib.data.prepared import PreparedVideos
from dvdgan_lib.data.prepared_metadata import utf8
from dvdgan_lib.data.raw import RawSplit
from dvdgan_lib.data.video import DataError, crop_square, read_frames, window_span, window_start


@dataclass(frozen=True)
class EncodingCost:
    """How far stored clips are from direct ones.

    Attributes:
      psnr: decibels, float64 [N], one a clip; inf where no pixel differs.
      fvd: between the direct clips (as the real ones) and the stored; None if not asked for. It says its network.
      num_videos: how many videos the clips are of.
      num_frames: of a clip.
      resolution: of a clip.
      stride: of a clip.
      data: what was measured.
    """

    psnr: np.ndarray
    fvd: metrics.FrechetResult | None
    num_videos: int
    num_frames: int
    resolution: int
    stride: int
    data: str

    def __str__(self) -> str:
        """For reading, with everything that the numbers depend on."""
        size = f"{self.num_frames} frames of {self.resolution}x{self.resolution}, stride {self.stride}"
        return (
            f"PSNR {self.psnr.mean():.1f} dB, at least {self.psnr.min():.1f} dB, of {len(self.psnr)} clips ({size}) of "
            f"{self.num_videos} videos, stored against direct; {self.data}" + (f"\n{self.fvd}" if self.fvd else "")
        )


def psnr(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each clip, uint8 [N, T, H, W, 3] twice -> decibels [N]: 10 log10(255^2 / MSE)."""
    difference = reference.astype(np.float64) - other
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / np.mean(difference**2, axis=(1, 2, 3, 4)))


def paired_clips(raw: RawSplit, source: PreparedVideos, num_clips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(direct, stored) clips, uint8 [N, T, H, W, 3] each: random windows and crops, of as many videos as there are.

    DataError if the two don't belong together, VideoError if a file can't be read.
    """
    if source.stored == "frames":
        raise DataError(f"{source.description}: stored as raw pixels, so nothing was encoded.")
    files = {utf8(video.key): video for video in raw.videos}
    order = np.random.default_rng(seed).permutation(len(source))
    direct, stored = [], []
    for i in range(num_clips):
        index = int(order[i % len(order)])
        key = source.record(index)["key"]
        if key not in files:
            raise DataError(f"The stored video {key!r} is not in {raw.name}: was something else prepared?")
        stored.append(source.clip(index, np.random.default_rng((seed, i))))
        rng = np.random.default_rng((seed, i))
        start = window_start(int(source.frames[index]), source.num_frames, source.stride, rng)
        stop = start + window_span(source.num_frames, source.stride)
        file = files[key]
        video = read_frames(file.path, source.resolution, start, stop, source.stride, seconds=file.seconds)
        direct.append(crop_square(video, rng))
    return np.stack(direct), np.stack(stored)


def measure(
    raw: RawSplit,
    folder: str | os.PathLike,
    split: str = "train",
    *,
    num_frames: int,
    resolution: int,
    stride: int = 1,
    num_clips: int = 64,
    seed: int = 0,
    fvd: bool = False,
) -> EncodingCost:
    """Compares clips of a prepared data set with the same clips of its raw files.

    Args:
      raw: the split, as it was prepared.
      folder: the prepared data set.
      split: its name there.
      num_frames: of a clip, as are `resolution` and `stride`.
      resolution: H = W in pixels.
      stride: of every how many frames one is taken.
      num_clips: N. Where there are fewer videos, several clips are taken of each.
      seed: decides videos, windows and crops.
      fvd: also the FVD, by I3D: a second a clip or so on a CPU. Under 512 clips it says that it is a small sample.
    """
    source = PreparedVideos(split, num_frames, resolution, stride, data_dir=folder)
    direct, stored = paired_clips(raw, source, num_clips, seed)
    distance = metrics.frechet_video_distance(direct, stored) if fvd else None
    num_videos, data = min(num_clips, len(source)), source.description
    return EncodingCost(psnr(direct, stored), distance, num_videos, num_frames, resolution, stride, data)
