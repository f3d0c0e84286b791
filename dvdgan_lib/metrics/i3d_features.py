"""I3D features of videos, computed once (and kept) for every metric that reads them."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
from etils import epath
from scipy.special import softmax
from tqdm.auto import tqdm

from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.metrics.i3d import (
    MIN_FRAMES,
    NETWORK,
    NETWORKS,
    NUM_POOL_FEATURES,
    RESIZES,
    check_network,
    i3d,
    load_params,
    preprocess,
    weights_variant,
)
from dvdgan_lib.metrics.moments import RealStatistics
from dvdgan_lib.metrics.weights import sha256 as weights_sha256


@dataclass(frozen=True, eq=False)
class I3DFeatures:
    """What I3D says of N videos: logits [N, the network's classes] and avgpool features [N, 1024], float32."""

    logits: np.ndarray
    pool: np.ndarray
    clip_shape: tuple[int, int, int]  # Frames, height and width of the videos before the resize.
    network: str = NETWORK  # of NETWORKS
    resize: str = "tf1"  # of RESIZES
    weights: str = ""  # digits of their hash, where they are not those that the network's name stands for
    shipped_in: str = ""  # the folder that they were read from, where nobody computed them on this machine

    def __post_init__(self):
        """Refuse networks that do not exist, arrays of other shapes, and values that are not finite."""
        check_network(self.network)
        shapes, classes = (self.logits.shape, self.pool.shape), NETWORKS[self.network]
        if shapes != ((len(self.logits), classes), (len(self.logits), NUM_POOL_FEATURES)):
            raise ValueError(
                f"Features of {self.network} are logits [N, {classes}] and pool [N, {NUM_POOL_FEATURES}], got {shapes}."
            )
        if not (np.isfinite(self.logits).all() and np.isfinite(self.pool).all()):
            raise ValueError("The I3D features hold values that are not finite.")

    @property
    def probabilities(self) -> np.ndarray:
        """Class probabilities, float64 [N, classes]: the softmax of the logits."""
        return softmax(self.logits.astype(np.float64), axis=1)

    def __len__(self) -> int:
        """The number of videos."""
        return len(self.logits)

    def __getitem__(self, index: slice | np.ndarray) -> I3DFeatures:
        """A subset of the videos, by slice or array of indices: disjoint subsets give a metric's spread."""
        return replace(self, logits=self.logits[index], pool=self.pool[index])


def concatenated(parts: Sequence[I3DFeatures]) -> I3DFeatures:
    """The features of several sets as those of one, in their order: logits [N1 + N2 + ..., classes], pool [..., 1024].

    ValueError where clips differ in shape, or what saw them in network, resize or weights.
    """
    first = parts[0]
    if len({(part.clip_shape, part.network, part.resize, part.weights) for part in parts}) > 1:
        raise ValueError("Features of clips of several shapes, or by several networks, can't be those of one set.")
    return replace(first, logits=np.concatenate([p.logits for p in parts]), pool=np.concatenate([p.pool for p in parts]))


# What every metric takes: uint8 [N, T, H, W, 3], T >= 9, or an iterable of equally shaped uint8 [T, H, W, 3].
Videos = np.ndarray | Iterable[np.ndarray]


def _batches(videos: Videos, batch_size: int | None) -> Iterator[np.ndarray]:
    """Checked uint8 batches [B, T, H, W, 3] of whatever `features` was given; only the last may be smaller."""
    if hasattr(videos, "ndim") and videos.ndim != 5:
        raise ValueError(f"Videos must be one uint8 array [N, T, H, W, 3], got {videos.dtype} {tuple(videos.shape)}.")
    shape = None

    def checked(clip: np.ndarray) -> np.ndarray:
        nonlocal shape
        clip = np.asarray(clip)
        if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3:
            raise ValueError(f"Every video must be uint8 [T, H, W, 3], 0 to 255, got {clip.dtype} {clip.shape}.")
        if len(clip) < MIN_FRAMES:
            raise ValueError(f"I3D needs videos of at least {MIN_FRAMES} frames, got {len(clip)}.")
        shape = shape or clip.shape
        if clip.shape != shape:
            raise ValueError(f"Every video must have the same shape, got {shape} and {clip.shape}.")
        return clip

    clips = map(checked, videos)
    first = next(clips, None)
    if first is None:
        raise ValueError("There are no videos to compute features of.")
    if batch_size is None:
        # Enough frames to fill the machine: more only take memory.
        batch_size = max(1, (64 if jax.default_backend() == "cpu" else 512) // len(first))
    clips = itertools.chain([first], clips)
    while batch := list(itertools.islice(clips, batch_size)):
        yield np.stack(batch)


def features(
    videos: Videos,
    weights: str | Path | None = None,
    batch_size: int | None = None,
    progress: bool = True,
    resize: str = "tf1",
    network: str = NETWORK,
) -> I3DFeatures:
    """Run I3D once over videos, for every metric that reads it.

    Args:
      videos: uint8 [N, T, H, W, 3], T >= 9; or any iterable of equally shaped uint8 [T, H, W, 3], taken a batch at a
        time.
      weights: the path of the network's weights, in any form that `weights.load` reads; None takes installed ones, or for
        "I3D-K600" those in the cache folder.
      batch_size: videos at a time; None picks by length and machine.
      progress: show a progress bar.
      resize: how frames become 224x224, of RESIZES. Only "tf1" gives the published FVD; the others are what ports do.
      network: "I3D-K400", whose logits FVD is defined with, or "I3D-K600", the network of the paper's FID and IS.

    Raises:
      ValueError: the videos are not of that shape and dtype, or there is no such resize or network.
      WeightsError: the weights are missing, altered or another network's.
    """
    if resize not in RESIZES:
        raise ValueError(f"There is no resize {resize!r}; there are {', '.join(RESIZES)}.")
    check_network(network)
    logits, pool = [], []
    params, shape, variant = None, None, ""
    total = len(videos) if hasattr(videos, "__len__") else None
    with tqdm(total=total, desc=network, unit="clip", disable=not progress) as bar:
        for batch in _batches(videos, batch_size):
            if params is None:
                params, shape = jax.device_put(load_params(network, weights)), batch.shape
                variant = weights_variant(network, weights)
            # The last batch is filled up with its own last clip, so that one shape is compiled.
            filled = np.pad(batch, ((0, shape[0] - len(batch)), *[(0, 0)] * 4), mode="edge")
            outputs = i3d(params, preprocess(filled, resize))
            for store, output in zip((logits, pool), outputs, strict=True):
                store.append(np.asarray(output)[: len(batch)])
            bar.update(len(batch))
    return I3DFeatures(np.concatenate(logits), np.concatenate(pool), shape[1:4], network, resize, variant)


def as_features(videos: Videos | I3DFeatures | RealStatistics, **options) -> I3DFeatures | RealStatistics:
    """Features, or statistics of them, as they are; of videos, `features(videos, **options)`."""
    return videos if isinstance(videos, I3DFeatures | RealStatistics) else features(videos, **options)


def comparable(real: Videos | I3DFeatures, fake: Videos | I3DFeatures, **options) -> tuple[I3DFeatures, I3DFeatures]:
    """The features of both; ValueError where network, its weights, resize or the number of frames differ."""
    real, fake = as_features(real, **options), as_features(fake, **options)
    if (real.network, real.resize) != (fake.network, fake.resize):
        raise ValueError(
            f"Real features are from {real.network} (resize {real.resize}) and fake ones from {fake.network} (resize "
            f"{fake.resize}): use one network and one resize."
        )
    if real.weights != fake.weights:
        names = " and ".join(features.weights or "those it is named for" for features in (real, fake))
        raise ValueError(f"Real and fake features are by different weights of {real.network} ({names}): use one file.")
    if real.clip_shape[0] != fake.clip_shape[0]:
        raise ValueError(
            f"Real videos have {real.clip_shape[0]} frames and fake ones {fake.clip_shape[0]}: compare equal lengths."
        )
    return real, fake


def protocol_of(*sets: I3DFeatures) -> str:
    """In words: the size of the clips, how they were resized for the network, and its weights where they are others."""
    shapes = ["x".join(map(str, features.clip_shape)) for features in sets]
    weights = f", weights {sets[-1].weights}" if sets[-1].weights else ""
    return f"videos {' and '.join(dict.fromkeys(shapes))}, {RESIZES[sets[0].resize]} to 224x224{weights}"


def features_cached(
    videos: np.ndarray, cache_dir: str | Path, key: str, shipped: str | Path | None = None, **options
) -> I3DFeatures:
    """`features(videos, **options)`, kept in `cache_dir` (local or gs://) for the next time.

    Args:
      videos: uint8 [N, T, H, W, 3].
      cache_dir: made where it is missing.
      key: says whose videos these are ("ucf101_train", "step_1000"). The file's name starts with it; the videos' own
        checksum, the network and its weights' hash decide what is found.
      shipped: another folder where they may lie, under the name that they have in `cache_dir`; only read.
      options: for `features`.
    """
    videos = np.ascontiguousarray(videos)
    resize, network = options.get("resize", "tf1"), options.get("network", NETWORK)
    check_network(network)
    how = weights_sha256(network, options.get("weights")) + ("" if resize == "tf1" else f" {resize}")
    digest = hashlib.sha256(f"{videos.dtype} {videos.shape} {how}".encode())
    digest.update(videos)
    name = f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', key)}-{network}-{digest.hexdigest()[:16]}.npz"
    path = epath.Path(cache_dir) / name
    for place in (path, *([epath.Path(shipped) / name] if shipped else [])):
        try:
            with np.load(io.BytesIO(place.read_bytes()), allow_pickle=False) as file:
                weights = str(file["weights"]) if "weights" in file else ""
                whence = "" if place is path else str(shipped)
                cached = I3DFeatures(file["logits"], file["pool"], videos.shape[1:4], network, resize, weights, whence)
            if len(cached) == len(videos):
                return cached
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            pass  # Not there, or damaged: computed again.
    computed = features(videos, **options)
    buffer = io.BytesIO()
    np.savez(buffer, logits=computed.logits, pool=computed.pool, weights=computed.weights)
    write_atomically(path, buffer.getvalue())
    return computed
