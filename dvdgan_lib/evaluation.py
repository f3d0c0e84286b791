"""Measuring a trained model: FID, FVD and Inception Score against real clips, and what anchors their scale."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np
from etils import epath
from scipy.ndimage import gaussian_filter

from dvdgan_lib import data, metrics
from dvdgan_lib.checkpoints import TrainedGenerator, git_commit, write_atomically
from dvdgan_lib.experiments import Experiment
from dvdgan_lib.layers import spectral_normalize
from dvdgan_lib.sampling import sample, standing_statistics
from dvdgan_lib.training import load_source
from dvdgan_lib.updates import Updates

# Width of the Gaussian of the "blurred" baseline, as a share of the frame's width: 2 pixels of 32.
BLUR = 1 / 16


def blurred(videos: np.ndarray) -> np.ndarray:
    """Each frame blurred by a Gaussian: uint8 [N, T, H, W, 3] -> the same. Right colours and motion, no detail."""
    sigma = BLUR * videos.shape[3]
    return gaussian_filter(videos.astype(np.float32), (0, 0, sigma, sigma, 0)).round().astype(np.uint8)


def untrained(experiment: Experiment, seed: int = 0) -> TrainedGenerator:
    """The generator before its first step."""
    state = Updates(experiment).init(seed)
    params, _ = spectral_normalize(state.g_params, state.g_vectors, update=False)
    params = jax.device_get(params)
    return TrainedGenerator(experiment, params, standing_statistics(experiment, params), {}, path="untrained")


def evaluate(
    generator: TrainedGenerator,
    cache: epath.PathLike,
    seed: int = 0,
    num_clips: int | None = None,
    baselines: bool = False,
) -> dict[str, Any]:
    """Measures a model against its training data, as the paper does (section 2.4, footnote 3).

    Real statistics come from N training clips and the samples from N draws, where the paper takes all training clips. The
    baselines are held-out clips (nothing generated can expect to do better), the same blurred, and samples of the untrained
    generator.

    Args:
      generator: from `checkpoints.load_generator`.
      cache: a folder for I3D features, keyed by what they were computed of.
      seed: of the samples; classes are drawn uniformly.
      num_clips: N; None takes the experiment's.
      baselines: measure those too (three more sets of N clips).

    Returns:
      {"samples": {metric: {"name", "value", "text", ...}}, "held_out": ..., "blurred": ..., "untrained": ..., and what it
      was measured on}.
    """
    experiment = generator.experiment
    n = num_clips or experiment.evaluation.num_clips
    source = load_source(experiment, "train")
    real = metrics.features_cached(data.first_clips(source, n)[0], cache, "real-train")
    sets = {"samples": sample(generator, n, seed=seed)}
    if baselines:
        held_out = data.first_clips(load_source(experiment, "test"), n)[0]
        sets |= {
            "held_out": held_out,
            "blurred": blurred(held_out),
            "untrained": sample(untrained(experiment), n, seed=seed),
        }
    result: dict[str, Any] = {
        "experiment": experiment.name,
        "preset": experiment.preset,
        "num_clips": n,
        "seed": seed,
        "data": source.description,
        "clip": [experiment.model.num_frames, experiment.model.resolution, experiment.model.resolution],
        "model": generator.card | {"file": epath.Path(generator.path).name},
        "commit": "-dirty".join([git_commit()[0], ""]) if git_commit()[1] else git_commit()[0],
    }
    for name, videos in sets.items():
        fake = metrics.features_cached(videos, cache, name)
        measured = {
            "fid": metrics.frechet_inception_distance(real, fake),
            "fvd": metrics.frechet_video_distance(real, fake),
            "inception_score": metrics.inception_score(fake),
        }
        result[name] = {key: dataclasses.asdict(value) | {"text": str(value)} for key, value in measured.items()}
    return result


def save_evaluation(result: dict[str, Any], path: epath.PathLike) -> None:
    """As JSON."""
    write_atomically(path, json.dumps(result, indent=1))


def load_evaluation(path: epath.PathLike) -> dict[str, Any]:
    """What `save_evaluation` wrote."""
    return json.loads(epath.Path(path).read_text())
