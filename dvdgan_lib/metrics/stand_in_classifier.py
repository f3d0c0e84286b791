"""A small video classifier for the stand-in data sets: an Inception Score and a class accuracy that mean something there.

Kinetics-400's class probabilities say nothing of moving shapes, or of three films. `notebooks/04_classifier` trains this
classifier on real training clips of a stand-in, never on samples; the shipped ones lie in `pretrained/`. Its scores always
carry its name, "IS (stand-in classifier, 8 classes, maximum 8)": they compare models of this repository with each other.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from etils import epath
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of_safetensors
from safetensors.numpy import save as safetensors_bytes
from scipy.special import softmax
from tqdm.auto import tqdm

from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.configuration import Experiment
from dvdgan_lib.metrics.frechet import SMALL_SAMPLE, FrechetResult, frechet_distance
from dvdgan_lib.metrics.inception_score import inception_score_of
from dvdgan_lib.metrics.moments import Moments
from dvdgan_lib.metrics.stand_in_network import RESOLUTION, ClassifierNet, to_network
from dvdgan_lib.trained_generator import metadata_of_safetensors

MIN_FRAMES = 2  # one frame shows no action


@functools.partial(jax.jit, static_argnums=0)
def _seen(net: ClassifierNet, params: Mapping, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return net.apply({"params": params}, x)


def _check_videos(videos: np.ndarray) -> None:
    shape, dtype = getattr(videos, "shape", None), getattr(videos, "dtype", None)
    fits = dtype == np.uint8 and len(shape) == 5 and shape[0] >= 1 and shape[1] >= MIN_FRAMES and shape[4] == 3
    if not (fits and shape[2] == shape[3] >= 1):
        got = f"{dtype} {list(shape)}" if shape is not None else type(videos).__name__
        raise ValueError(
            f"The stand-in classifier takes square videos, uint8 [N, T, H, H, 3] with T >= {MIN_FRAMES}; got {got}."
        )


@dataclass(frozen=True, eq=False)
class StandInClassifier:
    """A trained classifier.

    Attributes:
      params: of ClassifierNet.
      class_names: in the order of the labels.
      card: what it was trained on and by; "data_name", "data", "clips" (how many) and "held_out" (a list of what
        `class_accuracy` gave on test clips, one dict of num_frames, resolution, num_videos, value a size) are read here.
    """

    params: Mapping
    class_names: tuple[str, ...]
    card: Mapping[str, Any]

    def probabilities(self, videos: np.ndarray, batch_frames: int = 768, progress: bool = True) -> np.ndarray:
        """Class probabilities, float64 [N, C].

        Args:
          videos: uint8 [N, T, H, H, 3], T >= 2, of any resolution.
          batch_frames: frames at a time.
          progress: show a bar, where there is more than one batch.

        Raises:
          ValueError: other shapes or dtypes; one sentence.
        """
        logits = self._run(videos, batch_frames, progress)[0]
        return softmax(logits, axis=1)

    def features(self, videos: np.ndarray, batch_frames: int = 768, progress: bool = True) -> np.ndarray:
        """What the last layer sees, float64 [N, 192]; arguments and errors as in `probabilities`."""
        return self._run(videos, batch_frames, progress)[1]

    def _run(self, videos: np.ndarray, batch_frames: int, progress: bool) -> tuple[np.ndarray, np.ndarray]:
        _check_videos(videos)
        size = min(len(videos), max(1, batch_frames // videos.shape[1]))
        net, params, seen = ClassifierNet(len(self.class_names)), jax.device_put(self.params), []
        starts = range(0, len(videos), size)
        for i in tqdm(
            starts, desc="stand-in classifier", unit="batch", disable=not progress or len(starts) < 2, leave=False
        ):
            index = np.minimum(np.arange(i, i + size), len(videos) - 1)  # filled up, so that one program serves all
            seen.append([np.asarray(x, np.float64) for x in _seen(net, params, to_network(videos[index]))])
        logits, features = (np.concatenate(parts)[: len(videos)] for parts in zip(*seen, strict=True))
        return logits, features

    def describe(self, num_frames: int, resolution: int) -> str:
        """What the classifier is, and how often it is right on held-out real clips of that size."""
        sizes = [(m["num_frames"], m["resolution"], m) for m in self.card.get("held_out", ())]
        known = [m for t, r, m in sizes if (t, r) == (num_frames, resolution)]
        right = "NOT MEASURED on held-out clips"
        if known:
            right = f"right on {100 * known[0]['value']:.1f} % of {known[0]['num_videos']} held-out real clips"
        return (
            f"small 3-D convnet trained on {self.card.get('clips', '?')} real training clips of "
            f"{self.card.get('data', 'data that its card does not name')}; at {_size(num_frames, resolution)} {right}"
        )


def _size(num_frames: int, resolution: int) -> str:
    return f"{num_frames}x{resolution}x{resolution}"


@dataclass(frozen=True)
class StandInScoreResult:
    """An Inception Score by the stand-in classifier: never to stand in a column of the paper's."""

    value: float  # mean over the splits, 1 to num_classes
    deviation: float  # standard deviation over the splits; 0 for one split
    num_videos: int
    num_splits: int
    num_classes: int
    network: str
    protocol: str

    @property
    def name(self) -> str:
        """What it is always called."""
        return f"IS (stand-in classifier, {self.num_classes} classes, maximum {self.num_classes})"

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
        flag = f"; SMALL SAMPLE (under {SMALL_SAMPLE} videos a split): biased" if self.small_sample else ""
        return f"{self.name} = {self.value:.2f}{spread} ({self.num_videos} videos; {self.network}; {self.protocol}{flag})"


@dataclass(frozen=True)
class AccuracyResult:
    """How many videos the stand-in classifier takes for the class that was asked for."""

    value: float  # 0 to 1
    per_class: tuple[float, ...]  # the same for each class; nan where it has no videos
    confusion: tuple[tuple[int, ...], ...]  # [asked for][recognised]: number of videos
    class_names: tuple[str, ...]
    num_videos: int
    num_frames: int
    resolution: int
    network: str
    protocol: str

    @property
    def name(self) -> str:
        """What it is always called."""
        return f"class accuracy (stand-in classifier, {len(self.class_names)} classes)"

    def __float__(self) -> float:
        """The accuracy alone."""
        return self.value

    def __str__(self) -> str:
        """The accuracy with its samples, network and protocol."""
        return f"{self.name} = {100 * self.value:.1f} % ({self.num_videos} videos; {self.network}; {self.protocol})"


def stand_in_inception_score(videos: np.ndarray, classifier: StandInClassifier, splits: int = 1) -> StandInScoreResult:
    """Inception Score, exp(E KL(p(y|x) || p(y))), with the stand-in classifier's probabilities.

    Args:
      videos: uint8 [N, T, H, H, 3], T >= 2.
      classifier: from `load_classifier`.
      splits: score that many consecutive parts apart, for mean and deviation; N must be a multiple.

    Raises:
      ValueError: other shapes or dtypes, or N is no multiple of the splits; one sentence.
    """
    _check_videos(videos)
    if splits < 1 or len(videos) % splits:
        raise ValueError(f"{len(videos)} videos cannot be divided into {splits} equal splits.")
    scores = [inception_score_of(part) for part in np.split(classifier.probabilities(videos), splits)]
    return StandInScoreResult(
        value=float(np.mean(scores)),
        deviation=float(np.std(scores)),
        num_videos=len(videos),
        num_splits=splits,
        num_classes=len(classifier.class_names),
        network=classifier.describe(*videos.shape[1:3]),
        protocol=_protocol(videos),
    )


def stand_in_frechet_distance(real: np.ndarray, fake: np.ndarray, classifier: StandInClassifier) -> FrechetResult:
    """A Fréchet distance of the stand-in classifier's features: cheap beside I3D's, and never to stand beside the paper's.

    Args:
      real: uint8 [N, T, H, H, 3].
      fake: uint8 [M, T, H, H, 3].
      classifier: from `load_classifier`.

    Raises:
      ValueError: other shapes or dtypes, or fewer than two videos; one sentence.
    """
    moments = [Moments.of(classifier.features(videos)) for videos in (real, fake)]
    (mean_1, covariance_1), (mean_2, covariance_2) = ((m.mean, m.covariance()) for m in moments)
    return FrechetResult(
        name=f"FID (stand-in classifier, {len(classifier.class_names)} classes)",
        value=frechet_distance(mean_1, covariance_1, mean_2, covariance_2),
        num_real=len(real),
        num_fake=len(fake),
        network=classifier.describe(*fake.shape[1:3]),
        features=f"{len(mean_1)} pooled ones",
        protocol=f"{_protocol(fake)}, covariance over N - 1",
    )


def class_accuracy(videos: np.ndarray, labels: np.ndarray | Sequence[int], classifier: StandInClassifier) -> AccuracyResult:
    """Share of videos whose most probable class is their label.

    Args:
      videos: uint8 [N, T, H, H, 3], T >= 2.
      labels: [N], int: the class that each sample was asked for, or that a real clip has.
      classifier: from `load_classifier`.

    Raises:
      ValueError: other shapes or dtypes, or labels that are no classes; one sentence.
    """
    _check_videos(videos)
    labels, classes = np.asarray(labels), len(classifier.class_names)
    if labels.shape != (len(videos),) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"Labels must be {len(videos)} integers from 0 to {classes - 1}, got {labels.dtype} {list(labels.shape)}."
        )
    recognised = classifier.probabilities(videos).argmax(axis=1)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, recognised), 1)
    counts = confusion.sum(axis=1)
    per_class = np.where(counts > 0, confusion.diagonal() / np.maximum(counts, 1), np.nan)
    return AccuracyResult(
        value=float(np.mean(recognised == labels)),
        per_class=tuple(per_class.tolist()),
        confusion=tuple(map(tuple, confusion.tolist())),
        class_names=classifier.class_names,
        num_videos=len(videos),
        num_frames=videos.shape[1],
        resolution=videos.shape[2],
        network=classifier.describe(*videos.shape[1:3]),
        protocol=_protocol(videos),
    )


def _protocol(videos: np.ndarray) -> str:
    return f"videos {_size(*videos.shape[1:3])}, all frames, resized linearly to {RESOLUTION}x{RESOLUTION}"


def save_classifier(path: epath.PathLike, classifier: StandInClassifier) -> None:
    """Writes `path` (safetensors, with the class names and the card inside) and the card beside it as .json."""
    tensors = {name: np.ascontiguousarray(value) for name, value in flatten_dict(classifier.params, sep="/").items()}
    card = {"class_names": list(classifier.class_names), **classifier.card}
    path = epath.Path(path)
    write_atomically(path.with_suffix(".json"), json.dumps(card, indent=1))
    write_atomically(path, safetensors_bytes(tensors, {"stand_in_classifier": json.dumps(card)}))


def load_classifier(path: epath.PathLike) -> StandInClassifier:
    """Reads what `save_classifier` wrote; `path` is the file, or the folder that holds model.safetensors.

    Raises:
      CheckpointError: missing, damaged or no classifier; one sentence.
    """
    file = epath.Path(path)
    if file.is_dir():
        file = file / "model.safetensors"
    if not file.exists():
        raise CheckpointError(f"There is no stand-in classifier at {file}: notebooks/04_classifier trains one.")
    try:
        content = file.read_bytes()  # not by path: the file may be in a bucket
        params = unflatten_dict(tensors_of_safetensors(content), sep="/")
        card = json.loads(metadata_of_safetensors(content)["stand_in_classifier"])
        names = tuple(card.pop("class_names"))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{file} is not a stand-in classifier of this library, or it is damaged: {error}.") from error
    return StandInClassifier(params, names, card)


def find_classifier(experiment: Experiment, workdir: epath.PathLike) -> StandInClassifier | None:
    """The classifier of the stand-in that a run learns, trained in workdir by 04_classifier or shipped in pretrained/.

    None where there is none: no stand-in, a folder of the user's own, one class only, or as many classes as it doesn't know.
    """
    if experiment.data.folder:
        return None
    name = f"classifier_{experiment.data.name}"
    for folder in (epath.Path(workdir) / experiment.preset / name, epath.Path("pretrained") / name):
        if (folder / "model.safetensors").exists():
            classifier = load_classifier(folder)
            return classifier if len(classifier.class_names) == experiment.model.num_classes else None
    return None


def require_classifier(experiment: Experiment, workdir: epath.PathLike) -> StandInClassifier:
    """`find_classifier`'s, for what can't do without.

    Raises:
      CheckpointError: there is none; the message says how to get one.
    """
    classifier = find_classifier(experiment, workdir)
    if classifier is None:
        raise CheckpointError(
            f"{experiment.name} is to be measured by a classifier of {experiment.data.folder or experiment.data.name} with "
            f"{experiment.model.num_classes} classes, and there is none: notebooks/04_classifier trains one."
        )
    return classifier
