"""What DVD-GAN-FP adds for video prediction: the conditioning frames become the ConvGRUs' first states (appendix B.4)."""

from __future__ import annotations

import flax.linen as nn
import jax

from dvdgan_lib.configuration import ModelConfig
from dvdgan_lib.discriminators import spatial_blocks
from dvdgan_lib.layers import Conv2D, fold_time


class ConditioningEncoder(nn.Module):
    """Each conditioning frame through "a deep residual network identical to D_S"; its features to h_0 of each ConvGRU.

    After each block the features of all C frames are "stacked in the channel dimension and passed through a 3 x 3
    convolution and ReLU activation", which gives h_0 of the ConvGRU of the same resolution: the smallest features enter G
    first. Where two blocks end at one resolution (4x4), the later one serves, which has been "through the most layers".
    The encoder lies in G's parameters: it is trained, averaged (EMA) and spectrally normalised with them.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, conditioning: jax.Array, widths: tuple[int, ...]) -> list[jax.Array]:
        """Encodes a batch.

        Args:
          conditioning: the given frames, [B, C, H, W, 3], float in [-1, 1].
          widths: channels of each ConvGRU's state, from 4x4 upwards.

        Returns:
          h_0 of each ConvGRU, [B, 4 * 2^i, 4 * 2^i, widths[i]].
        """
        b, c = conditioning.shape[:2]
        by_size = {}  # a later block of the same resolution takes the place of the one before
        for features in spatial_blocks(self.config, fold_time(conditioning)):
            by_size[features.shape[1]] = features
        states = []
        for i, width in enumerate(widths):
            size = 4 * 2**i
            features = by_size[size].reshape(b, c, size, size, -1)
            stacked = features.transpose(0, 2, 3, 1, 4).reshape(b, size, size, -1)
            states.append(nn.relu(Conv2D(width, name=f"to_state_{i}")(stacked)))
        return states
