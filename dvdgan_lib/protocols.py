"""The paper's protocols of measurement (4.1, C.1, D): truncation curves, statistics of the batch, what is memorised.

Those of prediction (4.2) are in `prediction_protocol`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from etils import epath

from dvdgan_lib import data, metrics
from dvdgan_lib.baselines import available, real_clips, sampled
from dvdgan_lib.best_model import Measure
from dvdgan_lib.evaluation import PAPERS_NETWORK, papers_reference, see
from dvdgan_lib.evaluation_records import described, measured_on
from dvdgan_lib.interpolation import walk_in_latents
from dvdgan_lib.metrics import memorization
from dvdgan_lib.sampling import batch_statistics, draw, generate, sample
from dvdgan_lib.trained_generator import TrainedGenerator
from dvdgan_lib.training_data import load_source

# --- Table 1's right half: truncation ---

# "varying the standard deviation of the latent vectors between 0 and 1" (4.1.1); the grid is ours.
SIGMAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclasses.dataclass(frozen=True)
class TruncationPoint:
    """FID and IS of samples whose latents have a standard deviation of sigma.

    Attributes:
      sigma: in (0, 1]; 1 is "no truncation".
      fid: a FrechetResult.
      inception_score: an InceptionScoreResult, or what the caller's `score` gave.
    """

    sigma: float
    fid: metrics.FrechetResult
    inception_score: Any


def truncation_curve(
    generator: TrainedGenerator,
    real: metrics.I3DFeatures | metrics.RealStatistics,
    cache: epath.PathLike,
    num_clips: int,
    sigmas: Sequence[float] = SIGMAS,
    seed: int = 0,
    score: Callable[[np.ndarray], Any] | None = None,
    network: str = metrics.NETWORK,
    **options: Any,
) -> list[TruncationPoint]:
    """FID and IS along truncation (4.1.1). The same latents and classes at every sigma, only scaled.

    Args:
      generator: the model.
      real: what FID compares with.
      cache: a folder for the features of samples.
      num_clips: samples at each sigma.
      sigmas: of the latents.
      seed: of the latents and classes.
      score: uint8 videos [N, T, H, W, 3] -> an Inception Score by another network; None takes I3D's.
      network: of `metrics.features`.
      options: weights, for `metrics.features_cached`.
    """
    points = []
    judge = None if score is None else lambda videos, labels: score(videos)
    for sigma in sigmas:
        clips = sampled(generator, num_clips, seed, sigma)
        by, _, scored = see(clips, num_clips, cache, f"truncation-{sigma:g}", [network], judge, **options)
        seen = by[network]
        value = metrics.inception_score(seen) if score is None else scored
        points.append(TruncationPoint(float(sigma), metrics.frechet_inception_distance(real, seen), value))
    return points


def best_by_inception_score(points: Sequence[TruncationPoint]) -> TruncationPoint:
    """Table 1's "With Truncation": that of "the truncation level which results in the best Inception Score"."""
    return max(points, key=lambda point: float(point.inception_score))


def evaluate_truncation(
    generator: TrainedGenerator,
    cache: epath.PathLike,
    classifier: metrics.StandInClassifier | None = None,
    num_clips: int | None = None,
    sigmas: Sequence[float] = SIGMAS,
    seed: int = 0,
) -> dict[str, Any]:
    """The truncation curve of a model as a record (`measured_on`), with "points" by sigma and which is "best".

    Args:
      generator: the model.
      cache: a folder for features.
      classifier: of the stand-in, for an Inception Score that means something there; None takes I3D's.
      num_clips: real clips, and samples at each sigma; None takes the experiment's. Fewer where the data set has fewer.
      sigmas: of the latents.
      seed: of the latents and classes.

    Returns:
      The record. "network" is I3D-K400, or the paper's with all training clips as the real ones where that can be
      (`evaluation.papers_reference`).
    """
    n = min(num_clips or generator.experiment.evaluation.num_clips, available(generator.experiment))
    source = load_source(generator.experiment)
    score = None if classifier is None else functools.partial(metrics.stand_in_inception_score, classifier=classifier)
    if real := papers_reference(generator.experiment, cache):
        points = truncation_curve(generator, real, cache, n, sigmas, seed, score, network=PAPERS_NETWORK)
    else:
        real = see(real_clips(generator.experiment, "train"), n, cache, "real-train")[0][metrics.NETWORK]
        points = truncation_curve(generator, real, cache, n, sigmas, seed, score)
    return measured_on(generator) | {
        "num_clips": n,
        "network": real.network,
        "num_real": len(real),
        "seed": seed,
        "data": source.description,
        "points": [
            {"sigma": p.sigma, "fid": described(p.fid), "inception_score": described(p.inception_score)} for p in points
        ],
        "best": best_by_inception_score(points).sigma,
    }


# --- Appendix D: statistics of the batch ---


def measure_statistics(generator: TrainedGenerator, measure: Measure, num_clips: int, seed: int = 0) -> dict[str, Any]:
    """Samples by standing statistics, and the same latents and classes by the statistics of their own batches.

    Batches of the training size, as G made them while it learned.

    Args:
      generator: of a model that predicts from no frames, with batch norm.
      measure: what samples are measured by (`best_model.measure_of`).
      num_clips: samples, and training clips to compare with; fewer where there are fewer.
      seed: of latents and classes.

    Returns:
      "standing" and "batch", each what `measure` gives as floats; "num_clips".
    """
    experiment, size = generator.experiment, generator.experiment.training.batch_size
    source = load_source(experiment)
    num_clips = min(num_clips, len(source))
    real = data.first_clips(source, num_clips)[0]
    latents, labels = draw(experiment.model, num_clips, 1.0, (seed, 9))
    videos = []
    for i in range(0, num_clips, size):
        inputs = (latents[i : i + size], labels[i : i + size])
        own = batch_statistics(experiment, generator.params, *inputs)
        videos.append(generate(dataclasses.replace(generator, standing=own), *inputs))
    made = {"standing": generate(generator, latents, labels), "batch": np.concatenate(videos)}
    values = {name: measure(real, clips, labels) for name, clips in made.items()}
    return {name: {key: float(value) for key, value in found.items()} for name, found in values.items()} | {
        "num_clips": num_clips
    }


# --- Appendix C.1: memorisation ---


def measure_memorization(
    generator: TrainedGenerator, num_samples: int = 128, walks: int = 16, seed: int = 0
) -> dict[str, Any]:
    """How near samples are to the clips that a model was trained on, and how abruptly they change along walks.

    Args:
      generator: of a model that predicts from no frames.
      num_samples: samples. They are compared with all clips of a run with `clips_per_class` and as many test clips, else
        with 512 of either.
      walks: between two latents of a class, of 9 videos each.
      seed: of latents and classes.

    Returns:
      "num_clips" (samples), "clips" (how many it was trained on, in words), "steps" (of its training), "ratios"
      (`metrics.memorization.distance_ratios` in pixels, a sample each) and "abruptness" (a walk each).
    """
    train, test = (load_source(generator.experiment, split) for split in ("train", "test"))
    most = len(train) if generator.experiment.data.clips_per_class else 512
    seen, unseen = (memorization.pixels(data.first_clips(source, min(len(source), most))[0]) for source in (train, test))
    samples = memorization.pixels(sample(generator, num_samples, seed=seed))
    paths = [walk_in_latents(generator, 9, np.random.default_rng((seed, i)))[0] for i in range(walks)]
    return {
        "num_clips": num_samples,
        "steps": generator.card["steps"],
        "clips": f"{len(train):,} clips" if generator.experiment.data.clips_per_class else "all clips",
        "ratios": memorization.distance_ratios(samples, seen, unseen, seed).tolist(),
        "abruptness": [memorization.abruptness(memorization.pixels(path)) for path in paths],
    }
