"""Separable Attention (appendix A), and the full self-attention that it takes the place of.

The model of the paper has neither; its first version had. Both are modules for G and D (`ModelConfig.attention`).
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from dvdgan_lib.layers import orthogonal

Weights = tuple[jax.Array, jax.Array, jax.Array]  # Q, K, V of one attention, each [C, C]


def self_attention(x: jax.Array, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """softmax(XQ (XK)') XV, the softmax over the last axis (appendix A; its equation has no 1/sqrt(C)).

    Args:
      x: [B, N, C].
      query, key, value: [C, C].

    Returns:
      [B, N, C]; on the way there are B * N * N correlations.
    """
    correlations = jnp.einsum("bnc,bmc->bnm", x @ query, x @ key)
    return jax.nn.softmax(correlations, -1) @ (x @ value)


def _along(x: jax.Array, axis: int, weights: Weights) -> jax.Array:
    """Attention along one axis of [B, H, W, T, C] for each place on the others.

    The axis is moved beside C before the reshape: the transpose that the paper's pseudocode leaves out (its footnote 4).
    """
    moved = jnp.moveaxis(x, axis, -2)
    attended = self_attention(moved.reshape(-1, *moved.shape[-2:]), *weights)
    return jnp.moveaxis(attended.reshape(moved.shape), -2, axis)


def separable_attention(x: jax.Array, weights: Sequence[Weights | None]) -> jax.Array:
    """Attention over time, then height, then width, each on what the one before gave (appendix A).

    Args:
      x: [B, H, W, T, C], the appendix's order of axes.
      weights: (Q, K, V) for time, for height and for width; None leaves an axis out.

    Returns:
      [B, H, W, T, C]; on the way there are B*H*W*T times T, H or W correlations, where full attention has H*W*T.
    """
    for axis, of_axis in zip((3, 1, 2), weights, strict=True):
        if of_axis is not None:
            x = _along(x, axis, of_axis)
    return x


class Attention(nn.Module):
    """x + gain * attention(x), with a learned gain that starts at 0, as SAGAN and BigGAN add theirs.

    `kind` is "separable" or "full". Single frames (T = 1, as in D_S) are not attended over time: with one frame there is
    nothing to choose from, and queries and keys would never learn.
    """

    kind: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, T, H, W, C] -> the same."""
        b, t, h, w, c = x.shape

        def weights(name: str) -> Weights:
            return tuple(self.param(f"{name}_{part}_kernel", orthogonal, (c, c)) for part in ("query", "key", "value"))

        if self.kind == "full":
            attended = self_attention(x.reshape(b, t * h * w, c), *weights("full")).reshape(x.shape)
        else:
            of_axes = [weights("time") if t > 1 else None, weights("height"), weights("width")]
            attended = jnp.moveaxis(separable_attention(jnp.moveaxis(x, 1, 3), of_axes), 3, 1)
        return x + self.param("gain", nn.initializers.zeros, ()) * attended
