"""KVD, the kernel distance of Unterthiner et al. (2018) and Binkowski et al. (2018): beside FVD, since it is unbiased.

It is the squared maximum mean discrepancy between two sets of features under the kernel k(x, y) = (x . y / D + 1)^3: 0 in
expectation where both sets are drawn independently from one distribution, however few videos there are, and so sometimes
below 0. Real clips that have their classes in turn (`data.first_clips`) are more evenly spread than independent draws: they
pull it below 0, by an amount that falls as one over their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvdgan_lib.metrics.i3d_features import I3DFeatures, Videos, comparable, protocol_of

SUBSETS = 10  # disjoint ones that the spread is taken over
ROWS = 2048  # videos of one side at a time: the kernel between two sets of 50,000 would be 20 GB


def _sum_of_kernel(x: np.ndarray, y: np.ndarray) -> float:
    starts = range(0, len(x), ROWS)
    return sum(float(((x[i : i + ROWS] @ y.T / x.shape[1] + 1) ** 3).sum()) for i in starts)


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate from features [N, D] and [M, D]: no vector is compared with itself. N, M >= 2."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"The unbiased estimate needs two videos a side, got {len(x)} and {len(y)}.")
    itself = [((np.square(z).sum(axis=1) / z.shape[1] + 1) ** 3).sum() for z in (x, y)]
    within = [(_sum_of_kernel(z, z) - own) / (len(z) * (len(z) - 1)) for z, own in zip((x, y), itself, strict=True)]
    return float(sum(within) - 2 * _sum_of_kernel(x, y) / (len(x) * len(y)))


@dataclass(frozen=True)
class KernelDistanceResult:
    """A KVD and what it was computed from.

    Attributes:
      name: the metric, network and features.
      value: of all videos.
      deviation: of the mean over disjoint random subsets of both sides, which is that of `value` or somewhat more; nan where
        there are too few videos for two subsets.
      num_real: videos.
      num_fake: videos.
      network: which saw them.
      protocol: how they were prepared for it.
    """

    name: str
    value: float
    deviation: float
    num_real: int
    num_fake: int
    network: str
    protocol: str

    def __float__(self) -> float:
        """The distance alone."""
        return self.value

    def __str__(self) -> str:
        """The distance with its spread, samples, network and protocol."""
        return (
            f"{self.name} = {self.value:.3f} +- {self.deviation:.3f} ({self.num_real} real, {self.num_fake} fake; network "
            f"{self.network}, kernel (x.y/D + 1)^3, unbiased; {self.protocol})"
        )


def kernel_video_distance(real: Videos | I3DFeatures, fake: Videos | I3DFeatures, **options) -> KernelDistanceResult:
    """KVD between I3D's logits; arguments and errors as for `frechet_video_distance`."""
    real, fake = comparable(real, fake, **options)
    x, y = real.logits, fake.logits
    subsets = min(SUBSETS, len(x) // 2, len(y) // 2)
    deviation = float("nan")
    if subsets > 1:
        # At random: with classes in turn, every tenth clip would be of half of eight classes.
        rng = np.random.default_rng(0)
        split = [np.array_split(z[rng.permutation(len(z))], subsets) for z in (x, y)]
        parts = [squared_mmd(*pair) for pair in zip(*split, strict=True)]
        deviation = float(np.std(parts, ddof=1) / np.sqrt(subsets))
    name = f"KVD ({real.network} logits)"
    return KernelDistanceResult(name, squared_mmd(x, y), deviation, len(x), len(y), real.network, protocol_of(real, fake))
