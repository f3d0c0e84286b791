"""The hinge objective (section 2.2), one for each discriminator, summed."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def discriminator_loss(real: dict[str, jax.Array], fake: dict[str, jax.Array]) -> jax.Array:
    """What D minimises: E[relu(1 - D(x))] + E[relu(1 + D(G(z)))], summed over D_S and D_T.

    Args:
      real, fake: scores [B] by discriminator.

    Returns:
      A scalar.
    """
    return sum(jnp.mean(jax.nn.relu(1.0 - real[d])) + jnp.mean(jax.nn.relu(1.0 + fake[d])) for d in real)


def generator_loss(fake: dict[str, jax.Array]) -> jax.Array:
    """What G minimises: -E[D(G(z))], summed over D_S and D_T; a scalar."""
    return -sum(jnp.mean(scores) for scores in fake.values())
