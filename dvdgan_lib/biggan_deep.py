"""The residual blocks of BigGAN-deep, which appendix D tried in place of BigGAN's (Brock et al. 2019, appendix B).

Bottlenecks: 1x1 to a quarter of the width, two 3x3, 1x1 to the block's width. Shortcuts have no convolution of their own:
G drops the channels that are too many, D adds those that are missing. Their place in G and D is that of BigGAN's blocks.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from dvdgan_lib.layers import ConditionalNorm, Conv2D, Conv3D, average_pool, average_pool_3d, fold_time, upsample

BOTTLENECK = 4  # BigGAN-deep's ratio of a block's width to that of its 3x3 convolutions


class GDeepBlock(nn.Module):
    """G's: norm, ReLU, 1x1, norm, ReLU, (up), 3x3, norm, ReLU, 3x3, norm, ReLU, 1x1; the shortcut drops channels."""

    features: int
    up: bool
    norm: str = "batch"
    block_norm: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array, standing: bool) -> jax.Array:
        """x [B, T, H, W, C_in], condition [B, D] -> [B, T, H', W', features], H' = 2H with `up`; features <= C_in."""
        b, t, _, _, c_in = x.shape
        kind = self.norm if self.block_norm else "none"
        hidden = max(1, c_in // BOTTLENECK)

        h = x
        for i, (width, size) in enumerate(((hidden, 1), (hidden, 3), (hidden, 3), (self.features, 1)), start=1):
            h = fold_time(nn.relu(ConditionalNorm(kind, name=f"norm_{i}")(h, condition, standing)))
            h = Conv2D(width, size, up=self.up and i == 2, name=f"conv_{i}")(h)
            h = h.reshape(b, t, *h.shape[1:])
        shortcut = fold_time(x[..., : self.features])
        shortcut = upsample(shortcut) if self.up else shortcut
        return h + shortcut.reshape(h.shape)


class DDeepBlock(nn.Module):
    """D's: ReLU, 1x1, ReLU, 3x3, ReLU, 3x3, ReLU, (pool), 1x1; the shortcut's missing channels are a 1x1 convolution's.

    With `time` its convolutions and its pooling are 3-D (the first two blocks of D_T, B.2). `first` leaves out the first
    ReLU, which would act on pixels.
    """

    features: int
    down: bool
    first: bool = False
    time: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C_in] -> [N, H', W', features], halved with `down`; with `time` [B, T, H, W, C_in], T halved too."""
        conv, pool = (Conv3D, average_pool_3d) if self.time else (Conv2D, average_pool)
        hidden = max(1, self.features // BOTTLENECK)

        h = conv(hidden, 1, name="conv_1")(x if self.first else nn.relu(x))
        h = conv(hidden, 3, name="conv_2")(nn.relu(h))
        h = nn.relu(conv(hidden, 3, name="conv_3")(nn.relu(h)))
        h = conv(self.features, 1, name="conv_4")(pool(h) if self.down else h)
        shortcut = (pool(x) if self.down else x)[..., : self.features]
        if missing := self.features - shortcut.shape[-1]:
            more = conv(missing, 1, name="conv_shortcut")(shortcut)
            shortcut = jnp.concatenate([shortcut, more], -1)
        return h + shortcut
