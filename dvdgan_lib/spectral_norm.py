"""What is done to all weights of a network at once: orthogonal initialization and spectral norm (B.3).

Pure functions over the tree of parameters, applied once an update, outside the recurrence.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import lax

Params = dict  # a nested dict of arrays, as Linen makes it


def orthogonal_weights(params: Params, key: jax.Array) -> Params:
    """Draws all weights anew (whatever has two axes or more), orthogonal as the layers' own initializer has them (B.3).

    Weights of one shape share a decomposition, and all share a draw: a program that draws each by itself takes the compiler
    20 s for a laptop's model, and two to be loaded.
    """
    leaves, tree = jax.tree.flatten(params)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, leaf in enumerate(leaves):
        if leaf.ndim > 1:
            groups.setdefault((leaf.size // leaf.shape[-1], leaf.shape[-1]), []).append(i)
    drawn = jax.random.normal(key, (sum(leaf.size for leaf in leaves if leaf.ndim > 1),), leaves[0].dtype)
    start = 0
    for (rows, columns), members in groups.items():
        end = start + len(members) * rows * columns
        q, r = jnp.linalg.qr(drawn[start:end].reshape(-1, max(rows, columns), min(rows, columns)))
        q = q * jnp.sign(jnp.diagonal(r, axis1=1, axis2=2))[:, None]  # or some rotations would be likelier than others
        for i, weight in zip(members, q if rows >= columns else q.swapaxes(1, 2), strict=True):
            leaves[i] = weight.reshape(leaves[i].shape)
        start = end
    return jax.tree.unflatten(tree, leaves)


def is_weight(path: str) -> bool:
    """Whether a parameter is one of "all weight layers": every kernel, and the class embedding of D (not that of G)."""
    return path.endswith(("kernel", "projection/embedding"))


def _matrix(weight: jax.Array) -> jax.Array:
    """[..., C_out] -> [fan_in, C_out]: spectral norm is that of the kernel as a matrix (Miyato et al. 2018)."""
    return weight.reshape(-1, weight.shape[-1])


def _unit(vector: jax.Array) -> jax.Array:
    return vector / (jnp.linalg.norm(vector) + 1e-12)


def _flat(params: Params) -> dict[str, jax.Array]:
    return flatten_dict(params, sep="/")


def init_spectral_vectors(params: Params, key: jax.Array) -> dict[str, jax.Array]:
    """A random unit vector u [C_out] for each weight, by the weight's path."""
    weights = {path: w for path, w in sorted(_flat(params).items()) if is_weight(path)}
    drawn = jax.random.normal(key, (sum(w.shape[-1] for w in weights.values()),))  # at once, as the weights
    ends = np.cumsum([w.shape[-1] for w in weights.values()])
    return {path: _unit(drawn[end - w.shape[-1] : end]) for end, (path, w) in zip(ends, weights.items(), strict=True)}


def spectral_normalize(params: Params, vectors: dict[str, jax.Array], update: bool) -> tuple[Params, dict[str, jax.Array]]:
    """Divides each weight by an estimate of its largest singular value (B.3; Miyato et al. 2018, algorithm 1).

    One step of power iteration, v = W u / |W u| and u' = W'v / |W'v|, gives sigma = v' W u'. The gradient goes through W
    in sigma, not through u and v. Called once for an update, before `apply` and thus outside the recurrence: the ConvGRU
    has the same weights at every frame.

    Args:
      params: nested dict of parameters.
      vectors: what `init_spectral_vectors` made, or what an earlier call gave.
      update: whether u moves on. False (D in the step of G, G in the step of D, and sampling) uses u as it is.

    Returns:
      (normalised parameters, vectors), both shaped as the arguments.
    """
    flat, new_vectors = _flat(params), {}
    for path, u in vectors.items():
        matrix = _matrix(flat[path])
        fixed = lax.stop_gradient(matrix)
        v = _unit(fixed @ u)
        if update:
            u = _unit(v @ fixed)
        flat[path] = flat[path] / (v @ matrix @ u)
        new_vectors[path] = u
    return unflatten_dict(flat, sep="/"), new_vectors


def largest_singular_value(params: Params, vectors: dict[str, jax.Array]) -> jax.Array:
    """The largest over all weights of `spectral_normalize`'s estimate, a scalar: that of the weights before its division.

    params, vectors: as they were given to it; in one program its products are then computed once only.
    """
    flat = _flat(params)
    return jnp.stack(
        [jnp.linalg.norm(_unit(_matrix(flat[path]) @ u) @ _matrix(flat[path])) for path, u in vectors.items()]
    ).max()
