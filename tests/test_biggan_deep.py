"""BigGAN-deep's residual blocks against NumPy (appendix D)."""

import jax
import numpy as np
import numpy_reference as reference
import pytest

from dvdgan_lib.biggan_deep import DDeepBlock, GDeepBlock


def initialised(module, *arguments):
    """Orthogonal kernels, and biases that are not zero."""
    params = jax.jit(module.init, static_argnums=3)(jax.random.key(0), *arguments)["params"]
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda p: np.asarray(p) + 0.3 * rng.normal(size=p.shape).astype(np.float32), params)


def g_block(p, x, condition, features, up):
    """x [B, T, H, W, C] with batch norm; the numbers of channels are those of the kernels."""
    frames = lambda f, x: reference.each_frame(f, x.swapaxes(0, 1)).swapaxes(0, 1)  # noqa: E731
    h = x.astype(np.float64)
    for i in (1, 2, 3, 4):
        normed, _ = reference.batch_norm(h.swapaxes(0, 1))
        gain = (1 + condition @ p[f"norm_{i}"]["gain"]["kernel"])[:, None, None, None]
        bias = (condition @ p[f"norm_{i}"]["bias"]["kernel"])[:, None, None, None]
        h = reference.relu(normed.swapaxes(0, 1) * gain + bias)
        if up and i == 2:
            h = frames(reference.double, h)
        conv = p[f"conv_{i}"]
        h = frames(lambda f, conv=conv: reference.conv(f, conv["kernel"], conv["bias"]), h)
    shortcut = x[..., :features]
    return h + (frames(reference.double, shortcut) if up else shortcut)


@pytest.mark.parametrize(("features", "up"), [(8, False), (6, True)])
def test_g_block_equals_numpy(features, up):
    rng = np.random.default_rng(0)
    x, condition = rng.normal(size=(2, 3, 4, 4, 8)).astype(np.float32), rng.normal(size=(2, 5)).astype(np.float32)
    block = GDeepBlock(features, up)
    params = initialised(block, x, condition, False)
    assert [params[f"conv_{i}"]["kernel"].shape for i in (1, 2, 3, 4)] == [
        (1, 1, 8, 2),
        (3, 3, 2, 2),
        (3, 3, 2, 2),
        (1, 1, 2, features),
    ]
    found = jax.jit(block.apply, static_argnums=3)({"params": params}, x, condition, False)
    np.testing.assert_allclose(found, g_block(params, x, condition, features, up), atol=2e-3)


def d_block(p, x, down, first, pool):
    convolve = lambda name, x: reference.conv(x, p[name]["kernel"], p[name]["bias"])  # noqa: E731
    h = convolve("conv_1", x if first else reference.relu(x))
    h = convolve("conv_2", reference.relu(h))
    h = reference.relu(convolve("conv_3", reference.relu(h)))
    shortcut = x[..., : p["conv_4"]["bias"].size]  # more channels than wanted: pixels at a tiny width
    if down:
        h, shortcut = pool(h), pool(shortcut)
    if "conv_shortcut" in p:
        shortcut = np.concatenate([shortcut, convolve("conv_shortcut", shortcut)], -1)
    return convolve("conv_4", h) + shortcut


@pytest.mark.parametrize("time", [False, True])
@pytest.mark.parametrize(("features", "down", "first"), [(12, True, True), (8, False, False), (4, True, False)])
def test_d_block_equals_numpy(time, features, down, first):
    shape = (2, 5, 4, 4, 8) if time else (2, 4, 4, 8)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    block = DDeepBlock(features, down, first, time)
    params = initialised(block, x)
    assert params["conv_2"]["kernel"].shape == (3,) * (3 if time else 2) + (features // 4,) * 2
    assert ("conv_shortcut" in params) == (features > 8)

    def pool_3d(x):
        return np.stack([reference.pool(clip) for clip in reference.pool_time(x)])

    wanted = d_block(params, x, down, first, pool_3d if time else reference.pool)
    np.testing.assert_allclose(jax.jit(block.apply)({"params": params}, x), wanted, atol=1e-3)
