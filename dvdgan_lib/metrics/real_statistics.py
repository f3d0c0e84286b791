"""Mean and covariance of a whole training set's features: what the paper measures samples against (footnote 3 of 2.4).

"we pre-calculate ground-truth statistics on the entire training set": hundreds of thousands of clips, computed once, kept in
a file with what they were computed of, and read from there by every later measurement.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from etils import epath
from tqdm.auto import tqdm

from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.metrics.i3d import weights_variant
from dvdgan_lib.metrics.i3d_features import I3DFeatures, features
from dvdgan_lib.metrics.moments import Moments, RealStatistics

FIELDS = ("logits", "pool")  # of `I3DFeatures`
CHUNK = 512  # clips between two saves: some minutes of work on a CPU, 300 MB of 12-frame clips at 128x128


class Source(Protocol):
    """What is read of a data set (`data.VideoSource`)."""

    description: str

    def __len__(self) -> int:
        """The number of clips."""

    def example(self, index: int) -> dict:
        """{"video": uint8 [T, H, W, 3], ...}, the same for the same index."""


def statistics_of(computed: I3DFeatures, source: str) -> RealStatistics:
    """Of features that are at hand."""
    moments = {field: Moments.of(getattr(computed, field)) for field in FIELDS}
    return RealStatistics(moments, computed.clip_shape, computed.network, computed.resize, source, computed.weights)


def _merged(one: RealStatistics | None, other: RealStatistics) -> RealStatistics:
    if one is None:
        return other
    moments = {field: one.moments[field].merge(other.moments[field]) for field in FIELDS}
    return RealStatistics(moments, one.clip_shape, one.network, one.resize, one.source, one.weights)


def _read(path: epath.Path, provenance: dict) -> RealStatistics | None:
    """What `_write` wrote of the same data, network and resize; None where there is nothing, or it is damaged or another."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if json.loads(str(file["provenance"])) != provenance:
                return None
            moments = {f: Moments(int(file["count"]), file[f"{f}_mean"], file[f"{f}_scatter"]) for f in FIELDS}
            shape = tuple(int(n) for n in file["clip_shape"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return RealStatistics(moments, shape, *(provenance[key] for key in ("network", "resize", "source", "weights")))


def _write(path: epath.Path, statistics: RealStatistics, provenance: dict) -> None:
    buffer = io.BytesIO()
    arrays = {f"{f}_mean": statistics.moments[f].mean for f in FIELDS}
    arrays |= {f"{f}_scatter": statistics.moments[f].scatter for f in FIELDS}
    np.savez(
        buffer,
        count=len(statistics),
        clip_shape=statistics.clip_shape,
        provenance=json.dumps(provenance),
        **arrays,
    )
    write_atomically(path, buffer.getvalue())


def real_statistics(
    source: Source,
    cache_dir: str | Path,
    key: str,
    num_clips: int | None = None,
    network: str = "I3D-K400",
    resize: str = "tf1",
    weights: str | Path | None = None,
    progress: bool = True,
) -> RealStatistics:
    """Statistics of a data set's clips, from a file where they were computed before.

    Clips are read and seen a few at a time. Every `CHUNK` of them the file is written anew, so that a run that is killed
    goes on where it was.

    Args:
      source: the data set; its size and description are kept with the statistics, and another one is computed anew.
      cache_dir: a folder, local or gs://.
      key: names the file, say "kinetics600-train-12x64x64".
      num_clips: so many clips only, drawn at random but always the same; None for all.
      network: of `i3d_features.features`.
      resize: of `i3d_features.features`.
      weights: of `i3d_features.features`.
      progress: show a bar.
    """
    total = len(source) if num_clips is None else min(num_clips, len(source))
    path = epath.Path(cache_dir) / f"{key}-{network}-statistics.npz"
    first = np.shape(source.example(0)["video"])[:3]
    provenance = {
        "source": source.description,
        "clips_in_source": len(source),
        "clip_shape": [int(n) for n in first],
        "network": network,
        "resize": resize,
        "weights": weights_variant(network, weights),
    }
    found = _read(path, provenance)
    if found is not None and len(found) > total:  # of more clips than are wanted now
        found = None
    done = 0 if found is None else len(found)

    # Data sets lie in the order of their classes: the first clips of a random order are a fair sample of all.
    order = np.random.default_rng(0).permutation(len(source))

    def clips(begin: int, end: int) -> Iterator[np.ndarray]:
        for index in order[begin:end]:
            yield source.example(int(index))["video"]

    with tqdm(total=total, initial=done, desc="real statistics", unit="clip", disable=not progress) as bar:
        while done < total:
            end = min(done + CHUNK, total)
            computed = features(clips(done, end), weights=weights, progress=False, resize=resize, network=network)
            found = _merged(found, statistics_of(computed, source.description))
            _write(path, found, provenance)
            bar.update(end - done)
            done = end
    return found
