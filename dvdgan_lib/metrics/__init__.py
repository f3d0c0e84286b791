"""FID, FVD and Inception Score of videos.

All three take uint8 videos [N, T, H, W, 3], or the `I3DFeatures` that `features` computes of them once:

    real, fake = features(real_videos), features(fake_videos)
    print(frechet_video_distance(real, fake), inception_score(fake), sep="\\n")
"""

from dvdgan_lib.metrics.frechet import FrechetResult, frechet_inception_distance, frechet_video_distance
from dvdgan_lib.metrics.i3d_features import I3DFeatures, features, features_cached
from dvdgan_lib.metrics.inception_score import InceptionScoreResult, inception_score
from dvdgan_lib.metrics.weights import WeightsError

__all__ = [
    "FrechetResult",
    "I3DFeatures",
    "InceptionScoreResult",
    "WeightsError",
    "features",
    "features_cached",
    "frechet_inception_distance",
    "frechet_video_distance",
    "inception_score",
]
