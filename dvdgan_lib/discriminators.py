"""The two discriminators D_S and D_T (section 3.1, Figure 3 right, appendix B.2)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from dvdgan_lib.experiments import ModelConfig
from dvdgan_lib.layers import DBlock, DBlock3D, average_pool, fold_time, orthogonal

PHI = ("pool2", "pool4", "identity", "crop")


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
    if kind == "crop":
        b, t, h, w, c = video.shape
        tops = jax.random.randint(key, (b, 2), 0, jnp.array([h // 2 + 1, w // 2 + 1]))
        window = lambda clip, top: jax.lax.dynamic_slice(  # noqa: E731
            clip, (0, top[0], top[1], 0), (t, h // 2, w // 2, c)
        )
        return jax.vmap(window)(video, tops)
    pooled = average_pool(fold_time(video), {"pool2": 2, "pool4": 4}[kind])
    return pooled.reshape(*video.shape[:2], *pooled.shape[1:])


def sample_frames(video: jax.Array, k: int, key: jax.Array) -> jax.Array:
    """k frames of each video, uniformly and without replacement: [B, T, H, W, 3] -> [B, k, H, W, 3] (section 3.1)."""
    b, t = video.shape[:2]
    frames = jax.vmap(lambda key: jax.random.permutation(key, t)[:k])(jax.random.split(key, b))
    return jnp.take_along_axis(video, frames[:, :, None, None, None], axis=1)


class _Score(nn.Module):
    """BigGAN's head with projection conditioning (Miyato & Koyama 2018): ReLU, sum over space, w.h + b + e(y).h."""

    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array) -> jax.Array:
        """x [B, T, H, W, C], labels [B] -> scores [B, T], one a frame."""
        h = nn.relu(x).sum((2, 3))
        embedding = nn.Embed(self.num_classes, x.shape[-1], embedding_init=orthogonal, name="projection")(labels)
        return nn.Dense(1, kernel_init=orthogonal, name="score")(h)[..., 0] + jnp.einsum("btc,bc->bt", h, embedding)


class SpatialDiscriminator(nn.Module):
    """D_S: judges k single frames at full resolution; the score is the sum over frames."""

    config: ModelConfig

    @nn.compact
    def __call__(self, frames: jax.Array, labels: jax.Array) -> jax.Array:
        """frames [B, k, H, W, 3] in [-1, 1], labels [B] -> [B]."""
        x = fold_time(frames)
        for i, constant in enumerate(self.config.d_widths):
            last = i == len(self.config.d_widths) - 1
            x = DBlock(self.config.ch * constant, down=not last, first=i == 0, name=f"block_{i}")(x)
        x = x.reshape(*frames.shape[:2], *x.shape[1:])
        return _Score(self.config.num_classes, name="head")(x, labels).sum(1)


class TemporalDiscriminator(nn.Module):
    """D_T: judges phi(video); its first two blocks are 3-D, the others see each frame alone, as in D_S.

    Its score is the mean over the frames that are left: an assumption (`paper.ASSUMPTIONS`).
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, video: jax.Array, labels: jax.Array) -> jax.Array:
        """phi(video) [B, T, H', W', 3] in [-1, 1], labels [B] -> [B]."""
        x = video
        for i, constant in enumerate(self.config.d_widths):
            width = self.config.ch * constant
            # As many halvings as D_S has, but none of a frame that is a single pixel already (phi = 4x4 pooling).
            down = i < len(self.config.d_widths) - 1 and x.shape[2] > 1
            name = f"block_{i}"
            if i < 2:
                x = DBlock3D(width, down, first=i == 0, name=name)(x)
            else:
                folded = DBlock(width, down, name=name)(fold_time(x))
                x = folded.reshape(*x.shape[:2], *folded.shape[1:])
        return _Score(self.config.num_classes, name="head")(x, labels).mean(1)


class DualDiscriminator(nn.Module):
    """D_S and D_T side by side: one module, so that they share one parameter tree and one update."""

    config: ModelConfig

    @nn.compact
    def __call__(self, video: jax.Array, labels: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        """Scores a batch.

        Args:
          video: [B, T, H, W, 3], float in [-1, 1].
          labels: [B], int.
          key: draws the k frames of D_S, and the windows of phi = "crop".

        Returns:
          {"spatial": [B], "temporal": [B]}; the ablations `no_ds` and `no_dt` lack one.
        """
        frames_key, phi_key = jax.random.split(key)
        scores = {}
        if self.config.spatial_discriminator:
            frames = sample_frames(video, self.config.k, frames_key)
            scores["spatial"] = SpatialDiscriminator(self.config, name="spatial")(frames, labels)
        if self.config.temporal_discriminator:
            small = phi(video, self.config.phi, phi_key)
            scores["temporal"] = TemporalDiscriminator(self.config, name="temporal")(small, labels)
        return scores
