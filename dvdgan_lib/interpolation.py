"""Walks between samples (Figures 9, 15 and 16; appendices C.1 and E.2)."""

from __future__ import annotations

import numpy as np

from dvdgan_lib.sampling import generate
from dvdgan_lib.trained_generator import TrainedGenerator


def _between(first: np.ndarray, last: np.ndarray, columns: int) -> np.ndarray:
    """The points of a straight line, float32 [columns, D], both ends included."""
    along = np.linspace(0, 1, columns, dtype=np.float32)[:, None]
    return (1 - along) * first + along * last


def walk_in_latents(generator: TrainedGenerator, columns: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Videos between two latents under one class, all drawn at random.

    Args:
      generator: of a model that predicts from no frames.
      columns: videos, the ends among them.
      rng: draws the class, then the latents.

    Returns:
      uint8 [columns, T, H, W, 3], and the class.
    """
    m = generator.experiment.model
    label = int(rng.integers(m.num_classes))
    ends = rng.standard_normal((2, m.latent_dim), np.float32)
    labels = np.full(columns, label)
    return generate(generator, _between(*ends, columns), labels, progress=False), label


def walk_in_classes(
    generator: TrainedGenerator, columns: int, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """Videos of one latent between the embeddings of two classes, all drawn at random.

    Args:
      generator: of a model with two classes or more.
      columns: videos, the ends among them.
      rng: draws the classes, then the latent.

    Returns:
      uint8 [columns, T, H, W, 3], and the two classes.
    """
    m = generator.experiment.model
    first, last = (int(label) for label in rng.choice(m.num_classes, 2, replace=False))
    table = np.asarray(generator.params["embedding"]["embedding"])
    latents = np.repeat(rng.standard_normal((1, m.latent_dim), np.float32), columns, axis=0)
    labels = np.zeros(columns, int)  # without effect: the embeddings take their place
    embedded = _between(table[first], table[last], columns)
    return generate(generator, latents, labels, embedded=embedded, progress=False), (first, last)
