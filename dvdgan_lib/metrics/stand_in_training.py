"""How the stand-in classifier is trained: on real training clips only, half of them with their colours turned at random."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from tqdm.auto import tqdm

from dvdgan_lib import data
from dvdgan_lib.metrics.stand_in_classifier import AccuracyResult, StandInClassifier, class_accuracy
from dvdgan_lib.metrics.stand_in_network import RESOLUTION, ClassifierNet, to_network
from dvdgan_lib.provenance import git_commit

BATCH_FRAMES = 384  # a batch of every size has as many frames, so that all steps cost the same
PEAK_LEARNING_RATE = 2e-3
CALIBRATION_BATCHES = 12  # of each size


def _optimiser(steps: int) -> optax.GradientTransformation:
    warmup = max(1, steps // 20)
    return optax.adamw(optax.warmup_cosine_decay_schedule(0.0, PEAK_LEARNING_RATE, warmup, steps), weight_decay=1e-2)


def turn_colours(key: jax.Array, x: jax.Array) -> jax.Array:
    """Turns (or mirrors) about half of the clips' colours about grey, each by an orthogonal matrix of its own.

    Colours of a stand-in lean on the class, so a classifier could tell many classes by a hue alone. A turn leaves the
    distances between colours, and so what is seen of shapes and motion, and says nothing of the class. The other half is
    left as it is: the palette belongs to a class, and tells a disk that slides from a square where either has half left
    the frame.

    Args:
      key: a PRNG key.
      x: float [B, T, H, W, 3] in [-1, 1].

    Returns:
      The same shape and dtype; turned colours may leave [-1, 1].
    """
    turns, chosen = jax.random.split(key)
    matrices = jax.random.orthogonal(turns, 3, (len(x),), x.dtype)
    turned = jax.random.bernoulli(chosen, 0.5, (len(x), 1, 1))
    return jnp.einsum("bthwc,bcd->bthwd", x, jnp.where(turned, matrices, jnp.eye(3, dtype=x.dtype)))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _update(net: ClassifierNet, steps: int, params: dict, optimiser: Any, x: jax.Array, labels: jax.Array, key: jax.Array):
    def objective(params: dict) -> tuple[jax.Array, jax.Array]:
        logits, _ = net.apply({"params": params}, turn_colours(key, x))
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (logits.argmax(axis=-1) == labels).mean()

    (loss, accuracy), gradients = jax.value_and_grad(objective, has_aux=True)(params)
    updates, optimiser = _optimiser(steps).update(gradients, optimiser, params)
    return optax.apply_updates(params, updates), optimiser, loss, accuracy


def calibrated(params: dict, logits: np.ndarray, labels: np.ndarray) -> dict:
    """Params whose logits are scaled so that their certainty is right on clips as they are (temperature scaling).

    Trained half on turned colours, the network is less certain of the others than it is right, and an Inception Score is
    of certainties. One factor of all logits changes no answer; it is the one that makes the labels most likely, where one
    more clip than was seen is a guess: else the factor would be infinite where all are recognised.

    Args:
      params: of ClassifierNet.
      logits: float [N, C], of training clips.
      labels: int [N].
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)

    def surprise(log_scale: float) -> float:
        scaled = np.exp(log_scale) * logits
        surprises = logsumexp(scaled, axis=1, keepdims=True) - scaled
        return float(surprises[np.arange(len(labels)), labels].sum() + surprises.mean())

    scale = np.exp(minimize_scalar(surprise, bounds=(-5.0, 5.0), method="bounded").x)
    last = {name: np.asarray(scale * value, np.float32) for name, value in params["classes"].items()}
    return {**params, "classes": last}


def train_classifier(
    name: str,
    num_classes: int,
    sizes: Sequence[tuple[int, int]],
    steps: int,
    seed: int = 0,
    card: dict[str, Any] | None = None,
) -> tuple[StandInClassifier, dict[str, np.ndarray]]:
    """Trains on the training split of a stand-in: Adam, cross-entropy, the sizes in turn.

    Args:
      name: of the data set, as for `data.load`.
      num_classes: its first classes.
      sizes: (frames, resolution) of the clips.
      steps: updates, each of a batch of BATCH_FRAMES frames of one size.
      seed: of initial weights, batches and turned colours.
      card: more to be said on the card, such as the command.

    Returns:
      The classifier, and what the training saw: {"loss", "accuracy": float32 [steps]} of its own batches.
    """
    commit, dirty = git_commit()  # of the code that runs, whatever is committed meanwhile
    sources = [data.load(name, "train", num_frames=t, resolution=r, num_classes=num_classes) for t, r in sizes]
    sources_and_sizes = zip(sources, sizes, strict=True)
    streams = [data.batches(s, max(1, BATCH_FRAMES // t), seed + i) for i, (s, (t, _)) in enumerate(sources_and_sizes)]
    net = ClassifierNet(num_classes)
    key = jax.random.key(seed)
    params = net.init(key, jnp.zeros((1, sizes[0][0], RESOLUTION, RESOLUTION, 3)))["params"]
    optimiser = _optimiser(steps).init(params)
    seen, clips = {"loss": np.zeros(steps, np.float32), "accuracy": np.zeros(steps, np.float32)}, 0
    try:
        with tqdm(range(steps), desc=f"classifier of {name}", unit="step") as bar:
            for step in bar:
                batch = next(streams[step % len(streams)])
                x, clips = to_network(batch["video"]), clips + len(batch["label"])
                key, own = jax.random.split(key)
                params, optimiser, loss, accuracy = _update(net, steps, params, optimiser, x, batch["label"], own)
                seen["loss"][step], seen["accuracy"][step] = loss, accuracy
                recent = slice(max(0, step - 19), step + 1)
                bar.set_postfix(loss=f"{seen['loss'][recent].mean():.3f}", accuracy=f"{seen['accuracy'][recent].mean():.3f}")
        logits, labels = [], []
        for _ in range(CALIBRATION_BATCHES):
            for stream in streams:
                batch = next(stream)
                logits.append(np.asarray(net.apply({"params": params}, to_network(batch["video"]))[0]))
                labels.append(batch["label"])
        params = calibrated(jax.device_get(params), np.concatenate(logits), np.concatenate(labels))
    finally:
        for stream in streams:
            stream.close()
    card = {
        "data_name": name,
        "data": sources[0].description,
        "trained_on": "real training clips of the stand-in only, never on samples; half with colours turned at random",
        "sizes": [f"{t}x{r}x{r}" for t, r in sizes],
        "clips": clips,
        "steps": steps,
        "seed": seed,
        **(card or {}),
        "commit": commit + ("-dirty" if dirty else ""),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "jax": jax.__version__,
        "held_out": [],
    }
    return StandInClassifier(params, sources[0].class_names, card), seen


def held_out_clips(
    classifier: StandInClassifier, num_frames: int, resolution: int, num_clips: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first clips of the test split, the classes in turn: uint8 [N, T, H, H, 3] and labels int32 [N].

    N is num_clips, or all that the split has.
    """
    size = {"num_frames": num_frames, "resolution": resolution, "num_classes": len(classifier.class_names)}
    source = data.load(classifier.card["data_name"], "test", **size)
    return data.first_clips(source, min(num_clips, len(source)))


def measure_held_out(
    classifier: StandInClassifier, sizes: Sequence[tuple[int, int]], num_clips: int
) -> tuple[StandInClassifier, list[AccuracyResult]]:
    """Measures on test clips of each size, (frames, resolution); returns the classifier with the results on its card."""
    measured = [class_accuracy(*held_out_clips(classifier, t, r, num_clips), classifier) for t, r in sizes]
    keys = ("num_frames", "resolution", "num_videos", "value")
    held_out = [{key: getattr(result, key) for key in keys} for result in measured]
    classifier = dataclasses.replace(classifier, card={**classifier.card, "held_out": held_out})
    described = [dataclasses.replace(m, network=classifier.describe(m.num_frames, m.resolution)) for m in measured]
    return classifier, described
