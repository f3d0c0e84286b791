"""Inception Score (Salimans et al., 2016) of videos, from the class probabilities of a video network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvdgan_lib.metrics.frechet import SMALL_SAMPLE
from dvdgan_lib.metrics.i3d_features import I3DFeatures, Videos, as_features, protocol_of


@dataclass(frozen=True)
class InceptionScoreResult:
    """An Inception Score and what it was computed from."""

    name: str  # "IS (I3D-K400)": the metric and network.
    value: float  # Mean over the splits.
    deviation: float  # Standard deviation over the splits; 0 for one split.
    num_videos: int
    num_splits: int
    network: str
    protocol: str

    @property
    def small_sample(self) -> bool:
        """Whether there are too few videos for the value to be compared with others'."""
        return self.num_videos // self.num_splits < SMALL_SAMPLE

    def __float__(self) -> float:
        """The score alone."""
        return self.value

    def __str__(self) -> str:
        """The score with its samples, network and protocol."""
        spread = f" +- {self.deviation:.2f} over {self.num_splits} splits" if self.num_splits > 1 else ""
        flag = f"; SMALL SAMPLE (under {SMALL_SAMPLE} videos a split): biased downwards" if self.small_sample else ""
        return (
            f"{self.name} = {self.value:.2f}{spread} ({self.num_videos} videos; network {self.network}, class "
            f"probabilities; {self.protocol}{flag})"
        )


def inception_score_of(probabilities: np.ndarray) -> float:
    """exp(E_x KL(p(y|x) || p(y))) of class probabilities [N, K], in [1, K]."""
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or len(probabilities) == 0:
        raise ValueError(f"Class probabilities must be [N, K] with N >= 1, got shape {probabilities.shape}.")
    if not ((probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)):
        raise ValueError("Class probabilities must be finite, not negative, and sum to 1 for every video.")
    marginal = probabilities.mean(axis=0)
    # p log p -> 0 as p -> 0; where the marginal is 0, every p is.
    logarithms = np.log(np.where(probabilities > 0, probabilities, 1)) - np.log(np.where(marginal > 0, marginal, 1))
    return float(np.exp((probabilities * logarithms).sum(axis=1).mean()))


def inception_score(videos: Videos | I3DFeatures, splits: int = 1, **options) -> InceptionScoreResult:
    """Inception Score with I3D's class probabilities; the result's name says which I3D's (the paper's is "I3D-K600").

    Args:
      videos: uint8 [N, T, H, W, 3], or their `I3DFeatures`, which saves computing them for every metric.
      splits: score that many consecutive parts of the videos apart, for the mean and deviation; N must be a multiple.
      options: for `features`, where videos are given.

    Raises:
      ValueError: wrong shapes or dtypes, or a number of videos that is not a multiple of the splits.
      WeightsError: the weights are missing or altered.
    """
    features = as_features(videos, **options)
    if splits < 1 or len(features) % splits:
        raise ValueError(f"{len(features)} videos cannot be divided into {splits} equal splits.")
    scores = [inception_score_of(part) for part in np.split(features.probabilities, splits)]
    return InceptionScoreResult(
        name=f"IS ({features.network})",
        value=float(np.mean(scores)),
        deviation=float(np.std(scores)),
        num_videos=len(features),
        num_splits=splits,
        network=features.network,
        protocol=protocol_of(features),
    )
