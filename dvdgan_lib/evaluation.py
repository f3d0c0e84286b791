"""Measuring a trained model: every metric from one pass of I3D over real clips, samples and what anchors the scale."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from etils import epath

from dvdgan_lib import baselines as anchors
from dvdgan_lib import metrics
from dvdgan_lib.configuration import Experiment
from dvdgan_lib.evaluation_records import described, measured_on
from dvdgan_lib.metrics.weights import WeightsError, default_path
from dvdgan_lib.trained_generator import TrainedGenerator
from dvdgan_lib.training_data import load_source

log = logging.getLogger(__name__)

PAPERS_NETWORK = "I3D-K600"  # whose FID and IS Table 1 has
BLOCK = 2048  # clips in memory at a time: 50,000 of 256x256, which the paper's protocol takes, are 118 GB


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


def by_number(real: metrics.I3DFeatures, fake: metrics.I3DFeatures, smallest: int = 64) -> list[dict[str, float]]:
    """FVD and KVD from 64, 128, 256 ... clips of both sides: how far a small number of clips misleads.

    Means over as many disjoint subsets of that size as there are, with FVD's deviation over them (0 where there is one): the
    spread to expect of it.
    """
    curve, n = [], smallest
    while n <= min(len(real), len(fake)):
        parts = min(len(real), len(fake)) // n
        subsets = [slice(i * n, (i + 1) * n) for i in range(parts)]  # clips have their classes in turn: blocks stay balanced
        values = [float(metrics.frechet_video_distance(real[part], fake[part])) for part in subsets]
        kernel = np.mean([float(metrics.kernel_video_distance(real[part], fake[part])) for part in subsets])
        deviation = float(np.std(values, ddof=1)) if parts > 1 else 0.0
        curve.append({"num": n, "fvd": float(np.mean(values)), "fvd_deviation": deviation, "kvd": float(kernel)})
        n *= 2
    return curve


def ports(real: np.ndarray, fake: np.ndarray, cache: epath.PathLike) -> list[dict[str, Any]]:
    """FVD of the same clips, uint8 [N, T, H, W, 3], as other implementations would have it: each resize and covariance."""
    values = []
    for resize in metrics.RESIZES:
        seen = [metrics.features_cached(videos, cache, f"ports-{resize}", resize=resize) for videos in (real, fake)]
        for ddof in (1, 0):
            result = metrics.frechet_video_distance(*seen, ddof=ddof)
            values.append({"resize": resize, "ddof": ddof, "value": result.value, "text": str(result)})
    return values


def both_blurred(
    real: anchors.Clips, others: dict[str, anchors.Clips], num: int, pixels: float, cache: epath.PathLike
) -> dict[str, Any]:
    """`measure` of clips beside real ones, by name, all of them blurred: what is left of a distance is no matter of detail.

    Args:
      real: from `baselines`.
      others: the same, by name.
      num: how many of each.
      pixels: standard deviation of the Gaussian.
      cache: a folder for features.
    """
    blur = functools.partial(anchors.blurred, pixels=pixels)
    seen = {
        name: see(anchors.spoiled(clips, blur), num, cache, f"{name}-blurred-{pixels:g}")[0][metrics.NETWORK]
        for name, clips in {"real": real, **others}.items()
    }
    return {name: {key: described(value) for key, value in measure(seen["real"], seen[name]).items()} for name in others}


def see(
    clips: anchors.Clips,
    num: int,
    cache: epath.PathLike,
    key: str,
    networks: Sequence[str] = (metrics.NETWORK,),
    judge: Callable[[np.ndarray, np.ndarray], Any] | None = None,
    **options: Any,
) -> tuple[dict[str, metrics.I3DFeatures], np.ndarray, Any]:
    """What networks say of clips that are made, seen and forgotten `BLOCK` at a time.

    Args:
      clips: from `baselines`.
      num: how many.
      cache: a folder for features.
      key: names the clips there.
      networks: of `metrics.features`.
      judge: (videos, labels) -> anything, which wants all at once: for stand-ins, whose clips are small and few.
      options: for `metrics.features_cached`.

    Returns:
      Features by network, the labels, int32 [num], and what the judge gave.
    """
    parts: dict[str, list[metrics.I3DFeatures]] = {network: [] for network in networks}
    labels, judged, size = [], None, BLOCK if judge is None else num
    for begin in range(0, num, size):
        videos, of_block = clips(begin, min(begin + size, num))
        for network, seen in parts.items():
            seen.append(metrics.features_cached(videos, cache, key, network=network, **options))
        labels.append(of_block)
        judged = None if judge is None else judge(videos, of_block)
    return {network: metrics.concatenated(seen) for network, seen in parts.items()}, np.concatenate(labels), judged


def papers_reference(experiment: Experiment, cache: epath.PathLike) -> metrics.RealStatistics | None:
    """What Table 1's FID compares with: by I3D-K600, of all training clips of Kinetics-600 (section 2.4, footnote 3).

    Computed once, which takes I3D over the whole data set, and kept in `cache`. None for other data, where such a number
    would say nothing, and, with a line in the log, where the network's weights are not at hand.
    """
    if experiment.data.name != "kinetics600" or experiment.data.folder:
        return None
    try:
        default_path(PAPERS_NETWORK)
    except WeightsError as error:
        log.warning("FID and IS as in Table 1 are left out. %s", error)
        return None
    m, source = experiment.model, load_source(experiment, "train")
    key = f"kinetics600-train-{m.clip_frames}x{m.resolution}x{m.resolution}-stride{experiment.data.stride}"
    return metrics.real_statistics(source, cache, key, network=PAPERS_NETWORK)


def evaluate(
    generator: TrainedGenerator,
    cache: epath.PathLike,
    seed: int = 0,
    num_clips: int | None = None,
    baselines: Sequence[str] = (),
    port_clips: int = 0,
    classifier: metrics.StandInClassifier | None = None,
    real_features: epath.PathLike | None = None,
    blurs: Sequence[float] = (),
) -> dict[str, Any]:
    """Measures a model against its training data, as the paper does (section 2.4, footnote 3).

    Real statistics come from N training clips and the samples from N draws; the paper takes all training clips, and so does
    what is measured under "paper".

    Args:
      generator: from `trained_generator.load_generator`.
      cache: a folder for I3D features, keyed by what they were computed of.
      seed: of the samples; classes are drawn uniformly.
      num_clips: N; None takes the experiment's. Fewer where the data set, or the split of a baseline, has fewer: the record
        has how many.
      baselines: which of `baselines.BASELINES` to measure too, each another N clips.
      port_clips: on so many of the clips also FVD as other implementations compute it; 0 for none.
      classifier: of the stand-in, for the class accuracy and an Inception Score that mean something there
        (`metrics.find_classifier`).
      real_features: a folder that is only read, where I3D's features of the real clips may lie; the record names it where
        they were found there.
      blurs: for each, measure the samples and held-out clips again with both sides blurred, by Gaussians of so many pixels.

    Returns:
      {"samples": {metric: {"value", "text", ...}}, the same for each baseline, "by_number", "ports" and "both_blurred" (see
      the functions of that name), and what it was measured on}. Of a model of Kinetics-600 itself also "paper": FID and IS
      as in Table 1, where there are I3D-K600's weights (`papers_reference`).
    """
    experiment = generator.experiment
    anchors.check_names(baselines, experiment)
    source = load_source(experiment, "train")
    beside = [*baselines, *(["held_out"] if blurs else [])]
    n = min(num_clips or experiment.evaluation.num_clips, anchors.available(experiment, beside))
    if port_clips > n:
        raise ValueError(
            f"port_clips = {port_clips}: FVD by other implementations can be of the {n} measured clips at most."
        )
    whole = papers_reference(experiment, cache)
    reference = anchors.real_clips(experiment, "train")
    seen, real_labels, _ = see(reference, n, cache, "real-train", shipped=real_features)
    real = seen[metrics.NETWORK]
    groups = {"samples": anchors.sampled(generator, n, seed)}
    groups |= {name: anchors.BASELINES[name].clips(experiment, n) for name in baselines}
    result = measured_on(generator) | {"num_clips": n, "seed": seed, "data": source.description}
    result |= {"real_features": real.shipped_in} if real.shipped_in else {}
    result["by_number"] = {}
    # A predictor's samples are all of class 0 (B.4), whatever the given frames show.
    classes_tell = n >= 2 * len(source.class_names) and not experiment.model.conditioning_frames

    def judge(videos: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        accuracy = metrics.class_accuracy(videos, labels, classifier)
        return {"class_accuracy": accuracy, "stand_in_inception_score": metrics.stand_in_inception_score(videos, classifier)}

    for name, clips in groups.items():
        networks = (metrics.NETWORK, PAPERS_NETWORK) if whole and name == "samples" else (metrics.NETWORK,)
        seen, labels, judged = see(clips, n, cache, name, networks, judge if classifier else None)
        fake = seen[metrics.NETWORK]
        measured = measure(real, fake, *((real_labels, labels) if classes_tell else ())) | (judged or {})
        result[name] = {key: described(value) for key, value in measured.items()}
        result["by_number"][name] = by_number(real, fake)
        if by_papers := seen.get(PAPERS_NETWORK):
            fid = metrics.frechet_inception_distance(whole, by_papers)
            scores = {"fid": fid, "inception_score": metrics.inception_score(by_papers)}
            result["paper"] = {key: described(value) for key, value in scores.items()}
    if port_clips:
        result["ports"] = ports(reference(0, port_clips)[0], groups["samples"](0, port_clips)[0], cache)
    if blurs:
        held_out = anchors.real_clips(experiment, "test")
        result["both_blurred"] = [
            {"pixels": pixels}
            | both_blurred(reference, {"samples": groups["samples"], "held_out": held_out}, n, pixels, cache)
            for pixels in blurs
        ]
    return result
