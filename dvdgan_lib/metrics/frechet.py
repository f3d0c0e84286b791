"""Fréchet distances between two sets of videos: FVD and FID.

The distance is that of two Gaussians fitted to the features,

    |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)),

with covariances over N - 1, as in tfgan, which the published numbers were computed with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvdgan_lib.metrics.i3d_features import I3DFeatures, Videos, comparable, protocol_of
from dvdgan_lib.metrics.moments import Moments, RealStatistics

# Below this many videos on either side the bias of the estimate (it is never too small) drowns most differences.
SMALL_SAMPLE = 512

# A field of `I3DFeatures`: its short name, and what so many numbers of it are.
_FIELDS = {"logits": ("logits", "{} logits"), "pool": ("avgpool", "{}-d avgpool")}


@dataclass(frozen=True)
class FrechetResult:
    """A Fréchet distance and what it was computed from."""

    name: str  # "FVD (I3D-K400 logits)": the metric, network and features.
    value: float
    num_real: int
    num_fake: int
    network: str
    features: str
    protocol: str

    @property
    def small_sample(self) -> bool:
        """Whether either side has too few videos for the value to be compared with others'."""
        return min(self.num_real, self.num_fake) < SMALL_SAMPLE

    def __float__(self) -> float:
        """The distance alone."""
        return self.value

    def __str__(self) -> str:
        """The distance with its samples, network, features and protocol."""
        flag = f"; SMALL SAMPLE (under {SMALL_SAMPLE} videos): biased upwards" if self.small_sample else ""
        return (
            f"{self.name} = {self.value:.2f} ({self.num_real} real, {self.num_fake} fake; network {self.network}, "
            f"features {self.features}; {self.protocol}{flag})"
        )


def frechet_distance(mean_1: np.ndarray, covariance_1: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians, from means [D] and covariances [D, D].

    (S_1 S_2)^(1/2) has the trace of (R S_2 R)^(1/2), where R is the symmetric root of S_1. R S_2 R is symmetric too, so
    the roots of its eigenvalues are all that is needed: never complex, and sound where a covariance is singular (fewer
    videos than features), which is where a general matrix root breaks down.
    """
    eigenvalues, vectors = np.linalg.eigh(covariance_1)
    # Rounding leaves eigenvalues just below 0 where they are 0.
    root_1 = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T
    product = root_1 @ covariance_2 @ root_1
    trace_root = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0)).sum()
    difference = mean_1 - mean_2
    distance = difference @ difference + np.trace(covariance_1) + np.trace(covariance_2) - 2 * trace_root
    return max(float(distance), 0.0)  # Equal Gaussians come out at rounding error, of either sign.


def _moments(features: I3DFeatures | RealStatistics, field: str) -> Moments:
    return features.moments[field] if isinstance(features, RealStatistics) else Moments.of(getattr(features, field))


def _compare(
    real: Videos | I3DFeatures | RealStatistics,
    fake: Videos | I3DFeatures,
    metric: str,
    field: str,
    ddof: int,
    options: dict,
) -> FrechetResult:
    """The `FrechetResult` between one field of the features of two sets of videos."""
    real, fake = comparable(real, fake, **options)
    moments = [_moments(features, field) for features in (real, fake)]
    (mean_1, covariance_1), (mean_2, covariance_2) = ((m.mean, m.covariance(ddof)) for m in moments)
    short, description = _FIELDS[field]
    return FrechetResult(
        name=f"{metric} ({real.network} {short})",
        value=frechet_distance(mean_1, covariance_1, mean_2, covariance_2),
        num_real=len(real),
        num_fake=len(fake),
        network=real.network,
        features=description.format(len(mean_1)),
        protocol=f"{protocol_of(real, fake)}, covariance over N{f' - {ddof}' if ddof else ''}",
    )


def frechet_video_distance(
    real: Videos | I3DFeatures | RealStatistics, fake: Videos | I3DFeatures, ddof: int = 1, **options
) -> FrechetResult:
    """FVD of Unterthiner et al. (2018): the Fréchet distance between the logits of I3D-K400.

    Of another network's logits it is another metric, and the result's name says so.

    Args:
      real: uint8 videos [N, T, H, W, 3]; their `I3DFeatures`, which saves computing them for every metric; or the
        `RealStatistics` of a whole data set.
      fake: videos or features, with the same number of frames.
      ddof: covariances are over N - ddof: 1 as published (tfgan), 0 in some ports.
      options: for `features`, where videos are given.

    Raises:
      ValueError: wrong shapes or dtypes, fewer than two videos, unequal lengths, or features that are not finite.
      WeightsError: the weights are missing or altered.
    """
    return _compare(real, fake, "FVD", "logits", ddof, options)


def frechet_inception_distance(
    real: Videos | I3DFeatures | RealStatistics, fake: Videos | I3DFeatures, ddof: int = 1, **options
) -> FrechetResult:
    """FID in the manner of the paper (section 2.4, footnote 3): the Fréchet distance between I3D's avgpool features.

    The paper's network is I3D-K600 (`network="I3D-K600"`, where its weights are at hand), its real statistics are those of
    the whole training set. The result's name says which network it was. Arguments and errors are those of
    `frechet_video_distance`.
    """
    return _compare(real, fake, "FID", "pool", ddof, options)
