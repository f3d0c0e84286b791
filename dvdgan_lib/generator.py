"""The generator G (section 3, Figure 3 left, appendix B.2)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from dvdgan_lib.attention import Attention
from dvdgan_lib.biggan_deep import GDeepBlock
from dvdgan_lib.configuration import ModelConfig
from dvdgan_lib.conv_gru import ConvGRU
from dvdgan_lib.frame_prediction import ConditioningEncoder
from dvdgan_lib.layers import AffineNorm, Conv2D, GBlock, fold_time, orthogonal


class Generator(nn.Module):
    """G(z, y): noise and class to a video; with conditioning frames to the video that follows them (DVD-GAN-FP, B.4).

    [z; e(y)] goes through an affine map to [4, 4, ch_0], the input of a ConvGRU at every frame. Then, until the frames have
    their size: ConvGRU, residual block, residual block that upsamples. A final norm, ReLU, 3x3 convolution and tanh give
    pixels, as in BigGAN. The ConvGRUs begin at zero, or in DVD-GAN-FP where the conditioning frames put them.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        latents: jax.Array,
        labels: jax.Array,
        standing: bool = False,
        embedded: jax.Array | None = None,
        conditioning: jax.Array | None = None,
    ) -> jax.Array:
        """Generates a batch of videos.

        Args:
          latents: z, [B, latent_dim], N(0, I).
          labels: y, [B], int.
          standing: whether batch norms use the standing statistics (sampling) or the batch's (training).
          embedded: e(y) [B, embedding_dim] to use instead of the labels' own: class interpolation (Figure 16).
          conditioning: DVD-GAN-FP's given frames [B, C, H, W, 3] in [-1, 1]; None for synthesis.

        Returns:
          [B, T, H, W, 3], float in [-1, 1]: the generated frames, without the given ones.
        """
        config = self.config
        widths = [config.ch * constant for constant in config.g_widths]  # ch_0, then one a resolution (B.2)
        embedding = nn.Embed(config.num_classes, config.embedding_dim, embedding_init=orthogonal, name="embedding")
        condition = jnp.concatenate([latents, embedding(labels) if embedded is None else embedded], -1)

        x = nn.Dense(4 * 4 * widths[0], kernel_init=orthogonal, name="affine")(condition)
        x = x.reshape(-1, 1, 4, 4, widths[0])  # one frame that stands for all: the same input at every frame
        # A ConvGRU is as wide as its input, which the group before it gives.
        initial = [None] * len(widths[1:])
        if config.conditioning_frames:
            initial = ConditioningEncoder(config, name="encoder")(conditioning, tuple(widths[:-1]))

        gru, block = ConvGRU, GBlock if config.blocks == "biggan" else GDeepBlock
        if config.remat:  # static: num_frames of (self, x, num_frames, initial), standing of (self, x, condition, standing)
            gru, block = nn.remat(gru, static_argnums=(2,)), nn.remat(block, static_argnums=(3,))
        for i, width in enumerate(widths[1:]):
            x = gru(x.shape[-1], name=f"gru_{i}")(x, config.num_frames, initial[i])
            for number, up in enumerate((False, True)):  # "we skip upsampling in the first block"
                # The first block of a group goes to the group's width.
                name = f"block_{i}_{number}"
                x = block(width, up, config.norm, config.block_norm, name=name)(x, condition, standing)
            if config.attention != "none" and x.shape[2] == config.attention_size:
                x = Attention(config.attention, name="attention")(x)

        if config.final_norm:
            x = AffineNorm(config.norm, name="final_norm")(x, standing)
        pixels = Conv2D(3, name="to_pixels")(fold_time(nn.relu(x)))
        # Pixels of bfloat16 features are float32: near 1 bfloat16 has steps of 1/256, and tanh's slope would be lost.
        pixels = pixels.astype(jnp.promote_types(pixels.dtype, jnp.float32))
        return jnp.tanh(pixels).reshape(*x.shape[:2], *pixels.shape[1:])
