"""Density and coverage (Naeem et al., 2020), and diversity: what a model that has collapsed can't do well at.

A Fréchet distance mixes how good samples are with how varied they are. Here each real video has a ball that reaches to its
k-th nearest real neighbour in feature space. Density says how many such balls a sample lies in (over k: 1 is what real
videos reach, more is crowding where real videos are crowded); coverage, which share of the balls holds any sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from dvdgan_lib.metrics.i3d_features import I3DFeatures, Videos, as_features, comparable, protocol_of
from dvdgan_lib.metrics.memorization import diversity

NEIGHBOURS = 5  # k, as in the paper of the two metrics
ROWS = 2048  # real videos at a time: the distances between two sets of 50,000 would be 20 GB


@dataclass(frozen=True)
class CoverageResult:
    """Density and coverage, and what they were computed from.

    Attributes:
      density: 0 or more, 1 in expectation for real videos.
      coverage: 0 to 1. Real videos reach 1 - 2^-k in expectation with as many on both sides, and less with fewer samples.
      neighbours: k.
      num_real: videos.
      num_fake: videos.
      network: which saw them.
      protocol: how they were prepared for it.
    """

    density: float
    coverage: float
    neighbours: int
    num_real: int
    num_fake: int
    network: str
    protocol: str

    def __str__(self) -> str:
        """Both, with samples, network and protocol."""
        return (
            f"density = {self.density:.3f}, coverage = {self.coverage:.3f} ({self.num_real} real, {self.num_fake} fake; "
            f"k = {self.neighbours}; network {self.network}, avgpool; {self.protocol})"
        )


def density_and_coverage_of(real: np.ndarray, fake: np.ndarray, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """(density, coverage) of features [N, D] and [M, D], N > k; ValueError with too few."""
    if len(real) <= neighbours or not len(fake):
        raise ValueError(f"k = {neighbours} neighbours need more real videos than {len(real)}, and a sample at least.")
    inside, holding = 0, 0
    for start in range(0, len(real), ROWS):
        some = real[start : start + ROWS]
        radii = np.partition(cdist(some, real), neighbours, axis=1)[:, neighbours]  # each is its own neighbour number 0
        in_ball = cdist(some, fake) < radii[:, None]
        inside, holding = inside + in_ball.sum(), holding + in_ball.any(axis=1).sum()
    return float(inside / (neighbours * len(fake))), float(holding / len(real))


def density_and_coverage(
    real: Videos | I3DFeatures, fake: Videos | I3DFeatures, neighbours: int = NEIGHBOURS, **options
) -> CoverageResult:
    """Both in the space of I3D's avgpool features; further arguments and errors as for `frechet_video_distance`."""
    real, fake = comparable(real, fake, **options)
    both = density_and_coverage_of(real.pool.astype(np.float64), fake.pool.astype(np.float64), neighbours)
    return CoverageResult(*both, neighbours, len(real), len(fake), real.network, protocol_of(real, fake))


def diversity_within_classes(videos: Videos | I3DFeatures, labels: np.ndarray, **options) -> dict[int, float]:
    """{class: mean distance between two of its videos in I3D's avgpool space}, of classes with two videos or more.

    To be read beside that of real videos of the same classes: a class whose samples are all alike has nearly 0.

    Args:
      videos: uint8 [N, T, H, W, 3], or their `I3DFeatures`.
      labels: integers [N].
      options: for `features`, where videos are given.
    """
    features = as_features(videos, **options)
    labels = np.asarray(labels)
    if labels.shape != (len(features),):
        raise ValueError(f"Labels must be one a video, [{len(features)}], got shape {labels.shape}.")
    classes, counts = np.unique(labels, return_counts=True)
    return {int(c): diversity(features.pool[labels == c]) for c in classes[counts > 1]}
