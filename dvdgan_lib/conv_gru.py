"""The Convolutional Gated Recurrent Unit of appendix B.2."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from dvdgan_lib.convolution import conv2d, kernel_gradient
from dvdgan_lib.devices import target_platform
from dvdgan_lib.layers import fold_time, orthogonal


def _gates(from_x: jax.Array, h: jax.Array, of_h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """r and u, each [B, H, W, C], from the x part of all three gates [B, H, W, 3C] and h [B, H, W, C]."""
    c = h.shape[-1]
    both = nn.sigmoid(conv2d(h, of_h) + from_x[..., : 2 * c])
    return both[..., :c], both[..., c:]


def _step(h: jax.Array, from_x: jax.Array, of_h: jax.Array, candidate_of_rh: jax.Array) -> tuple[jax.Array, tuple]:
    r, u = _gates(from_x, h, of_h)
    candidate = nn.relu(conv2d(r * h, candidate_of_rh) + from_x[..., 2 * h.shape[-1] :])
    return u * h + (1.0 - u) * candidate, (r, u, candidate)


@jax.custom_vjp
def _unrolled(from_x: jax.Array, initial: jax.Array, of_h: jax.Array, candidate_of_rh: jax.Array) -> jax.Array:
    """The recurrence, written out frame by frame: [B, T, H, W, 3C], h_0, two kernels -> h of each frame [B, T, H, W, C].

    Convolutions in a loop are slow on the CPU, so that there is none; the gradient is written out too, because the kernels'
    then is one product over all frames, instead of a sum of T small ones: half the time, and a third of the program.
    """
    return _unrolled_forward(from_x, initial, of_h, candidate_of_rh)[0]


def _unrolled_forward(from_x: jax.Array, initial: jax.Array, of_h: jax.Array, candidate_of_rh: jax.Array) -> tuple:
    h, states, gates = initial, [], []
    for t in range(from_x.shape[1]):
        h, gate = _step(h, from_x[:, t], of_h, candidate_of_rh)
        states.append(h)
        gates.append(gate)
    return jnp.stack(states, 1), (initial, states, gates, of_h, candidate_of_rh)


def _unrolled_backward(saved: tuple, g: jax.Array) -> tuple:
    initial, states, gates, of_h, candidate_of_rh = saved
    turn = lambda kernel: kernel[::-1, ::-1].swapaxes(2, 3)  # noqa: E731  the kernel of a convolution's transpose
    of_h_turned, candidate_turned = turn(of_h), turn(candidate_of_rh)
    before = [initial, *states[:-1]]
    d_h = jnp.zeros_like(initial)
    d_gates, d_candidates = [], []
    for t in reversed(range(len(states))):
        (r, u, candidate), h = gates[t], before[t]
        d_h = d_h + g[:, t]
        d_candidate = d_h * (1.0 - u) * (candidate > 0)
        d_rh = conv2d(d_candidate, candidate_turned)
        d_gate = jnp.concatenate([d_rh * h * r * (1.0 - r), d_h * (h - candidate) * u * (1.0 - u)], -1)
        d_h = d_h * u + d_rh * r + conv2d(d_gate, of_h_turned)
        d_gates.append(d_gate)
        d_candidates.append(d_candidate)
    d_gates, d_candidates = jnp.stack(d_gates[::-1], 1), jnp.stack(d_candidates[::-1], 1)
    h, r = jnp.stack(before, 1), jnp.stack([gate[0] for gate in gates], 1)
    size = of_h.shape[0]
    return (
        jnp.concatenate([d_gates, d_candidates], -1),
        d_h,
        kernel_gradient(fold_time(h), fold_time(d_gates), size),
        kernel_gradient(fold_time(r * h), fold_time(d_candidates), size),
    )


_unrolled.defvjp(_unrolled_forward, _unrolled_backward)


class ConvGRU(nn.Module):
    """The update rule of B.2, with ReLU (rho) for the candidate:

        r = sigmoid(W_r * [h; x] + b_r)        u = sigmoid(W_u * [h; x] + b_u)
        c = relu(W_c * [x; r . h] + b_c)       h' = u . h + (1 - u) . c

    A convolution of a concatenation is the sum of two convolutions. Those of x need no h, so they are done for all frames
    at once, and once only when x is the same at each frame; h alone stays in the recurrence.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, num_frames: int, initial: jax.Array | None = None) -> jax.Array:
        """Unrolls once a frame.

        Args:
          x: [B, T, H, W, C_in], or [B, 1, H, W, C_in] for the same input at every frame.
          num_frames: T.
          initial: h_0 [B, H, W, C], zeros if None.

        Returns:
          [B, T, H, W, C]: every h.
        """
        b, steps, height, width, c_in = x.shape
        c = self.features
        kernels, biases = {}, {}
        for gate in ("reset", "update", "candidate"):
            kernels[gate] = self.param(f"{gate}_kernel", orthogonal, (3, 3, c + c_in, c))
            biases[gate] = self.param(f"{gate}_bias", nn.initializers.zeros, (c,))
        # The order of the paper's brackets: [h; x] for r and u, [x; r . h] for c.
        of_h = jnp.concatenate([kernels["reset"][:, :, :c], kernels["update"][:, :, :c]], -1)
        candidate_of_rh = kernels["candidate"][:, :, c_in:]
        of_x = jnp.concatenate(
            [kernels["reset"][:, :, c:], kernels["update"][:, :, c:], kernels["candidate"][:, :, :c_in]], -1
        )
        bias = jnp.concatenate([biases["reset"], biases["update"], biases["candidate"]])
        from_x = conv2d(fold_time(x), of_x) + bias
        from_x = jnp.broadcast_to(from_x.reshape(b, steps, height, width, 3 * c), (b, num_frames, height, width, 3 * c))

        h = jnp.zeros((b, height, width, c), x.dtype) if initial is None else initial
        if target_platform() == "cpu":
            return _unrolled(from_x, h, of_h, candidate_of_rh)

        def step(h: jax.Array, frame: jax.Array) -> tuple[jax.Array, jax.Array]:
            h, _ = _step(h, frame, of_h, candidate_of_rh)
            return h, h

        return lax.scan(step, h, from_x.swapaxes(0, 1))[1].swapaxes(0, 1)
