"""The two discriminators D_S and D_T (section 3.1, Figure 3 right, appendix B.2)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from dvdgan_lib.attention import Attention
from dvdgan_lib.biggan_deep import DDeepBlock
from dvdgan_lib.configuration import ModelConfig
from dvdgan_lib.layers import DBlock, DBlock3D, average_pool, fold_time, orthogonal


def phi(video: jax.Array, kind: str, key: jax.Array) -> jax.Array:
    """The spatial downsampling phi of D_T's input (sections 3.1 and 4.3).

    Args:
      video: [B, T, H, W, 3].
      kind: "pool2" or "pool4" for average pooling, "identity", or "crop": a window of half the height and width, one for a
        video and the same over its frames, drawn anew with each key.
      key: used by "crop" alone.

    Returns:
      [B, T, H', W', 3].
    """
    if kind == "identity":
        return video
    b, t, h, w, c = video.shape
    with jax.named_scope("phi"):
        if kind == "crop":
            tops = jax.random.randint(key, (b, 2), 0, jnp.array([h // 2 + 1, w // 2 + 1]))
            window = lambda clip, top: jax.lax.dynamic_slice(  # noqa: E731
                clip, (0, top[0], top[1], 0), (t, h // 2, w // 2, c)
            )
            return jax.vmap(window)(video, tops)
        pooled = average_pool(fold_time(video), {"pool2": 2, "pool4": 4}[kind])
        return pooled.reshape(b, t, *pooled.shape[1:])


def sample_frames(video: jax.Array, k: int, key: jax.Array) -> jax.Array:
    """k frames of each video, uniformly and without replacement: [B, T, H, W, 3] -> [B, k, H, W, 3] (section 3.1)."""
    b, t = video.shape[:2]
    with jax.named_scope("sample_frames"):
        frames = jax.vmap(lambda key: jax.random.permutation(key, t)[:k])(jax.random.split(key, b))
        return jnp.take_along_axis(video, frames[:, :, None, None, None], axis=1)


def _block(config: ModelConfig, i: int, down: bool, time: bool) -> nn.Module:
    """Block i of D_S, of D_T or of DVD-GAN-FP's encoder; `time` for the 3-D ones."""
    remat = nn.remat if config.remat else lambda block: block
    options = {"features": config.ch * config.d_widths[i], "down": down, "first": i == 0, "name": f"block_{i}"}
    if config.blocks == "biggan_deep":
        return remat(DDeepBlock)(time=time, **options)
    return remat(DBlock3D if time else DBlock)(**options)


def _attends(config: ModelConfig, size: int, down: bool) -> bool:
    """Whether attention follows a block whose frames have `size` pixels a side: once, after the block that made them so."""
    return config.attention != "none" and size == config.attention_size and down


def spatial_blocks(config: ModelConfig, x: jax.Array) -> list[jax.Array]:
    """The residual network of D_S on single frames, inside the module that calls it (B.2; B.4 has the same as encoder).

    Args:
      config: gives widths, kind of blocks, attention.
      x: frames [N, H, W, 3] in [-1, 1].

    Returns:
      The features after each block, [N, H', W', C]; every block halves but the last.
    """
    features = []
    for i in range(len(config.d_widths)):
        block = _block(config, i, down=i < len(config.d_widths) - 1, time=False)
        x = block(x)
        if _attends(config, x.shape[1], block.down):
            x = Attention(config.attention, name="attention")(x[:, None])[:, 0]
        features.append(x)
    return features


class Score(nn.Module):
    """BigGAN's head with projection conditioning (Miyato & Koyama 2018): ReLU, sum over space, w.h + b + e(y).h."""

    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array) -> jax.Array:
        """x [B, T, H, W, C], labels [B] -> scores [B, T], one a frame."""
        # Scores of bfloat16 features are float32: they are sums over a whole clip, which two digits would be too few for.
        h = nn.relu(x).sum((2, 3), dtype=jnp.promote_types(x.dtype, jnp.float32))
        embedding = nn.Embed(self.num_classes, x.shape[-1], embedding_init=orthogonal, name="projection")(labels)
        return nn.Dense(1, kernel_init=orthogonal, name="score")(h)[..., 0] + jnp.einsum("btc,bc->bt", h, embedding)


class SpatialDiscriminator(nn.Module):
    """D_S: judges k single frames at full resolution; the score is the sum over frames."""

    config: ModelConfig

    @nn.compact
    def __call__(self, frames: jax.Array, labels: jax.Array) -> jax.Array:
        """frames [B, k, H, W, 3] in [-1, 1], labels [B] -> [B]."""
        x = spatial_blocks(self.config, fold_time(frames))[-1]
        x = x.reshape(*frames.shape[:2], *x.shape[1:])
        return Score(self.config.num_classes, name="head")(x, labels).sum(1)


class TemporalDiscriminator(nn.Module):
    """D_T: judges phi(video); its first two blocks are 3-D, the others see each frame alone, as in D_S.

    Its score is the mean over the frames that are left: an assumption (`paper.ASSUMPTIONS`).
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, video: jax.Array, labels: jax.Array) -> jax.Array:
        """phi(video) [B, T, H', W', 3] in [-1, 1], labels [B] -> [B]."""
        config, x = self.config, video
        for i in range(len(config.d_widths)):
            # As many halvings as D_S has, but none of a frame that is a single pixel already (phi = 4x4 pooling).
            block = _block(config, i, down=i < len(config.d_widths) - 1 and x.shape[2] > 1, time=i < 2)
            if i < 2:
                x = block(x)
            else:
                folded = block(fold_time(x))
                x = folded.reshape(*x.shape[:2], *folded.shape[1:])
            if _attends(config, x.shape[2], block.down):
                x = Attention(config.attention, name="attention")(x)
        return Score(self.config.num_classes, name="head")(x, labels).mean(1)


class DualDiscriminator(nn.Module):
    """D_S and D_T side by side: one module, so that they share one parameter tree and one update."""

    config: ModelConfig

    @nn.compact
    def __call__(self, video: jax.Array, labels: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        """Scores a batch.

        Args:
          video: [B, T, H, W, 3], float in [-1, 1]; for prediction the C given frames and behind them the T that follow.
          labels: [B], int.
          key: draws the k frames of D_S, and the windows of phi = "crop".

        Returns:
          {"spatial": [B], "temporal": [B]}; the ablations `no_ds` and `no_dt` lack one.
        """
        frames_key, phi_key = jax.random.split(key)
        scores = {}
        if self.config.spatial_discriminator:
            # B.4: "we do not sample the first C frames for D_S on real or generated data".
            frames = sample_frames(video[:, self.config.conditioning_frames :], self.config.k, frames_key)
            scores["spatial"] = SpatialDiscriminator(self.config, name="spatial")(frames, labels)
        if self.config.temporal_discriminator:
            small = phi(video, self.config.phi, phi_key)
            scores["temporal"] = TemporalDiscriminator(self.config, name="temporal")(small, labels)
        return scores
