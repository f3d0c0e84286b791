"""Measuring a trained model: every metric from one pass of I3D over real clips, samples and what anchors the scale."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath

from dvdgan_lib import baselines as anchors
from dvdgan_lib import data, metrics
from dvdgan_lib.checkpoints import TrainedGenerator, git_commit, write_atomically
from dvdgan_lib.sampling import draw, sample
from dvdgan_lib.training import load_source


@dataclasses.dataclass(frozen=True)
class DiversityResult:
    """How varied the samples of a class are, beside real clips of the same class: 1 as varied, 0 all alike.

    Attributes:
      value: mean over classes of the ratio of mean distances between two clips of a class (I3D avgpool space).
      by_class: the ratios, by class.
    """

    value: float
    by_class: dict[int, float]

    def __str__(self) -> str:
        """The mean, and the least varied class."""
        worst = min(self.by_class, key=self.by_class.get)
        least = f"least: class {worst} with {self.by_class[worst]:.2f}"
        return f"diversity within classes = {self.value:.2f} of real clips' ({least})"


def diversity_ratio(
    real: metrics.I3DFeatures, real_labels: np.ndarray, fake: metrics.I3DFeatures, fake_labels: np.ndarray
) -> DiversityResult:
    """See DiversityResult; of the classes that have two clips or more on both sides."""
    of_real = metrics.diversity_within_classes(real, real_labels)
    of_fake = metrics.diversity_within_classes(fake, fake_labels)
    ratios = {label: of_fake[label] / of_real[label] for label in of_real.keys() & of_fake.keys() if of_real[label]}
    if not ratios:
        raise ValueError("No class has two clips on both sides: diversity within classes needs more clips.")
    return DiversityResult(float(np.mean(list(ratios.values()))), {int(k): float(v) for k, v in sorted(ratios.items())})


def measure(
    real: metrics.I3DFeatures,
    fake: metrics.I3DFeatures,
    real_labels: np.ndarray | None = None,
    fake_labels: np.ndarray | None = None,
) -> dict[str, Any]:
    """All metrics that need features only, by name; what needs more clips or labels than there are is left out."""
    measured: dict[str, Any] = {
        "fid": metrics.frechet_inception_distance(real, fake),
        "fvd": metrics.frechet_video_distance(real, fake),
        "kvd": metrics.kernel_video_distance(real, fake),
        "inception_score": metrics.inception_score(fake),
    }
    if len(real) > metrics.coverage.NEIGHBOURS:
        measured["coverage"] = metrics.density_and_coverage(real, fake)
    if real_labels is not None and fake_labels is not None:
        measured["diversity"] = diversity_ratio(real, real_labels, fake, fake_labels)
    return measured


def evaluate(
    generator: TrainedGenerator,
    cache: epath.PathLike,
    seed: int = 0,
    num_clips: int | None = None,
    baselines: Sequence[str] = (),
) -> dict[str, Any]:
    """Measures a model against its training data, as the paper does (section 2.4, footnote 3).

    Real statistics come from N training clips and the samples from N draws, where the paper takes all training clips
    (`metrics.real_statistics`).

    Args:
      generator: from `checkpoints.load_generator`.
      cache: a folder for I3D features, keyed by what they were computed of.
      seed: of the samples; classes are drawn uniformly.
      num_clips: N; None takes the experiment's.
      baselines: which of `baselines.BASELINES` to measure too, each another N clips.

    Returns:
      {"samples": {metric: {"value", "text", ...}}, the same for each baseline, and what it was measured on}.
    """
    experiment = generator.experiment
    anchors.check_names(baselines, experiment)
    n = num_clips or experiment.evaluation.num_clips
    source = load_source(experiment, "train")
    real_videos, real_labels = data.first_clips(source, n)
    real = metrics.features_cached(real_videos, cache, "real-train")
    given = anchors.held_out_given(experiment, n)
    groups = {"samples": (sample(generator, n, seed=seed, conditioning=given), draw(experiment.model, n, 1.0, (seed,))[1])}
    groups |= {name: anchors.BASELINES[name].make(experiment, n) for name in baselines}
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
    classes_tell = n >= 2 * len(source.class_names)
    for name, (videos, labels) in groups.items():
        fake = metrics.features_cached(videos, cache, name)
        measured = measure(real, fake, *((real_labels, labels) if classes_tell else ()))
        result[name] = {key: dataclasses.asdict(value) | {"text": str(value)} for key, value in measured.items()}
    return result


def save_evaluation(result: dict[str, Any], path: epath.PathLike) -> None:
    """As JSON."""
    write_atomically(path, json.dumps(result, indent=1))


def load_evaluation(path: epath.PathLike) -> dict[str, Any]:
    """What `save_evaluation` wrote."""
    return json.loads(epath.Path(path).read_text())
