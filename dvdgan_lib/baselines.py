"""Videos that anchor the scale of FID, FVD and IS: real ones held out, real ones spoiled in a known way, untrained samples.

Where the paper's tables can't be reproduced (no Kinetics-600, no TPU pod), these say what a number means: nothing generated
can expect to do better than held-out clips, and a metric of motion must tell shuffled and frozen clips from real ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from scipy.ndimage import gaussian_filter

from dvdgan_lib import data
from dvdgan_lib.configuration import Experiment
from dvdgan_lib.sampling import at_truncation, draw, generate, standing_statistics
from dvdgan_lib.spectral_norm import spectral_normalize
from dvdgan_lib.trained_generator import TrainedGenerator
from dvdgan_lib.training_data import given_for_statistics, given_frames, load_source
from dvdgan_lib.updates import Updates

BLUR = 1 / 16  # width of the Gaussian of "blurred", as a share of the frame's width: 2 pixels of 32
NOISE = 32.0  # standard deviation of "noisy", of 255: an eighth


def blurred(videos: np.ndarray, pixels: float | None = None) -> np.ndarray:
    """Each frame blurred by a Gaussian, uint8 [N, T, H, W, 3] -> the same: right colours and motion, no detail.

    pixels: the Gaussian's standard deviation; None is BLUR of the frame's width.
    """
    sigma = BLUR * videos.shape[3] if pixels is None else pixels
    return gaussian_filter(videos.astype(np.float32), (0, 0, sigma, sigma, 0)).round().astype(np.uint8)


def noisy(videos: np.ndarray) -> np.ndarray:
    """Gaussian noise on every value, drawn anew for each frame, uint8 [N, T, H, W, 3] -> the same."""
    noise = np.random.default_rng(0).normal(scale=NOISE, size=videos.shape)
    return np.clip(np.round(videos + noise), 0, 255).astype(np.uint8)


def shuffled(videos: np.ndarray) -> np.ndarray:
    """Each video's frames in a random order, uint8 [N, T, H, W, 3] -> the same: perfect frames, wrong motion."""
    rng = np.random.default_rng(0)
    return np.stack([video[rng.permutation(len(video))] for video in videos])


def frozen(videos: np.ndarray) -> np.ndarray:
    """The middle frame all the time, uint8 [N, T, H, W, 3] -> the same: a perfect frame, no motion."""
    middle = videos.shape[1] // 2
    return np.repeat(videos[:, middle : middle + 1], videos.shape[1], axis=1)


def continue_last_frame(given: np.ndarray, num_frames: int) -> np.ndarray:
    """The given frames, and behind them the last of them num_frames times: the simplest prediction.

    uint8 [N, C, H, W, 3] -> [N, C + num_frames, H, W, 3].
    """
    return np.concatenate([given, np.repeat(given[:, -1:], num_frames, axis=1)], axis=1)


def untrained(experiment: Experiment, seed: int = 0) -> TrainedGenerator:
    """The generator before its first step."""
    state = Updates(experiment).init(seed)
    params, _ = spectral_normalize(state.g_params, state.g_vectors, update=False)
    params = jax.device_get(params)
    given = given_for_statistics(experiment, load_source(experiment)) if experiment.model.conditioning_frames else None
    standing = standing_statistics(experiment, params, conditioning=given)
    return TrainedGenerator(experiment, params, standing, {}, path="untrained")


# (begin, end) -> those of a set of clips, uint8 [end - begin, T, H, W, 3], and their labels, int32 [end - begin].
Clips = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


def real_clips(experiment: Experiment, split: str, offset: int = 0) -> Clips:
    """Clips of a split, "train" or "test", the classes in turn, without the first `offset` (`data.first_clips`)."""
    source = load_source(experiment, split)
    return lambda begin, end: data.first_clips(source, end - begin, offset + begin)


def held_out_given(experiment: Experiment, num: int) -> np.ndarray | None:
    """What predictions go on from: the first frames of test clips (section 4.2); None for synthesis."""
    return given_frames(experiment, load_source(experiment, "test"), num) if experiment.model.conditioning_frames else None


def sampled(generator: TrainedGenerator, num: int, seed: int, truncation: float = 1.0) -> Clips:
    """Those of `sampling.sample`, made when they are asked for; predictions go on from held-out clips.

    Args:
      generator: from `trained_generator.load_generator`.
      num: how many there are in all.
      seed: of latents and classes; sample i of a seed is the same however many there are.
      truncation: standard deviation of the latents, in (0, 1] (section 4.1.1).
    """
    experiment = generator.experiment
    latents, labels = draw(experiment.model, num, truncation, (seed,))
    given = held_out_given(experiment, num)
    generator = at_truncation(generator, truncation, given)  # once for all blocks

    def clips(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(begin, end)
        videos = generate(generator, latents[part], labels[part], conditioning=None if given is None else given[part])
        return videos, labels[part]

    return clips


def spoiled(clips: Clips, spoil: Callable[[np.ndarray], np.ndarray]) -> Clips:
    """The same clips, each block of them passed through `spoil`."""

    def of_block(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        videos, labels = clips(begin, end)
        return spoil(videos), labels

    return of_block


def _spoiled(spoil: Callable[[np.ndarray], np.ndarray]) -> Callable[[Experiment, int], Clips]:
    return lambda experiment, num: spoiled(real_clips(experiment, "test"), spoil)


def _last_frame_copied(experiment: Experiment, num: int) -> Clips:
    m = experiment.model
    return _spoiled(lambda videos: continue_last_frame(videos[:, : m.conditioning_frames], m.num_frames))(experiment, num)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """What anchors the scale.

    Attributes:
      words: what it is.
      clips: (experiment, N) -> N of them.
    """

    words: str
    clips: Callable[[Experiment, int], Clips]


# By name, from the best to the worst that one would expect. "copy_last_frame" is for prediction alone.
BASELINES = {
    "other_half": Baseline(
        "real training clips, others than the reference", lambda experiment, num: real_clips(experiment, "train", num)
    ),
    "held_out": Baseline("real clips, held out", lambda experiment, num: real_clips(experiment, "test")),
    "noisy": Baseline("held-out clips with noise", _spoiled(noisy)),
    "blurred": Baseline("held-out clips, blurred", _spoiled(blurred)),
    "shuffled": Baseline("held-out clips, frames shuffled", _spoiled(shuffled)),
    "frozen": Baseline("held-out clips, one frame all the time", _spoiled(frozen)),
    "copy_last_frame": Baseline("the last given frame all the time", _last_frame_copied),
    "untrained": Baseline("untrained generator", lambda experiment, num: sampled(untrained(experiment), num, 0)),
}


def available(experiment: Experiment, names: Sequence[str] = ()) -> int:
    """How many clips there are at most for samples and these baselines, each beside as many real training clips.

    Samples are without number, but predictions go on from test clips.
    """
    limits = [train := len(load_source(experiment, "train"))]
    from_test = set(names) - {"other_half", "untrained"}
    if from_test or experiment.model.conditioning_frames:
        limits.append(len(load_source(experiment, "test")))
    if "other_half" in names:
        limits.append(train // 2)
    return min(limits)


def check_names(names: list[str] | tuple[str, ...], experiment: Experiment) -> None:
    """Raises ValueError with the list of what there is for a name that is not a baseline of this experiment."""
    for name in names:
        if name not in BASELINES:
            raise ValueError(f"There is no baseline {name!r}; there are {', '.join(BASELINES)}.")
        if name == "copy_last_frame" and not experiment.model.conditioning_frames:
            raise ValueError(f"copy_last_frame is for prediction, and {experiment.name} makes whole videos: leave it out.")
