"""The layers of G and D: class-conditional norms, residual blocks (appendix B.2, Figure 7).

Shapes are written in docstrings with B the batch, T the frames, H and W the height and width, C the channels. The batch
comes first everywhere: an array split over devices along it stays so when time is folded into it.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from dvdgan_lib.convolution import conv2d, conv2d_of_upsampled, conv2d_pooled, conv3d, conv3d_pooled
from dvdgan_lib.devices import target_platform

orthogonal = nn.initializers.orthogonal()  # B.3, "with orthogonal initialization"

# --- Pixels, and sampling in space ------------------------------------------------------------------------------------


def from_pixels(video: jax.Array) -> jax.Array:
    """uint8 pixels to float32 in [-1, 1], on the device: what G makes and D sees."""
    return video.astype(jnp.float32) / 127.5 - 1.0


def upsample(x: jax.Array) -> jax.Array:
    """Nearest-neighbour upsampling by two: [N, H, W, C] -> [N, 2H, 2W, C] (BigGAN)."""
    with jax.named_scope("upsample"):  # named, here and below, for the diagrams drawn from the modules
        return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def average_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Average pooling over height and width: [N, H, W, C] -> [N, H/size, W/size, C]."""
    n, h, w, c = x.shape
    with jax.named_scope("average_pool"):
        return x.reshape(n, h // size, size, w // size, size, c).mean((2, 4))


def average_pool_time(x: jax.Array) -> jax.Array:
    """Average pooling by two over time: [B, T, ...] -> [B, ceil(T/2), ...]; an odd last frame stands for itself."""
    if x.shape[1] == 1:
        return x
    with jax.named_scope("average_pool_time"):
        if x.shape[1] % 2:
            x = jnp.concatenate([x, x[:, -1:]], axis=1)
        return (x[:, 0::2] + x[:, 1::2]) * 0.5


def average_pool_3d(x: jax.Array) -> jax.Array:
    """Average pooling by two over time, height and width: [B, T, H, W, C] -> [B, ceil(T/2), H/2, W/2, C]."""
    with jax.named_scope("average_pool_3d"):
        x = average_pool_time(x)
        b, t, h, w, c = x.shape
        return average_pool(fold_time(x)).reshape(b, t, h // 2, w // 2, c)


# --- Norms of G -------------------------------------------------------------------------------------------------------


class Norm(nn.Module):
    """Normalisation without a learned scale and offset (B.3), of [B, T, H, W, C] to mean 0 and variance 1.

    `kind` (configuration.NORMS) says over what: "batch" is the paper's, over batch, height and width but not over time (B.2:
    "we do not reduce over the time dimension"); the others are appendix D's. Batch kinds use the statistics of the batch, or
    with `standing=True` those of the `batch_stats` collection; where that collection is mutable, the batch's own mean and
    mean square are written to it, for `sampling.standing_statistics` to average.
    """

    kind: str = "batch"
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, standing: bool) -> tuple[jax.Array, jax.Array]:
        """Returns (scale, offset), broadcastable to x: the normalised x is x * scale + offset."""
        _, t, _, _, c = x.shape
        # Of bfloat16 features too the statistics are float32's: the difference of two squares would have no digits left.
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.kind == "none":
            return jnp.ones((1, 1, 1, 1, 1), x.dtype), jnp.zeros((1, 1, 1, 1, 1), x.dtype)
        if self.kind in ("batch", "batch_over_time"):
            axes = (0, 2, 3) if self.kind == "batch" else (0, 1, 2, 3)
            steps = t if self.kind == "batch" else 1
            shape = (steps, c)
            if not standing:
                mean, square = x.mean(axes).reshape(shape), jnp.square(x).mean(axes).reshape(shape)
            if standing or self.is_mutable_collection("batch_stats"):
                stored_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
                stored_square = self.variable("batch_stats", "mean_square", jnp.ones, shape)
                if standing:
                    mean, square = stored_mean.value, stored_square.value
                else:
                    stored_mean.value, stored_square.value = mean, square
            mean, square = mean[None, :, None, None], square[None, :, None, None]
        elif self.kind == "group":
            groups = max(g for g in (32, 16, 8, 4, 2, 1) if (c % g == 0 and c // g >= 2) or g == 1)
            grouped = x.reshape(*x.shape[:-1], groups, c // groups)
            mean, square = grouped.mean((2, 3, 5)), jnp.square(grouped).mean((2, 3, 5))
            mean, square = (jnp.repeat(s, c // groups, -1)[:, :, None, None] for s in (mean, square))
        else:
            axes = {"layer": (2, 3, 4), "instance": (2, 3)}[self.kind]
            mean, square = x.mean(axes, keepdims=True), jnp.square(x).mean(axes, keepdims=True)
        scale = lax.rsqrt(jnp.maximum(square - jnp.square(mean), 0.0) + self.epsilon)
        return scale, -mean * scale


class ConditionalNorm(nn.Module):
    """A norm, then an affine map whose gain and bias are functions of [z; e(y)] (B.2, B.3, the gray line of Figure 7)."""

    kind: str = "batch"

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array, standing: bool) -> jax.Array:
        """x [B, T, H, W, C], condition [B, D] -> [B, T, H, W, C]."""
        c = x.shape[-1]
        scale, offset = Norm(self.kind, name="norm")(x, standing)
        gain = 1.0 + nn.Dense(c, use_bias=False, kernel_init=orthogonal, name="gain")(condition)[:, None, None, None]
        bias = nn.Dense(c, use_bias=False, kernel_init=orthogonal, name="bias")(condition)[:, None, None, None]
        return (x * (scale * gain) + (offset * gain + bias)).astype(x.dtype)


class AffineNorm(nn.Module):
    """A norm, then a learned gain and bias for each channel: G's final norm (BigGAN's is not conditional)."""

    kind: str = "batch"

    @nn.compact
    def __call__(self, x: jax.Array, standing: bool) -> jax.Array:
        """[B, T, H, W, C] -> the same."""
        scale, offset = Norm(self.kind, name="norm")(x, standing)
        gain = self.param("gain", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        return (x * (scale * gain) + (offset * gain + bias)).astype(x.dtype)


# --- Residual blocks (Figure 7) ---------------------------------------------------------------------------------------


def fold_time(x: jax.Array) -> jax.Array:
    """[B, T, H, W, C] -> [B*T, H, W, C]: "the time dimension is combined with the batch dimension"."""
    return x.reshape(-1, *x.shape[2:])


class Conv2D(nn.Module):
    """A 2-D convolution with stride 1, SAME padding and a bias; `conv2d` picks its form by the backend.

    With `up` it sees its input upsampled, with `down` its output is pooled (3x3 only). On the CPU both are one smaller
    convolution, with the same result.
    """

    features: int
    size: int = 3
    up: bool = False
    down: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C_in] -> [N, H, W, features], H and W doubled with `up`, halved with `down`."""
        kernel = self.param("kernel", orthogonal, (self.size, self.size, x.shape[-1], self.features))
        if target_platform() == "cpu" and self.up:
            h = conv2d_of_upsampled(x, kernel)
        elif target_platform() == "cpu" and self.down:
            h = conv2d_pooled(x, kernel)
        else:
            h = conv2d(upsample(x) if self.up else x, kernel)
            h = average_pool(h) if self.down else h
        return h + self.param("bias", nn.initializers.zeros, (self.features,))


class GBlock(nn.Module):
    """G's residual block: norm, ReLU, (up), 3x3, norm, ReLU, 3x3, beside a shortcut with a 1x1 convolution (Figure 7).

    The shortcut has its convolution where the width or the size changes, as in BigGAN. It is applied before upsampling,
    which gives the same values for a quarter of the work.
    """

    features: int
    up: bool
    norm: str = "batch"
    block_norm: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array, standing: bool) -> jax.Array:
        """x [B, T, H, W, C_in], condition [B, D] -> [B, T, H', W', features], H' = 2H with `up`."""
        b, t = x.shape[:2]
        # `no_block_norm` takes the norm away; the conditional affine map stays, so that the class still reaches G.
        kind = self.norm if self.block_norm else "none"

        h = fold_time(nn.relu(ConditionalNorm(kind, name="norm_1")(x, condition, standing)))
        h = Conv2D(self.features, up=self.up, name="conv_1")(h)
        h = h.reshape(b, t, *h.shape[1:])
        h = fold_time(nn.relu(ConditionalNorm(kind, name="norm_2")(h, condition, standing)))
        h = Conv2D(self.features, name="conv_2")(h)

        shortcut = fold_time(x)
        if self.up or x.shape[-1] != self.features:
            shortcut = Conv2D(self.features, size=1, name="conv_shortcut")(shortcut)
        h = h + (upsample(shortcut) if self.up else shortcut)
        return h.reshape(b, t, *h.shape[1:])


class DBlock(nn.Module):
    """D's residual block: ReLU, 3x3, ReLU, 3x3, (average pool), beside a shortcut with a 1x1 convolution (Figure 7).

    `first` leaves out the first ReLU, which would act on pixels (BigGAN). The shortcut pools before its convolution: the
    two commute, and so it costs a quarter.
    """

    features: int
    down: bool
    first: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C_in] -> [N, H', W', features], H' = H/2 with `down`."""
        h = Conv2D(self.features, name="conv_1")(x if self.first else nn.relu(x))
        h = Conv2D(self.features, down=self.down, name="conv_2")(nn.relu(h))
        shortcut = average_pool(x) if self.down else x
        if self.down or x.shape[-1] != self.features:
            shortcut = Conv2D(self.features, size=1, name="conv_shortcut")(shortcut)
        return h + shortcut


class Conv3D(nn.Module):
    """A 3-D convolution with SAME padding and a bias; `conv3d` picks its form by the backend. `down` as in `Conv2D`."""

    features: int
    size: int = 3
    down: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, T, H, W, C_in] -> [B, T, H, W, features], with `down` [B, ceil(T/2), H/2, W/2, features]."""
        kernel = self.param("kernel", orthogonal, (self.size,) * 3 + (x.shape[-1], self.features))
        # An odd last frame is pooled with itself, which a convolution of four frames can't do.
        if target_platform() == "cpu" and self.down and x.shape[1] % 2 == 0:
            h = conv3d_pooled(x, kernel)
        else:
            h = conv3d(x, kernel)
            h = average_pool_3d(h) if self.down else h
        return h + self.param("bias", nn.initializers.zeros, (self.features,))


class DBlock3D(nn.Module):
    """DBlock with "every convolution replaced with a 3-D convolution with a kernel size of 3x3x3" (B.2).

    Its pooling is 3-D too, 2x2x2, and its shortcut 1x1x1: assumptions (`paper.ASSUMPTIONS`).
    """

    features: int
    down: bool
    first: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, T, H, W, C_in] -> [B, T', H', W', features], halved with `down`."""
        h = Conv3D(self.features, name="conv_1")(x if self.first else nn.relu(x))
        h = Conv3D(self.features, down=self.down, name="conv_2")(nn.relu(h))
        shortcut = average_pool_3d(x) if self.down else x
        if self.down or x.shape[-1] != self.features:
            shortcut = Conv3D(self.features, size=1, name="conv_shortcut")(shortcut)
        return h + shortcut
