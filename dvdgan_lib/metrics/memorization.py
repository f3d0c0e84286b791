"""Whether a model repeats its training set (appendix C.1, Figure 9): neighbours, distance ratios, abrupt interpolations.

All of them take vectors [N, D]: I3D's avgpool features, or `pixels` of the videos.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist, pdist

_CHUNK = 256  # samples at a time: against 10,000 training videos, 20 MB of distances


class Neighbours(NamedTuple):
    """The nearest videos of a reference set.

    Attributes:
      indices: int64 [N, k], nearest first.
      distances: float64 [N, k], Euclidean.
    """

    indices: np.ndarray
    distances: np.ndarray


def pixels(videos: np.ndarray) -> np.ndarray:
    """uint8 [N, T, H, W, 3] -> float32 [N, D]: every pixel, 0 to 1. Distances then see place and colour, not content."""
    return videos.reshape(len(videos), -1).astype(np.float32) / 255


def nearest_neighbours(samples: np.ndarray, reference: np.ndarray, k: int = 1) -> Neighbours:
    """The k vectors of `reference` [M, D] nearest to each of `samples` [N, D]; ValueError unless 1 <= k <= M."""
    if not 1 <= k <= len(reference):
        raise ValueError(f"Of {len(reference)} reference videos, 1 to {len(reference)} can be the nearest, not {k}.")
    indices, distances = [], []
    for begin in range(0, len(samples), _CHUNK):
        all_distances = cdist(samples[begin : begin + _CHUNK], reference)
        order = np.argsort(all_distances, axis=1, kind="stable")[:, :k]
        indices.append(order)
        distances.append(np.take_along_axis(all_distances, order, axis=1))
    return Neighbours(np.concatenate(indices), np.concatenate(distances))


def distance_ratios(samples: np.ndarray, training: np.ndarray, held_out: np.ndarray, seed: int = 0) -> np.ndarray:
    """How much nearer each sample lies to the training set than to videos that the model has never seen.

    Args:
      samples: [N, D].
      training: [M, D].
      held_out: [M', D], of the same kind.
      seed: the larger of the two sets is cut down to the size of the smaller at random: among more, the nearest is nearer.

    Returns:
      float64 [N]: nearest training distance over nearest held-out distance. About 1 for a model that has learned the kind,
      0 for a copy.
    """
    rng, size = np.random.default_rng(seed), min(len(training), len(held_out))
    nearest = [
        nearest_neighbours(samples, part[rng.permutation(len(part))[:size]]).distances[:, 0] for part in (training, held_out)
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = nearest[0] / nearest[1]
    return np.where(nearest[0] == nearest[1], 1.0, ratios)  # 0 / 0: in both sets


def abruptness(path: np.ndarray) -> float:
    """Largest step over mean step along an interpolation [S, D], S >= 3; nan where nothing moves at all.

    1 for steps all alike, S - 1 for a jump from one sample to another: what memorised clips do (appendix C.1).
    """
    if len(path) < 3:
        raise ValueError(f"An interpolation of {len(path)} samples has no steps to compare: take 3 or more.")
    steps = np.linalg.norm(np.diff(np.asarray(path, np.float64), axis=0), axis=1)
    return float(steps.max() / steps.mean()) if steps.any() else float("nan")


def diversity(samples: np.ndarray) -> float:
    """Mean Euclidean distance between two of the samples [N, D], N >= 2: 0 where all are the same."""
    if len(samples) < 2:
        raise ValueError(f"Diversity is among two samples or more, got {len(samples)}.")
    return float(pdist(samples).mean())
