"""Measuring a trained model: FID, FVD and Inception Score against real clips, and what anchors their scale."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
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
from dvdgan_lib.training import given_for_statistics, given_frames, load_source
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
    given = given_for_statistics(experiment, load_source(experiment)) if experiment.model.conditioning_frames else None
    standing = standing_statistics(experiment, params, conditioning=given)
    return TrainedGenerator(experiment, params, standing, {}, path="untrained")


def _held_out(experiment: Experiment, n: int) -> np.ndarray:
    return data.first_clips(load_source(experiment, "test"), n)[0]


def _held_out_given(experiment: Experiment, n: int) -> np.ndarray | None:
    """What predictions go on from: the first frames of test clips (section 4.2); None for synthesis."""
    return given_frames(experiment, load_source(experiment, "test"), n) if experiment.model.conditioning_frames else None


# What anchors the scale, by name: (experiment, N) -> uint8 [N, T, H, W, 3]. Nothing generated can expect to do better than
# held-out real clips.
BASELINES: dict[str, Callable[[Experiment, int], np.ndarray]] = {
    "held_out": _held_out,
    "blurred": lambda experiment, n: blurred(_held_out(experiment, n)),
    "untrained": lambda experiment, n: sample(untrained(experiment), n, conditioning=_held_out_given(experiment, n)),
}


def evaluate(
    generator: TrainedGenerator,
    cache: epath.PathLike,
    seed: int = 0,
    num_clips: int | None = None,
    baselines: Sequence[str] = (),
) -> dict[str, Any]:
    """Measures a model against its training data, as the paper does (section 2.4, footnote 3).

    Real statistics come from N training clips and the samples from N draws, where the paper takes all training clips.

    Args:
      generator: from `checkpoints.load_generator`.
      cache: a folder for I3D features, keyed by what they were computed of.
      seed: of the samples; classes are drawn uniformly.
      num_clips: N; None takes the experiment's.
      baselines: which of BASELINES to measure too, each another N clips.

    Returns:
      {"samples": {metric: {"name", "value", "text", ...}}, the same for each baseline, and what it was measured on}.
    """
    experiment = generator.experiment
    n = num_clips or experiment.evaluation.num_clips
    source = load_source(experiment, "train")
    real = metrics.features_cached(data.first_clips(source, n)[0], cache, "real-train")
    sets = {"samples": sample(generator, n, seed=seed, conditioning=_held_out_given(experiment, n))}
    for name in baselines:
        if name not in BASELINES:
            raise ValueError(f"There is no baseline {name!r}; there are {', '.join(BASELINES)}.")
        sets[name] = BASELINES[name](experiment, n)
    commit, dirty = git_commit()
    result: dict[str, Any] = {
        "experiment": experiment.name,
        "preset": experiment.preset,
        "num_clips": n,
        "seed": seed,
        "data": source.description,
        "clip": [experiment.model.clip_frames, experiment.model.resolution, experiment.model.resolution],
        "model": generator.card | {"file": epath.Path(generator.path).name},
        "commit": commit + ("-dirty" if dirty else ""),
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
