"""Videos from a trained generator: z, y -> uint8 (sections 3 and 4.1.1, appendix B.3)."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from tqdm.auto import tqdm

from dvdgan_lib import devices
from dvdgan_lib.checkpoints import TrainedGenerator, load_generator
from dvdgan_lib.experiments import Experiment, ModelConfig
from dvdgan_lib.generator import Generator


@functools.partial(jax.jit, static_argnums=0)
def _batch_statistics(config: ModelConfig, params: dict, latents: jax.Array, labels: jax.Array) -> dict:
    _, changed = Generator(config).apply({"params": params}, latents, labels, mutable=["batch_stats"])
    return changed.get("batch_stats", {})


def standing_statistics(experiment: Experiment, params: dict, truncation: float = 1.0, seed: int = 0) -> dict:
    """The statistics that batch norms use in sampling, so that a sample doesn't depend on its batch.

    The mean and mean square of each norm's input, averaged over `evaluation.standing_batches` batches of the training
    size: BigGAN's standing statistics, here per time step as the norms are (B.2).

    Args:
      experiment: the run.
      params: G's averaged weights, spectral norm applied.
      truncation: standard deviation of the latents; statistics belong to one value of it.
      seed: of the batches.

    Returns:
      The `batch_stats` collection; empty where G's norm has no batch statistics.
    """
    total, batches, size = None, experiment.evaluation.standing_batches, experiment.training.batch_size
    mesh = devices.mesh(size)
    params = jax.device_put(params, devices.replicated(mesh))
    for i in range(batches):
        drawn = draw(experiment.model, size, truncation, (seed, 1, i))
        stats = _batch_statistics(experiment.model, params, *jax.device_put(drawn, devices.batch_sharding(mesh)))
        total = stats if total is None else jax.tree.map(jnp.add, total, stats)
    return jax.device_get(jax.tree.map(lambda x: x / batches, total))


def draw(model: ModelConfig, num: int, truncation: float, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Latents float32 [num, latent_dim], N(0, truncation^2), and uniform labels int32 [num].

    Drawn one after the other, so that sample i of a seed is the same however many are drawn.
    """
    rng = np.random.default_rng(seed)
    latents = truncation * rng.standard_normal((num, model.latent_dim), np.float32)
    return latents, np.random.default_rng((*seed, 7)).integers(0, model.num_classes, num, np.int32)


@functools.partial(jax.jit, static_argnums=0)
def _generate(config: ModelConfig, variables: dict, latents: jax.Array, labels: jax.Array, embedded: jax.Array | None):
    video = Generator(config).apply(variables, latents, labels, standing=True, embedded=embedded)
    return jnp.round((video + 1.0) * 127.5).astype(jnp.uint8)


def generate(
    generator: TrainedGenerator,
    latents: np.ndarray,
    labels: np.ndarray,
    truncation: float = 1.0,
    embedded: np.ndarray | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Videos of given latents and classes.

    Args:
      generator: from `checkpoints.load_generator`.
      latents: [N, latent_dim], already scaled by the truncation.
      labels: [N], int.
      truncation: which standing statistics to use.
      embedded: e(y) [N, embedding_dim] in place of the labels' own (class interpolation).
      progress: show a bar, where there is more than one batch.

    Returns:
      uint8 [N, T, H, W, 3].
    """
    experiment = generator.experiment
    standing = generator.standing
    if truncation != 1.0 and standing:
        standing = standing_statistics(experiment, generator.params, truncation)
    size = min(experiment.evaluation.batch_size, len(latents))
    mesh = devices.mesh(size)
    variables = jax.device_put({"params": generator.params, "batch_stats": standing}, devices.replicated(mesh))
    videos = []
    starts = range(0, len(latents), size)
    for i in tqdm(starts, desc="sampling", unit="batch", disable=not progress or len(starts) < 2, leave=False):
        # The last batch is filled up, so that one program serves all.
        index = np.minimum(np.arange(i, i + size), len(latents) - 1)
        inputs = (latents[index], labels[index], None if embedded is None else embedded[index])
        inputs = jax.device_put(inputs, devices.batch_sharding(mesh))
        videos.append(np.asarray(_generate(experiment.model, variables, *inputs)))
    return np.concatenate(videos)[: len(latents)]


def sample(
    checkpoint: epath.PathLike | TrainedGenerator,
    num: int,
    labels: np.ndarray | list[int] | None = None,
    truncation: float = 1.0,
    seed: int = 0,
    progress: bool = True,
) -> np.ndarray:
    """Random videos of a trained model.

    Args:
      checkpoint: the exported file, its folder, or what `load_generator` gave.
      num: how many.
      labels: their classes [num]; None draws them uniformly.
      truncation: standard deviation of the latents, in (0, 1] (section 4.1.1).
      seed: of latents and labels.
      progress: show a bar.

    Returns:
      uint8 [num, T, H, W, 3].

    Raises:
      ValueError: a truncation or labels out of range; one sentence.
    """
    generator = checkpoint if isinstance(checkpoint, TrainedGenerator) else load_generator(checkpoint)
    classes = generator.experiment.model.num_classes
    if not 0.0 < truncation <= 1.0:
        raise ValueError(f"Truncation is the standard deviation of the latents, above 0 and up to 1; got {truncation}.")
    latents, drawn = draw(generator.experiment.model, num, truncation, (seed,))
    labels = drawn if labels is None else np.asarray(labels, np.int32)
    if labels.shape != (num,) or labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise ValueError(f"Labels must be {num} integers from 0 to {classes - 1}; got shape {labels.shape}.")
    return generate(generator, latents, labels, truncation, progress=progress)
