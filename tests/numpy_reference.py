"""The model of appendix B.2 in plain NumPy, float64: what the tests compare with.

Written from the paper's text, one sum at a time and without any of the library's shortcuts: convolutions of
concatenations, shortcuts convolved after upsampling and before pooling, every frame on its own. Parameters are the
library's nested dict.
"""

import numpy as np


def conv(x, kernel, bias=0.0):
    """Any number of spatial axes, stride 1, zero padding: [N, *S, C_in], [*K, C_in, C_out] -> [N, *S, C_out]."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    sizes = kernel.shape[:-2]
    padded = np.pad(x, [(0, 0), *[(k // 2, k // 2) for k in sizes], (0, 0)])
    out = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for offset in np.ndindex(*sizes):
        window = tuple(slice(o, o + n) for o, n in zip(offset, x.shape[1:-1], strict=True))
        out += padded[(slice(None), *window)] @ kernel[offset]
    return out + np.asarray(bias, np.float64)


def relu(x):
    return np.maximum(x, 0.0)


def sigmoid(x):
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def double(x):
    """Each pixel of [N, H, W, C] four times."""
    return np.kron(x, np.ones((1, 2, 2, 1)))


def pool(x, size=2):
    """Mean of each size x size cell of [N, H, W, C]."""
    n, h, w, c = x.shape
    out = np.empty((n, h // size, w // size, c))
    for i, j in np.ndindex(h // size, w // size):
        out[:, i, j] = x[:, i * size : (i + 1) * size, j * size : (j + 1) * size].mean((1, 2))
    return out


def pool_time(x):
    """Mean of each pair of frames of [B, T, ...]; a last one without a partner stays."""
    t = x.shape[1]
    return np.stack([x[:, i : i + 2].mean(1) for i in range(0, t, 2)], 1)


def each_frame(function, x):
    """Applies a function of [N, ...] to every frame of [T, N, ...]."""
    return np.stack([function(frame) for frame in x])


def conv_gru(p, x, h):
    """B.2's update rule: x [T, B, H, W, C_in], h_0 [B, H, W, C] -> [T, B, H, W, C]."""
    out = []
    for x_t in np.asarray(x, np.float64):
        both = np.concatenate([h, x_t], -1)
        r = sigmoid(conv(both, p["reset_kernel"], p["reset_bias"]))
        u = sigmoid(conv(both, p["update_kernel"], p["update_bias"]))
        c = relu(conv(np.concatenate([x_t, r * h], -1), p["candidate_kernel"], p["candidate_bias"]))
        h = u * h + (1.0 - u) * c
        out.append(h)
    return np.stack(out)


def batch_norm(x, statistics=None, epsilon=1e-5):
    """Per time step: x [T, B, H, W, C] -> (normalised, {"mean", "mean_square"} [T, C] of the input)."""
    own = {"mean": x.mean((1, 2, 3)), "mean_square": (x**2).mean((1, 2, 3))}
    used = own if statistics is None else {k: np.asarray(v, np.float64) for k, v in statistics.items()}
    mean = used["mean"][:, None, None, None]
    variance = used["mean_square"][:, None, None, None] - mean**2
    return (x - mean) / np.sqrt(variance + epsilon), own


def encoder(p, conditioning, states):
    """DVD-GAN-FP's encoder (B.4): [B, C, H, W, 3] -> h_0 of the `states` ConvGRUs, from 4x4 upwards."""
    blocks = sum(name.startswith("block_") for name in p)
    per_size = {}
    for frame in np.asarray(conditioning, np.float64).swapaxes(0, 1):  # "passes each frame separately"
        last_of_size = {}
        for i in range(blocks):
            frame = d_block(p[f"block_{i}"], frame, i < blocks - 1, i == 0, pool)
            last_of_size[frame.shape[1]] = frame
        for size, features in last_of_size.items():
            per_size.setdefault(size, []).append(features)
    initial = []
    for i in range(states):
        stacked = np.concatenate(per_size[4 * 2**i], -1)  # "stacked in the channel dimension"
        initial.append(relu(conv(stacked, p[f"to_state_{i}"]["kernel"], p[f"to_state_{i}"]["bias"])))
    return initial


def generator(params, latents, labels, num_frames, statistics=None, conditioning=None):
    """G with batch norm -> (video [B, T, H, W, 3], the batch's statistics, as the library's `batch_stats`)."""
    seen = {}

    def norm(x, gain, bias, *path):
        given = statistics
        for name in path:
            given = None if given is None else given[name]
        x, own = batch_norm(x, None if given is None else given["norm"])
        place = seen
        for name in path:
            place = place.setdefault(name, {})
        place["norm"] = own
        return x * gain + bias

    embedding = np.asarray(params["embedding"]["embedding"], np.float64)
    condition = np.concatenate([latents, embedding[labels]], -1)
    x = condition @ params["affine"]["kernel"] + params["affine"]["bias"]
    x = np.repeat(x.reshape(1, len(labels), 4, 4, -1), num_frames, 0)
    groups = sum(name.startswith("gru_") for name in params)
    initial = None if conditioning is None else encoder(params["encoder"], conditioning, groups)
    for i in range(groups):
        x = conv_gru(params[f"gru_{i}"], x, np.zeros(x.shape[1:]) if initial is None else initial[i])
        for block in (0, 1):
            p, name = params[f"block_{i}_{block}"], f"block_{i}_{block}"

            def conditional(x, which, p=p, name=name):
                gain = (1.0 + condition @ p[which]["gain"]["kernel"])[None, :, None, None]
                bias = (condition @ p[which]["bias"]["kernel"])[None, :, None, None]
                return norm(x, gain, bias, name, which)

            def convolve(x, which, p=p):
                return each_frame(lambda f: conv(f, p[which]["kernel"], p[which]["bias"]), x)

            up = (lambda x: each_frame(double, x)) if block == 1 else (lambda x: x)
            h = convolve(up(relu(conditional(x, "norm_1"))), "conv_1")
            h = convolve(relu(conditional(h, "norm_2")), "conv_2")
            shortcut = up(x)
            if "conv_shortcut" in p:
                shortcut = convolve(shortcut, "conv_shortcut")
            x = h + shortcut
    final = params["final_norm"]
    x = relu(norm(x, final["gain"], final["bias"], "final_norm"))
    pixels = each_frame(lambda f: conv(f, params["to_pixels"]["kernel"], params["to_pixels"]["bias"]), x)
    return np.tanh(pixels).swapaxes(0, 1), seen


def d_block(p, x, down, first, shrink):
    """D's residual block on [N, *S, C]; `shrink` is its pooling."""
    h = conv(x if first else relu(x), p["conv_1"]["kernel"], p["conv_1"]["bias"])
    h = conv(relu(h), p["conv_2"]["kernel"], p["conv_2"]["bias"])
    shortcut = x
    if "conv_shortcut" in p:
        shortcut = conv(x, p["conv_shortcut"]["kernel"], p["conv_shortcut"]["bias"])
    return shrink(h) + shrink(shortcut) if down else h + shortcut


def head(p, x, label):
    """Projection discriminator: features [H, W, C] of one frame, its class -> a score."""
    h = relu(x).sum((0, 1))
    return h @ p["score"]["kernel"][:, 0] + p["score"]["bias"][0] + h @ p["projection"]["embedding"][label]


def spatial_discriminator(p, frames, labels):
    """D_S: [B, k, H, W, 3] -> [B], the sum of the frames' scores."""
    blocks = sum(name.startswith("block_") for name in p)
    scores = np.zeros(len(frames))
    for b, clip in enumerate(frames):
        for frame in clip:
            x = np.asarray(frame, np.float64)[None]
            for i in range(blocks):
                x = d_block(p[f"block_{i}"], x, i < blocks - 1, i == 0, pool)
            scores[b] += head(p["head"], x[0], labels[b])
    return scores


def temporal_discriminator(p, video, labels):
    """D_T on phi(video) [B, T, H, W, 3] -> [B], the mean of the remaining frames' scores."""
    blocks = sum(name.startswith("block_") for name in p)

    def pool_3d(x):
        return np.stack([pool(clip) for clip in pool_time(x)])

    scores = np.zeros(len(video))
    for b, clip in enumerate(video):
        x = np.asarray(clip, np.float64)[None]
        for i in range(blocks):
            down = i < blocks - 1 and x.shape[2] > 1
            if i < 2:
                x = d_block(p[f"block_{i}"], x, down, i == 0, pool_3d)
            else:
                x = np.stack([d_block(p[f"block_{i}"], f[None], down, False, pool)[0] for f in x[0]])[None]
        scores[b] = np.mean([head(p["head"], frame, labels[b]) for frame in x[0]])
    return scores
