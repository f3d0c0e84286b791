"""The paper's protocol of prediction (4.2, Tables 3 and 4): FVD and PSNR of continued clips, FVD of synthesis beside it.

A result says by itself which clips were given, how many, how often, and of which split.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from etils import epath

from dvdgan_lib import data, metrics
from dvdgan_lib.baselines import continue_last_frame, untrained
from dvdgan_lib.evaluation_records import described, measured_on
from dvdgan_lib.sampling import sample
from dvdgan_lib.trained_generator import TrainedGenerator
from dvdgan_lib.training_data import load_source


@dataclasses.dataclass(frozen=True)
class PredictionProtocol:
    """Which clips are continued, and which they are compared with (4.2).

    Attributes:
      split: "test" (Table 3; Table 4's right column) or "train" (its left one): of the given and of the real clips.
      num_clips: real clips, and predictions.
      draws: predictions of each given clip; so many times fewer clips are given.
      replacement: given and real clips are drawn apart, with replacement and different seeds. According to the authors of
        video diffusion models (Ho et al., 2022) that is how Clark et al. and Luc et al. measured on Kinetics-600; otherwise
        the given frames are those of the real clips themselves.
    """

    split: str = "test"
    num_clips: int = 256
    draws: int = 1
    replacement: bool = False

    def __str__(self) -> str:
        """In words."""
        how = "given and real clips drawn apart, with replacement" if self.replacement else "given frames of the real clips"
        return (
            f"{self.num_clips} real {self.split} clips and as many predictions, {self.draws} of each given clip; {how}; "
            "over all frames, the given ones included"
        )


# "with ground truth statistics and conditioning frames taken from the 256-video dev set" (4.2.2).
BAIR = PredictionProtocol("test", 256)


def prediction_clips(source: data.VideoSource, protocol: PredictionProtocol, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The clips to compare with and those whose first frames are given, uint8 [num_clips, C+T, H, W, 3] each.

    ValueError where the draws don't divide the clips, or the split has too few.
    """
    n = protocol.num_clips
    if protocol.draws < 1 or n % protocol.draws:
        raise ValueError(f"{n} predictions can't be {protocol.draws} of each given clip: take a number that divides them.")
    if not protocol.replacement:
        real, _ = data.first_clips(source, n)
        return real, np.repeat(real[: n // protocol.draws], protocol.draws, axis=0)
    drawn = []
    for part, number in ((0, n), (1, n // protocol.draws)):
        indices = np.random.default_rng((seed, part)).integers(0, len(source), number)
        drawn.append(np.stack([source.example(int(i))["video"] for i in indices]))
    return drawn[0], np.repeat(drawn[1], protocol.draws, axis=0)


@dataclasses.dataclass(frozen=True)
class PredictionResult:
    """How predictions compare with what happened.

    Attributes:
      fvd: over all frames, the given ones included.
      psnr: float64 [T], decibels, of each predicted frame against the true one, mean over clips; nan with `replacement`,
        where there is no true one.
      protocol: in words.
      fvd_alone: over the predicted frames alone; None where it wasn't asked for.
    """

    fvd: metrics.FrechetResult
    psnr: np.ndarray
    protocol: str
    fvd_alone: metrics.FrechetResult | None = None

    def __str__(self) -> str:
        """FVD, protocol, and the PSNR of the first and last frame."""
        alone = f"; of the predicted frames alone {self.fvd_alone}" if self.fvd_alone else ""
        psnr = f"PSNR {self.psnr[0]:.1f} dB at the first frame, {self.psnr[-1]:.1f} at the last"
        return f"{self.fvd}; {self.protocol}; {psnr}{alone}"


def psnr_over_time(predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Decibels at each frame, mean over clips of 10 log10(255^2 / MSE): uint8 [N, T, H, W, 3] twice -> float64 [T].

    A frame that is exactly right counts as 100 dB: the mean would be infinite.
    """
    if predicted.shape != real.shape:
        raise ValueError(f"Predictions {predicted.shape} and real clips {real.shape} must have one shape.")
    error = np.stack(
        [np.mean((p.astype(np.float64) - r) ** 2, axis=(1, 2, 3)) for p, r in zip(predicted, real, strict=True)]
    )
    return np.minimum(10 * np.log10(255**2 / np.maximum(error, 1e-12)), 100.0).mean(axis=0)


def measure_prediction(
    predict: TrainedGenerator | Callable[[np.ndarray], np.ndarray],
    source: data.VideoSource,
    conditioning_frames: int,
    cache: epath.PathLike,
    protocol: PredictionProtocol = BAIR,
    seed: int = 0,
    key: str = "prediction",
    alone: bool = False,
    **options: Any,
) -> PredictionResult:
    """FVD (as Unterthiner et al., 4.2) and PSNR of a predictor.

    Args:
      predict: a DVD-GAN-FP, or a function from given frames, uint8 [N, C, H, W, 3], to whole clips [N, C+T, H, W, 3]: a
        baseline.
      source: the protocol's split of the data set.
      conditioning_frames: C.
      cache: a folder for features.
      protocol: which clips.
      seed: of latents, and of the clips where they are drawn.
      key: names the predictor in the cache.
      alone: FVD over the predicted frames alone, too: what given frames, which are real, have no share in.
      options: for `metrics.features_cached`.
    """
    c = conditioning_frames
    real, given = prediction_clips(source, protocol, seed)
    if isinstance(predict, TrainedGenerator):
        made = sample(predict, len(given), seed=seed, conditioning=given[:, :c])
    else:
        made = predict(given[:, :c])
    fvd = _distance_behind(0, real, made, cache, protocol.split, key, **options)
    fvd_alone = _distance_behind(c, real, made, cache, protocol.split, key, **options) if alone else None
    truth = given[:, c:]
    psnr = np.full(truth.shape[1], np.nan) if protocol.replacement else psnr_over_time(made[:, c:], truth)
    return PredictionResult(fvd, psnr, f"{key}: {protocol}", fvd_alone)


def _distance_behind(
    c: int, real: np.ndarray, made: np.ndarray, cache: epath.PathLike, split: str, key: str, **options: Any
) -> metrics.FrechetResult:
    """FVD of clips, uint8 [N, T, H, W, 3] each, without their first c frames; features are kept as of `split` and `key`."""
    names = [f"{name}-from-{c}" if c else name for name in (f"real-{split}", key)]
    parts = (metrics.features_cached(v[:, c:], cache, n, **options) for v, n in zip((real, made), names, strict=True))
    return metrics.frechet_video_distance(*parts)


def evaluate_prediction(
    generator: TrainedGenerator,
    cache: epath.PathLike,
    num_clips: int,
    splits: Sequence[str] = ("test",),
    baselines: Sequence[str] = ("copy_last_frame", "untrained"),
    seed: int = 0,
    alone: bool = False,
) -> dict[str, Any]:
    """FVD and PSNR of a model and of baselines as a record (`evaluation_records.measured_on`), by split under "results".

    Args:
      generator: a DVD-GAN-FP.
      cache: a folder for features.
      num_clips: real clips, and predictions.
      splits: "train", "test" or both.
      baselines: "copy_last_frame", "untrained".
      seed: of latents.
      alone: FVD over the predicted frames alone, too ("fvd_alone").
    """
    experiment, c = generator.experiment, generator.experiment.model.conditioning_frames
    predictors = {
        "samples": generator,
        "copy_last_frame": functools.partial(continue_last_frame, num_frames=experiment.model.num_frames),
        "untrained": untrained(experiment),
    }
    record = measured_on(generator) | {"num_clips": num_clips, "seed": seed, "results": {}}
    for split in splits:
        source, protocol = load_source(experiment, split), PredictionProtocol(split, num_clips)
        record["data"] = source.description
        results = record["results"][split] = {}
        for name in ("samples", *baselines):
            key = f"{experiment.name}-{split}-{name}"
            result = measure_prediction(predictors[name], source, c, cache, protocol, seed, key, alone)
            results[name] = {"fvd": described(result.fvd), "psnr": result.psnr.tolist(), "text": str(result)}
            if alone:
                results[name]["fvd_alone"] = described(result.fvd_alone)
    return record


def evaluate_synthesis(
    generator: TrainedGenerator,
    cache: epath.PathLike,
    num_clips: int,
    splits: Sequence[str] = ("train", "test"),
    seed: int = 0,
    alone_behind: int = 0,
) -> dict[str, Any]:
    """FVD of samples against clips of each split (Table 4's last row), a record like `evaluate_prediction`'s.

    Args:
      generator: of a model that predicts from no frames.
      cache: a folder for features.
      num_clips: real clips of each split, and samples.
      splits: "train", "test" or both.
      seed: of latents and classes.
      alone_behind: FVD without so many first frames, too, beside a prediction from them ("fvd_alone"); 0 for none.
    """
    samples, key = sample(generator, num_clips, seed=seed), f"{generator.experiment.name}-samples"
    record = measured_on(generator) | {"num_clips": num_clips, "seed": seed, "results": {}}
    for split in splits:
        source = load_source(generator.experiment, split)
        real, _ = data.first_clips(source, num_clips)
        fvd = _distance_behind(0, real, samples, cache, split, key)
        result = {"fvd": described(fvd), "text": str(fvd)}
        if alone_behind:
            fvd_alone = _distance_behind(alone_behind, real, samples, cache, split, key)
            text = f"{fvd}; without the first {alone_behind} frames {fvd_alone}"
            result |= {"fvd_alone": described(fvd_alone), "text": text}
        record["data"] = source.description
        record["results"][split] = {"samples": result}
    return record
