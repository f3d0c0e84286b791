"""The network of the stand-in classifier: small, and the same for clips of any length and resolution."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from dvdgan_lib.convolution import conv3d
from dvdgan_lib.layers import from_pixels

RESOLUTION = 32  # clips of another resolution are brought to it


class _Block(nn.Module):
    """3x3 convolution over one or three frames, group norm (scores don't depend on the rest of a batch), ReLU."""

    features: int
    frames: int = 3
    time_stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """X float [B, T, H, W, C] -> [B, ceil(T / time_stride), H, W, features]."""
        kernel = self.param("kernel", nn.initializers.he_normal(), (self.frames, 3, 3, x.shape[-1], self.features))
        x = conv3d(x, kernel, (self.time_stride, 1, 1))
        return nn.relu(nn.GroupNorm(num_groups=8, name="norm")(x))


def _maxima(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """x.max(axes), with a gradient that is never NaN.

    The gradient is divided by how many values equal the maximum. XLA may compute x twice, once for the maximum and once for
    the comparison, with and without fused multiply-add: then none equals it, and 0 / 0 follows. The barrier keeps one x.
    """
    return jax.lax.optimization_barrier(x).max(axis=axes)


def _halve(x: jax.Array) -> jax.Array:
    """Maxima of 2x2 pixels: [B, T, H, W, C] -> [B, T, H/2, W/2, C]."""
    b, t, h, w, c = x.shape
    return _maxima(x.reshape(b, t, h // 2, 2, w // 2, 2, c), (3, 5))


class ClassifierNet(nn.Module):
    """Five convolutions that see 9 frames, then a mean and a maximum over all places and times: any length will do."""

    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """X float [B, T, RESOLUTION, RESOLUTION, 3] in [-1, 1] -> logits [B, num_classes], features [B, 192]; float."""
        # Beside each frame its difference from the clip's mean: what moves, without the background.
        x = jnp.concatenate([x, x - x.mean(axis=1, keepdims=True)], axis=-1)
        b, t, h, w, c = x.shape
        # Squares of 2x2 pixels side by side in the channels: nothing is lost, and the first convolution costs a quarter.
        x = x.reshape(b, t, h // 2, 2, w // 2, 2, c).transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, t, h // 2, w // 2, 4 * c)
        x = _Block(32, frames=1, name="block_0")(x)
        x = _halve(_Block(32, frames=1, name="block_1")(x))
        x = _halve(_Block(64, name="block_2")(x))
        x = _Block(96, time_stride=2, name="block_3")(x)
        x = _Block(96, name="block_4")(x)
        pooled = jnp.concatenate([x.mean(axis=(1, 2, 3)), _maxima(x, (1, 2, 3))], axis=-1)
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.zeros, name="classes")(pooled), pooled


@jax.jit
def to_network(videos: jax.Array) -> jax.Array:
    """Uint8 [B, T, H, W, 3] -> float32 [B, T, RESOLUTION, RESOLUTION, 3] in [-1, 1], resized linearly with antialiasing."""
    return jax.image.resize(from_pixels(videos), (*videos.shape[:2], RESOLUTION, RESOLUTION, 3), "linear")
