"""FID, FVD and Inception Score of videos; beside them KVD, density and coverage, which show what those can hide.

All take uint8 videos [N, T, H, W, 3], or the `I3DFeatures` that `features` computes of them once:

    real, fake = features(real_videos), features(fake_videos)
    print(frechet_video_distance(real, fake), inception_score(fake), sep="\\n")
"""

from dvdgan_lib.metrics.c3d_inception_score import C3DInceptionScoreResult, c3d_inception_score
from dvdgan_lib.metrics.coverage import CoverageResult, density_and_coverage, diversity_within_classes
from dvdgan_lib.metrics.frechet import FrechetResult, frechet_inception_distance, frechet_video_distance
from dvdgan_lib.metrics.i3d import NETWORK, RESIZES
from dvdgan_lib.metrics.i3d_features import I3DFeatures, concatenated, features, features_cached
from dvdgan_lib.metrics.inception_score import InceptionScoreResult, inception_score
from dvdgan_lib.metrics.kernel_distance import KernelDistanceResult, kernel_video_distance
from dvdgan_lib.metrics.moments import Moments, RealStatistics
from dvdgan_lib.metrics.real_statistics import real_statistics, statistics_of
from dvdgan_lib.metrics.stand_in_classifier import (
    AccuracyResult,
    StandInClassifier,
    StandInScoreResult,
    class_accuracy,
    find_classifier,
    load_classifier,
    require_classifier,
    stand_in_frechet_distance,
    stand_in_inception_score,
)
from dvdgan_lib.metrics.weights import WeightsError

__all__ = [
    "NETWORK",
    "RESIZES",
    "AccuracyResult",
    "C3DInceptionScoreResult",
    "CoverageResult",
    "FrechetResult",
    "I3DFeatures",
    "InceptionScoreResult",
    "KernelDistanceResult",
    "Moments",
    "RealStatistics",
    "StandInClassifier",
    "StandInScoreResult",
    "WeightsError",
    "c3d_inception_score",
    "class_accuracy",
    "concatenated",
    "density_and_coverage",
    "diversity_within_classes",
    "features",
    "features_cached",
    "find_classifier",
    "frechet_inception_distance",
    "frechet_video_distance",
    "inception_score",
    "kernel_video_distance",
    "load_classifier",
    "real_statistics",
    "require_classifier",
    "stand_in_frechet_distance",
    "stand_in_inception_score",
    "statistics_of",
]
