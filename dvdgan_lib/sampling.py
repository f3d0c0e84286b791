"""Videos from a trained generator: z, y -> uint8 (sections 3 and 4.1.1, appendix B.3)."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import NamedSharding
from tqdm.auto import tqdm

from dvdgan_lib import devices
from dvdgan_lib.configuration import Experiment, ModelConfig
from dvdgan_lib.generator import Generator
from dvdgan_lib.layers import from_pixels
from dvdgan_lib.trained_generator import TrainedGenerator, load_generator


def check_conditioning(model: ModelConfig, conditioning: np.ndarray | None, num: int | None = None) -> None:
    """Raises ValueError with one sentence unless the given frames are what the model needs (B.4).

    Args:
      model: makes whole videos, and takes none; or predicts, and takes uint8 [N, C, H, W, 3].
      conditioning: the given frames.
      num: N, where it is known.
    """
    if not model.conditioning_frames:
        if conditioning is not None:
            raise ValueError("Frames were given to go on from, but this model makes whole videos: leave them out.")
        return
    wanted = (model.conditioning_frames, model.resolution, model.resolution, 3)
    if conditioning is None:
        raise ValueError(f"This model predicts: it needs the first {wanted[0]} frames of each video (`conditioning`).")
    if conditioning.dtype != np.uint8 or conditioning.shape[1:] != wanted or num not in (None, len(conditioning)):
        raise ValueError(
            f"The given frames must be uint8 [{'N' if num is None else num}, {', '.join(map(str, wanted))}]; "
            f"got {conditioning.dtype} {list(conditioning.shape)}."
        )


def _apply(config: ModelConfig, variables: dict, latents: jax.Array, labels: jax.Array, given: jax.Array | None, **more):
    conditioning = None if given is None else from_pixels(given)
    return Generator(config).apply(variables, latents, labels, conditioning=conditioning, **more)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _batch_statistics(
    config: ModelConfig, where: NamedSharding, params: dict, latents: jax.Array, labels: jax.Array, given: jax.Array | None
) -> dict:
    _, changed = _apply(config, {"params": params}, latents, labels, given, mutable=["batch_stats"])
    # Whole in every process, as what `_generate` makes: with many hosts all of them sample together.
    return jax.lax.with_sharding_constraint(changed.get("batch_stats", {}), where)


def batch_statistics(
    experiment: Experiment, params: dict, latents: np.ndarray, labels: np.ndarray, conditioning: np.ndarray | None = None
) -> dict:
    """The statistics of one batch, by which G makes it in training: what `standing_statistics` averages.

    Args:
      experiment: the run.
      params: G's averaged weights, spectral norm applied.
      latents: [B, latent_dim], already scaled by the truncation.
      labels: [B], int.
      conditioning: for prediction, the given frames, uint8 [B, C, H, W, 3].

    Returns:
      The `batch_stats` collection; empty where G's norm has no batch statistics.
    """
    mesh = devices.mesh(len(latents))
    whole = devices.replicated(mesh)
    given = jax.device_put((latents, labels, conditioning), devices.batch_sharding(mesh))
    return _batch_statistics(experiment.model, whole, jax.device_put(params, whole), *given)


def standing_statistics(
    experiment: Experiment, params: dict, truncation: float = 1.0, seed: int = 0, conditioning: np.ndarray | None = None
) -> dict:
    """The statistics that batch norms use in sampling, so that a sample doesn't depend on its batch.

    The mean and mean square of each norm's input, averaged over `evaluation.standing_batches` batches of the training
    size: BigGAN's standing statistics, here per time step as the norms are (B.2).

    Args:
      experiment: the run.
      params: G's averaged weights, spectral norm applied.
      truncation: standard deviation of the latents; statistics belong to one value of it.
      seed: of the batches.
      conditioning: for prediction, the first frames of training clips, uint8 [N, C, H, W, 3], taken in turn.

    Returns:
      The `batch_stats` collection; empty where G's norm has no batch statistics.
    """
    check_conditioning(experiment.model, conditioning)
    total, batches, size = None, experiment.evaluation.standing_batches, experiment.training.batch_size
    params = jax.device_put(params, devices.replicated(devices.mesh(size)))
    for i in range(batches):
        given = None if conditioning is None else conditioning[np.arange(i * size, (i + 1) * size) % len(conditioning)]
        stats = batch_statistics(experiment, params, *draw(experiment.model, size, truncation, (seed, 1, i)), given)
        total = stats if total is None else jax.tree.map(jnp.add, total, stats)
    return jax.device_get(jax.tree.map(lambda x: x / batches, total))


def at_truncation(
    generator: TrainedGenerator, truncation: float, conditioning: np.ndarray | None = None
) -> TrainedGenerator:
    """The generator with the standing statistics of that truncation, where its norms have any (section 4.1.1).

    Args:
      generator: from `trained_generator.load_generator`.
      truncation: standard deviation of the latents, in (0, 1]; of 1 it has them already.
      conditioning: for prediction, the frames to go on from, uint8 [N, C, H, W, 3].
    """
    if truncation == 1.0 or not generator.standing:
        return generator
    standing = standing_statistics(generator.experiment, generator.params, truncation, conditioning=conditioning)
    return dataclasses.replace(generator, standing=standing)


def draw(model: ModelConfig, num: int, truncation: float, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Latents float32 [num, latent_dim], N(0, truncation^2), and uniform labels int32 [num].

    Drawn one after the other, so that sample i of a seed is the same however many are drawn.
    """
    rng = np.random.default_rng(seed)
    latents = truncation * rng.standard_normal((num, model.latent_dim), np.float32)
    return latents, np.random.default_rng((*seed, 7)).integers(0, model.num_classes, num, np.int32)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _generate(
    config: ModelConfig,
    where: NamedSharding,
    variables: dict,
    latents: jax.Array,
    labels: jax.Array,
    given: jax.Array | None,
    embedded: jax.Array | None,
) -> jax.Array:
    video = _apply(config, variables, latents, labels, given, standing=True, embedded=embedded)
    return jax.lax.with_sharding_constraint(jnp.round((video + 1.0) * 127.5).astype(jnp.uint8), where)


def generate(
    generator: TrainedGenerator,
    latents: np.ndarray,
    labels: np.ndarray,
    truncation: float = 1.0,
    embedded: np.ndarray | None = None,
    conditioning: np.ndarray | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Videos of given latents and classes.

    Args:
      generator: from `trained_generator.load_generator`.
      latents: [N, latent_dim], already scaled by the truncation.
      labels: [N], int.
      truncation: which standing statistics to use.
      embedded: e(y) [N, embedding_dim] in place of the labels' own (class interpolation).
      conditioning: for prediction, the frames to go on from, uint8 [N, C, H, W, 3].
      progress: show a bar, where there is more than one batch.

    Returns:
      uint8 [N, C+T, H, W, 3]: in prediction the given frames and behind them the generated ones.
    """
    experiment = generator.experiment
    check_conditioning(experiment.model, conditioning, len(latents))
    standing = at_truncation(generator, truncation, conditioning).standing
    processes = jax.process_count()
    size = -(-min(experiment.evaluation.batch_size, len(latents)) // processes) * processes
    mesh = devices.mesh(size)
    whole = devices.replicated(mesh)
    variables = jax.device_put({"params": generator.params, "batch_stats": standing}, whole)
    videos = []
    starts = range(0, len(latents), size)
    for i in tqdm(starts, desc="sampling", unit="batch", disable=not progress or len(starts) < 2, leave=False):
        # The last batch is filled up, so that one program serves all.
        index = np.minimum(np.arange(i, i + size), len(latents) - 1)
        optional = [None if array is None else array[index] for array in (conditioning, embedded)]
        inputs = (latents[index], labels[index], *optional)
        inputs = jax.device_put(inputs, devices.batch_sharding(mesh))
        videos.append(np.asarray(_generate(experiment.model, whole, variables, *inputs)))
    made = np.concatenate(videos)[: len(latents)]
    return made if conditioning is None else np.concatenate([conditioning, made], axis=1)


def sample(
    checkpoint: epath.PathLike | TrainedGenerator,
    num: int,
    labels: np.ndarray | list[int] | None = None,
    truncation: float = 1.0,
    seed: int = 0,
    conditioning: np.ndarray | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Random videos of a trained model.

    Args:
      checkpoint: the exported file, its folder, or what `load_generator` gave.
      num: how many.
      labels: their classes [num]; None draws them uniformly.
      truncation: standard deviation of the latents, in (0, 1] (section 4.1.1).
      seed: of latents and labels.
      conditioning: for prediction (DVD-GAN-FP), the frames to go on from, uint8 [num, C, H, W, 3].
      progress: show a bar.

    Returns:
      uint8 [num, T, H, W, 3]; in prediction [num, C+T, H, W, 3], the given frames first.

    Raises:
      ValueError: a truncation or labels out of range, given frames that don't fit; one sentence.
    """
    generator = checkpoint if isinstance(checkpoint, TrainedGenerator) else load_generator(checkpoint)
    classes = generator.experiment.model.num_classes
    if not 0.0 < truncation <= 1.0:
        raise ValueError(f"Truncation is the standard deviation of the latents, above 0 and up to 1; got {truncation}.")
    latents, drawn = draw(generator.experiment.model, num, truncation, (seed,))
    labels = drawn if labels is None else np.asarray(labels, np.int32)
    if labels.shape != (num,) or labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise ValueError(f"Labels must be {num} integers from 0 to {classes - 1}; got shape {labels.shape}.")
    return generate(generator, latents, labels, truncation, conditioning=conditioning, progress=progress)
