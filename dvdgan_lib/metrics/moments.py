"""Mean and covariance of features that arrive in parts: batches, or the shares of several hosts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Gaussian fit needs of N feature vectors.

    Attributes:
      count: N.
      mean: float64 [D].
      scatter: float64 [D, D], the sum of (x - mean)(x - mean)^T; sums of x x^T would lose their digits to a large mean.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """Of features [N, D], N >= 1, any real dtype; ValueError for other shapes and values that are not finite."""
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or not len(features):
            raise ValueError(f"Features must be [N, D] with N of at least 1, got shape {features.shape}.")
        if not np.isfinite(features).all():
            raise ValueError("The features hold values that are not finite.")
        mean = features.mean(axis=0)
        centred = features - mean
        return cls(len(features), mean, centred.T @ centred)

    def merge(self, other: Moments) -> Moments:
        """Of both sets together (Chan, Golub and LeVeque, 1979): equal to `of` all of them up to rounding, in any order."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"Features of {self.mean.size} and of {other.mean.size} dimensions cannot be merged.")
        count = self.count + other.count
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), scatter)

    def covariance(self, ddof: int = 1) -> np.ndarray:
        """float64 [D, D]: the scatter over N - ddof; ValueError where that isn't positive."""
        if self.count <= ddof:
            raise ValueError(f"A covariance over N - {ddof} needs at least {ddof + 1} feature vectors, got {self.count}.")
        return self.scatter / (self.count - ddof)


@dataclass(frozen=True, eq=False)
class RealStatistics:
    """Moments of a set of real videos' features; stands for the videos as the first argument of FVD and FID.

    Attributes:
      moments: by field of `I3DFeatures`, "logits" and "pool".
      clip_shape: frames, height and width of the videos.
      network: which saw them.
      resize: how they were prepared for it.
      source: the data set in words.
      weights: as in `I3DFeatures`.
    """

    moments: dict[str, Moments]
    clip_shape: tuple[int, int, int]
    network: str
    resize: str
    source: str
    weights: str = ""

    def __len__(self) -> int:
        """The number of videos."""
        return self.moments["pool"].count
