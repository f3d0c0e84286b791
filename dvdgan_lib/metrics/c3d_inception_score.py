"""The Inception Score on UCF-101 by C3D, as TGAN and as TGANv2 compute it: the two protocols that published values follow.

Both feed 16 frames through the same network (`c3d`); they differ in the resize, in what is cut out of the mean video, in the
number of clips and in the epsilon, so that a score of one does not compare with a score of the other:

- "tgan": github.com/pfnet-research/tgan, `evaluation/calc_inception.py` and `batch_inception.py`;
- "tganv2": github.com/pfnet-research/tgan2, `scripts/compute_inception_score.py`, `tgan2/evaluations/inception_score.py` and
  `tgan2/models/c3d/c3d_ucf101.py`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import softmax
from tqdm.auto import tqdm

from dvdgan_lib.metrics import c3d

_CROP = slice(8, 8 + c3d.INPUT_SIZE)


def bicubic_matrix(size_in: int, size_out: int) -> np.ndarray:
    """OpenCV's `INTER_CUBIC` along one axis, as a matrix [size_out, size_in], float64.

    Keys' kernel with a = -0.75, half-pixel centres, the border repeated, no antialiasing. (PIL's has a = -0.5 and
    antialiasing.)
    """
    position = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
    lower = np.floor(position).astype(int)
    matrix = np.zeros((size_out, size_in))
    for tap in range(-1, 3):
        distance, a = np.abs(position - (lower + tap)), -0.75
        near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
        far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
        np.add.at(
            matrix,
            (np.arange(size_out), np.clip(lower + tap, 0, size_in - 1)),
            np.where(distance <= 1, near, far),
        )
    return matrix


def bilinear_matrix(size_in: int, size_out: int) -> np.ndarray:
    """Chainer's `resize_images` along one axis, a matrix [size_out, size_in], float64: the corners stay in place."""
    position = np.linspace(0, size_in - 1, size_out)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(size_in)))


def tgan_score(probabilities: np.ndarray) -> float:
    """TGAN's `calc_inception` of probabilities [N, K], with 1e-7 added to them inside the logarithms."""
    p = np.asarray(probabilities, np.float64)
    return float(np.exp((p * (np.log(p + 1e-7) - np.log(p.mean(axis=0) + 1e-7))).sum(axis=1).mean()))


def tganv2_score(probabilities: np.ndarray) -> float:
    """TGANv2's `inception_score` of probabilities [N, K]: with 1e-20 added to them, outside the logarithms too."""
    p = np.asarray(probabilities, np.float64) + 1e-20
    return float(np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean()))


@dataclass(frozen=True)
class Protocol:
    """How a paper computes its score.

    Attributes:
      name: the paper's model.
      sets: of clips, each from a seed or draw of its own; a score is their mean and (population) standard deviation.
      clips: in a set.
      score: of class probabilities [clips, 101].
      resize: [rows of the output, rows of the input] of that many rows, and the same for columns; 112 rows of the output.
      mean_columns: of the mean video; its rows are 8 to 119.
      words: the preprocessing and the score, for a result's text.
    """

    name: str
    sets: int
    clips: int
    score: Callable[[np.ndarray], float]
    resize: Callable[[int], np.ndarray]
    mean_columns: slice
    words: str


PROTOCOLS = {
    "tgan": Protocol(
        name="TGAN",
        sets=4,
        clips=9984,  # 10,000 // 48 batches of 48
        score=tgan_score,
        resize=lambda size: bicubic_matrix(size, 128)[_CROP],
        mean_columns=slice(21 + 8, 21 + 8 + c3d.INPUT_SIZE),  # the middle 128 of 171, then the crop
        words="OpenCV's bicubic resize to 128x128, centre crop to 112x112, less the mean's centre, epsilon 1e-7",
    ),
    "tganv2": Protocol(
        name="TGANv2",
        sets=10,
        clips=2048,
        score=tganv2_score,
        resize=lambda size: bilinear_matrix(size, c3d.INPUT_SIZE),
        mean_columns=_CROP,  # of all 171: left of the middle, as there
        words="bilinear resize to 112x112 with corners aligned, less the mean at [8:120, 8:120], epsilon 1e-20",
    ),
}


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise ValueError(f"There is no protocol {name!r}; there are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


@functools.partial(jax.jit, static_argnames="protocol")
def preprocess(videos: jax.Array, mean: jax.Array, protocol: str) -> jax.Array:
    """What C3D is fed, by one of PROTOCOLS.

    Pixel values enter as they are: both papers' data are (value - 128) / 128, which their x * 128 + 128 undoes.

    Args:
      videos: uint8 [B, 16, H, W, 3], RGB. Frames that are not square are squashed.
      mean: float32 [16, 128, 171, 3], BGR, from `c3d.load_mean`.
      protocol: of PROTOCOLS.

    Returns:
      [B, 16, 112, 112, 3], float32, BGR.
    """
    chosen = _protocol(protocol)
    rows, columns = (jnp.asarray(chosen.resize(size), jnp.float32) for size in videos.shape[2:4])
    frames = videos[..., ::-1].astype(jnp.float32)
    frames = jnp.einsum("yh,bthwc->btywc", rows, frames, precision="highest")
    frames = jnp.einsum("xw,btywc->btyxc", columns, frames, precision="highest")
    return frames - mean[:, _CROP, chosen.mean_columns]


@dataclass(frozen=True)
class C3DInceptionScoreResult:
    """An Inception Score by C3D and what it was computed from."""

    name: str  # "IS (C3D-UCF101, TGAN)": the metric, network and protocol.
    scores: tuple[float, ...]  # of each set of clips
    clips: tuple[int, ...]  # in each set
    clip_shape: tuple[int, int, int]  # frames, height and width before the resize
    network: str  # with the hash of its weights
    protocol: str  # of PROTOCOLS

    @property
    def value(self) -> float:
        """The mean over the sets."""
        return float(np.mean(self.scores))

    @property
    def deviation(self) -> float:
        """The standard deviation over the sets (of the population, as both papers' code has it); 0 for one set."""
        return float(np.std(self.scores))

    @property
    def num_videos(self) -> int:
        """The number of clips in all sets."""
        return sum(self.clips)

    @property
    def num_splits(self) -> int:
        """The number of sets, each scored apart."""
        return len(self.scores)

    @property
    def as_published(self) -> bool:
        """Whether there are as many sets and clips as in the protocol."""
        return self.clips == (PROTOCOLS[self.protocol].clips,) * PROTOCOLS[self.protocol].sets

    def __float__(self) -> float:
        """The score alone."""
        return self.value

    def __str__(self) -> str:
        """The score with its samples, network and protocol."""
        protocol = PROTOCOLS[self.protocol]
        spread = f" +- {self.deviation:.2f} over {self.num_splits} sets" if self.num_splits > 1 else ""
        counts = " and ".join(f"{count:,}" for count in dict.fromkeys(self.clips))
        sets = f"{self.num_splits} sets" if self.num_splits > 1 else "1 set"
        flag = ""
        if not self.as_published:
            flag = f"; NOT THE PROTOCOL'S SIZE, which is {protocol.sets} sets of {protocol.clips:,} clips"
            flag += ": biased downwards" if min(self.clips) < protocol.clips else ""
        return (
            f"{self.name} = {self.value:.2f}{spread} ({sets} of {counts} clips {'x'.join(map(str, self.clip_shape))}; "
            f"network {self.network}, class probabilities; {protocol.words}{flag})"
        )


# One set: uint8 [N, 16, H, W, 3], or an iterable of uint8 clips [16, H, W, 3] or of batches of them.
ClipSet = np.ndarray | Iterable[np.ndarray]


def _sets(videos: np.ndarray | Iterable[ClipSet]) -> Iterable[ClipSet]:
    """The sets of whatever the user gave: an array is one set, any other iterable is one of sets."""
    if not hasattr(videos, "ndim"):
        return videos
    if videos.ndim != 5:
        raise ValueError(f"Videos must be one uint8 array [N, 16, H, W, 3], got {videos.dtype} {tuple(videos.shape)}.")
    return [videos]


def _clips(clip_set: ClipSet) -> Iterator[np.ndarray]:
    """The checked clips of a set, one at a time."""
    if getattr(clip_set, "ndim", 5) == 4:
        raise ValueError("An iterable of videos is one of sets: put the clips of one set into a list of their own, [clips].")
    shape = None
    for item in clip_set:
        item = np.asarray(item)
        for clip in item if item.ndim == 5 else [item]:
            if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3:
                raise ValueError(f"Every video must be uint8 [16, H, W, 3], 0 to 255, got {clip.dtype} {clip.shape}.")
            if len(clip) != c3d.NUM_FRAMES:
                raise ValueError(f"C3D sees videos of exactly {c3d.NUM_FRAMES} frames, got {len(clip)}.")
            shape = shape or clip.shape
            if clip.shape != shape:
                raise ValueError(f"Every video must have the same shape, got {shape} and {clip.shape}.")
            yield clip


def c3d_inception_score(
    videos: np.ndarray | Iterable[ClipSet],
    protocol: str = "tgan",
    weights: str | Path | None = None,
    mean: str | Path | None = None,
    batch_size: int | None = None,
    progress: bool = True,
) -> C3DInceptionScoreResult:
    """Inception Score by C3D fine-tuned on UCF-101; the result's text says by which protocol and of how many clips.

        draws = (sampling.sample(checkpoint, 9984, seed=seed) for seed in range(4))
        print(c3d_inception_score(draws, "tgan"))

    No more than a batch of clips is held at a time, where the sets are iterables themselves. A clip costs 77 GFLOP: all the
    39,936 of TGAN's protocol are for an accelerator.

    Args:
      videos: one set of clips, uint8 [N, 16, H, W, 3], RGB; or an iterable of sets, one for each seed or draw, each such an
        array or an iterable of clips [16, H, W, 3] or of batches of them. Fewer or more than the protocol's are flagged in
        the result.
      protocol: of PROTOCOLS.
      weights: the path of `conv3d_deepnetA_ucf.npz`; None takes `c3d.default_folder`.
      mean: the path of `mean2.npz`; None takes the same folder.
      batch_size: clips at a time; None picks by the machine.
      progress: show a progress bar.

    Raises:
      ValueError: the videos are not of that shape and dtype, a set is empty, or there is no such protocol.
      WeightsError: one of the files is missing, incomplete or another one; it says where to get them.
    """
    chosen = _protocol(protocol)
    sets = _sets(videos)
    params, mean = jax.device_put((c3d.load_params(weights), c3d.load_mean(mean)))
    network = f"{c3d.NETWORK} (weights {c3d.sha256(weights)[:12]})"
    if batch_size is None:
        batch_size = 2 if jax.default_backend() == "cpu" else 32
    scores, counts, clip_shape = [], [], None
    for clip_set in sets:
        probabilities = []
        clips = _clips(clip_set)
        total = len(clip_set) if hasattr(clip_set, "ndim") else None
        with tqdm(total=total, desc=f"{c3d.NETWORK}, set {len(scores) + 1}", unit="clip", disable=not progress) as bar:
            while batch := list(itertools.islice(clips, batch_size)):
                clip_shape = clip_shape or batch[0].shape[:3]
                if batch[0].shape[:3] != clip_shape:
                    raise ValueError(
                        f"Every set must have videos of the same shape, got {clip_shape} and {batch[0].shape[:3]}."
                    )
                # The last batch is filled up with its own last clip, so that one shape is compiled.
                filled = np.stack(batch + batch[-1:] * (batch_size - len(batch)))
                logits = c3d.c3d(params, preprocess(filled, mean, protocol))
                probabilities.append(_softmax(np.asarray(logits)[: len(batch)]))
                bar.update(len(batch))
        if not probabilities:
            raise ValueError(f"There are no videos in set {len(scores) + 1} to compute a score of.")
        scores.append(chosen.score(np.concatenate(probabilities)))
        counts.append(sum(map(len, probabilities)))
    if not scores:
        raise ValueError("There are no sets of videos to compute a score of.")
    return C3DInceptionScoreResult(
        name=f"IS ({c3d.NETWORK}, {chosen.name})",
        scores=tuple(scores),
        clips=tuple(counts),
        clip_shape=clip_shape,
        network=network,
        protocol=protocol,
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Class probabilities, float64; ValueError where the logits are not finite."""
    if not np.isfinite(logits).all():
        raise ValueError(f"{c3d.NETWORK} gave values that are not finite.")
    return softmax(logits.astype(np.float64), axis=1)
