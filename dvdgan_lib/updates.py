"""The two updates of training, as pure functions of one state (sections 2.2 and B.3).

A step is `d_updates` updates of D, each on a real batch of its own, then one of G. The two are jitted apart: XLA's CPU
compiler is slow on one large program, and the number of D updates stays a plain Python loop.

Data parallel: the batch is split over the devices of a mesh, the state is the same on each. XLA derives the rest from where
the batch starts out (the clips that are fed, the latents that are drawn), the all-reduces of batch norm and of the gradients
among it: what is computed doesn't depend on the number of devices.

Options for pods, by configuration (`TrainingConfig`): with `sharding = "sharded"` each device keeps its piece of the
weights, Adam's moments and the average, and an update gathers the weights once, after spectral norm; with `compute_dtype =
"bfloat16"` G and D work on bfloat16 copies of float32 weights; with `accumulation = n` the gradient of a batch is the mean
of those of its n parts, made one after another in a part's memory. Losses and gradients stay what they were but for one
thing: G's batch norm has the statistics of a part, as if the batch were that much smaller.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dvdgan_lib import devices, traced_programs
from dvdgan_lib.configuration import Experiment
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.generator import Generator
from dvdgan_lib.layers import from_pixels
from dvdgan_lib.objectives import discriminator_loss, generator_loss
from dvdgan_lib.spectral_norm import (
    Params,
    init_spectral_vectors,
    largest_singular_value,
    orthogonal_weights,
    spectral_normalize,
)


class State(NamedTuple):
    """All that training changes; one pytree, saved and restored whole."""

    step: jax.Array  # updates of G so far, int32 scalar
    g_params: Params
    d_params: Params
    g_vectors: dict[str, jax.Array]  # u of the spectral norms, by the weight's path
    d_vectors: dict[str, jax.Array]
    g_opt: optax.OptState
    d_opt: optax.OptState
    ema: Params  # moving average of g_params
    seed: jax.Array  # uint32 scalar; every random draw is a function of (seed, step, which update)


for _kind in (State, optax.ScaleByAdamState, optax.EmptyState):  # what `traced_programs` writes down
    jax.export.register_namedtuple_serialization(_kind, serialized_name=f"{_kind.__module__}.{_kind.__name__}")


def compiler_options(experiment: Experiment) -> dict[str, Any] | None:
    """What XLA is told for both updates; None is its own defaults.

    On a CPU level 1 makes programs as fast as the default in three quarters of the time. A smoke run takes four steps: there
    the compiler's time is what counts, not that of its programs.
    """
    if devices.target_platform() != "cpu":
        return None
    return {"xla_backend_optimization_level": 0 if experiment.preset == "smoke" else 1}


class Updates:
    """The updates of one experiment, jitted."""

    def __init__(self, experiment: Experiment, mesh: Mesh | None = None):
        """Compiles nothing yet. mesh: None is `devices.mesh`, all devices of this machine that can share a batch evenly."""
        self.experiment = experiment
        self.generator = Generator(experiment.model)
        self.discriminator = DualDiscriminator(experiment.model)
        t = experiment.training
        adam = lambda rate: optax.adam(rate, b1=t.beta1, b2=t.beta2, eps=t.epsilon)  # noqa: E731
        self.g_optimizer, self.d_optimizer = adam(t.g_learning_rate), adam(t.d_learning_rate)
        options = compiler_options(experiment)
        mesh = mesh or devices.mesh(t.batch_size // t.accumulation)
        self.split, self.replicated = devices.batch_sharding(mesh), devices.replicated(mesh)
        self._gather = None
        where: Any = self.replicated  # of the state's leaves: one for all, or each its own
        if t.sharding == "sharded":
            place = functools.partial(devices.weight_sharding, mesh)
            where = jax.tree.map(lambda x: place(x.shape), jax.eval_shape(self._init, np.uint32(0)))
            self._gather = functools.partial(devices.gathered, self.replicated, place)
        self.state_sharding = where
        # It runs once, and takes the compiler longer than it runs.
        once = {"xla_backend_optimization_level": 0} if devices.target_platform() == "cpu" else options
        self._traces: traced_programs.Traces | None = None
        self._jit_init = lambda f: jax.jit(f, out_shardings=where, compiler_options=once)
        self.init = self._jit_init(self._init)
        out = (where, self.replicated)
        self._jit = lambda f: jax.jit(f, donate_argnums=0, out_shardings=out, compiler_options=options)
        self.update_d, self.update_g = self._jit(self._update_d), self._jit(self._update_g)
        self._compiled = False

    def keep_traces(self) -> None:
        """From here on `init` and what `compile` traces are taken from `traced_programs` or left there for other starts."""
        self._traces = traced_programs.Traces(self.experiment)
        self.init = self._jit_init(self._traces.by_way_of("init", self.init, jax.ShapeDtypeStruct((), np.uint32)))

    @functools.cached_property
    def abstract_state(self) -> State:
        """Shapes, dtypes and shardings of the state, for restoring one; computes nothing."""
        abstract = lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)  # noqa: E731
        shapes = self.init.trace(np.uint32(0)).out_info  # which spares `init` its own tracing
        where = self.state_sharding
        return jax.tree.map(abstract, shapes, where if self._gather else jax.tree.map(lambda _: where, shapes))

    def _clips(self, frames: int) -> jax.ShapeDtypeStruct:
        m, b = self.experiment.model, self.experiment.training.batch_size
        return jax.ShapeDtypeStruct((b, frames, m.resolution, m.resolution, 3), np.uint8, sharding=self.split)

    def lower_d(self) -> jax.stages.Lowered:
        """The update of D, traced for batches of the experiment's size and ready to be compiled."""
        labels = jax.ShapeDtypeStruct((self.experiment.training.batch_size,), np.int32, sharding=self.split)
        clips = self._clips(self.experiment.model.clip_frames)
        return self._lower("update_d", self.abstract_state, clips, labels, jax.ShapeDtypeStruct((), np.int32))

    def lower_g(self) -> jax.stages.Lowered:
        """The update of G, traced for batches of the experiment's size and ready to be compiled."""
        c = self.experiment.model.conditioning_frames
        return self._lower("update_g", self.abstract_state, *([self._clips(c)] if c else []))

    def _lower(self, name: str, *arguments: Any) -> jax.stages.Lowered:
        update = getattr(self, name)
        if self._traces:
            update = self._jit(self._traces.by_way_of(name, update, *arguments))
        return update.lower(*arguments)

    def compile(self) -> None:
        """Compiles both updates, for batches of the experiment's size; without it each is compiled by its first call.

        XLA compiles, and loads what it has compiled before, outside Python's lock: it does one update while Python still
        traces the other, and both at once where nothing is cached.
        """
        if self._compiled:
            return
        with ThreadPoolExecutor() as pool:
            g = pool.submit(self.lower_g().compile)
            d = pool.submit(self.lower_d().compile)
            self.update_g, self.update_d = g.result(), d.result()
        self._compiled = True

    def _init(self, seed: jax.Array) -> State:
        """The state before the first step. seed: uint32 scalar."""
        m = self.experiment.model
        keys = jax.random.split(jax.random.key(seed), 6)
        latents, labels = jnp.zeros((1, m.latent_dim)), jnp.zeros((1,), jnp.int32)
        video = jnp.zeros((1, m.clip_frames, m.resolution, m.resolution, 3))
        conditioning = video[:, : m.conditioning_frames] if m.conditioning_frames else None
        g_params = self.generator.init(keys[0], latents, labels, conditioning=conditioning)["params"]
        d_params = self.discriminator.init(keys[1], video, labels, keys[1])["params"]
        # XLA drops the weights that these drew, each by a program of its own.
        g_params, d_params = orthogonal_weights(g_params, keys[4]), orthogonal_weights(d_params, keys[5])
        return State(
            step=jnp.zeros((), jnp.int32),
            g_params=g_params,
            d_params=d_params,
            g_vectors=init_spectral_vectors(g_params, keys[2]),
            d_vectors=init_spectral_vectors(d_params, keys[3]),
            g_opt=self.g_optimizer.init(g_params),
            d_opt=self.d_optimizer.init(d_params),
            ema=jax.tree.map(jnp.copy, g_params),
            seed=jnp.asarray(seed, jnp.uint32),
        )

    def _draw(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Latents N(0, I) [B, latent_dim] and uniform labels [B] of a batch of fakes."""
        m, b = self.experiment.model, self.experiment.training.batch_size
        latents_key, labels_key = jax.random.split(key)
        drawn = (
            jax.random.normal(latents_key, (b, m.latent_dim)),
            jax.random.randint(labels_key, (b,), 0, m.num_classes),
        )
        return jax.lax.with_sharding_constraint(drawn, self.split)  # or every device would make the whole batch

    def _key(self, state: State, update: jax.typing.ArrayLike) -> jax.Array:
        """One key for each (seed, step, update); update d_updates is G's."""
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(state.seed), state.step), update)

    def _weights(self, normalized: Params) -> Params:
        """Normalised weights as G and D work with them: in the dtype of the features, and whole on every device."""
        weights = jax.tree.map(self._features, normalized)
        return self._gather(weights) if self._gather else weights

    def _features(self, x: jax.Array) -> jax.Array:
        """Floats in the dtype that G and D compute in; float32 (or in tests float64) stays as it is.

        Real clips and fakes go through it alike, so that D can't tell them apart by their digits.
        """
        return x.astype(jnp.bfloat16) if self.experiment.training.compute_dtype == "bfloat16" else x

    def _fake(self, g_params: Params, latents: jax.Array, labels: jax.Array, conditioning: jax.Array | None) -> jax.Array:
        """A batch of fakes as D sees them, [B, C+T, H, W, 3]: in prediction behind the frames that G was given (B.4)."""
        made, _ = self.generator.apply(
            {"params": g_params}, self._features(latents), labels, conditioning=conditioning, mutable=["batch_stats"]
        )
        made = self._features(made)
        return made if conditioning is None else jnp.concatenate([conditioning, made], axis=1)

    def _differentiate(
        self, loss: Callable[..., tuple[jax.Array, tuple]], params: Params, batch: tuple, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array], Any, Params]:
        """Value and gradient of a mean over the batch, its parts one after another where there are several.

        Args:
          loss: (params, a part of the batch, a key of its own) -> (value, (new vectors, scores [B] in any pytree)).
          params: to differentiate for.
          batch: pytree of arrays [B, ...].
          key: of the random draws in `loss`.

        Returns:
          (value, vectors, scores of the whole batch, gradient). The vectors don't depend on the part.
        """
        differentiate, n = jax.value_and_grad(loss, has_aux=True), self.experiment.training.accumulation
        if n == 1:
            (value, (vectors, scores)), gradient = differentiate(params, batch, key)
            return value, vectors, scores, gradient
        # Every n-th clip makes a part, so that each device has as many of every part.
        where = NamedSharding(self.split.mesh, PartitionSpec(None, *self.split.spec))

        def split(x: jax.Array) -> jax.Array:
            return jax.lax.with_sharding_constraint(jnp.moveaxis(x.reshape(-1, n, *x.shape[1:]), 1, 0), where)

        def add(total: Params, part: tuple) -> tuple[Params, tuple]:
            result, gradient = differentiate(params, *part)
            return jax.tree.map(jnp.add, total, gradient), result

        parts = (jax.tree.map(split, batch), jax.random.split(key, n))
        total, (values, (vectors, scores)) = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), parts)
        first = jax.tree.map(lambda x: x[0], vectors)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), scores)
        return values.mean(), first, flat, jax.tree.map(lambda g: g / n, total)

    def _update_d(
        self, state: State, video: jax.Array, labels: jax.Array, update: jax.typing.ArrayLike
    ) -> tuple[State, dict[str, jax.Array]]:
        """One update of D.

        Args:
          state: donated.
          video: real clips, uint8 [B, C+T, H, W, 3].
          labels: [B], int; in prediction without effect: "the class id of all samples" is 0 (B.4).
          update: which of the step's D updates this is, from 0.

        Returns:
          (new state, scalars to log).
        """
        draw_key, d_key = jax.random.split(self._key(state, update))
        latents, fake_labels = self._draw(draw_key)
        real, conditioning = self._features(from_pixels(video)), None
        if c := self.experiment.model.conditioning_frames:
            conditioning, labels = real[:, :c], jnp.zeros_like(labels)
        g_params, _ = spectral_normalize(state.g_params, state.g_vectors, update=False)
        g_weights = self._weights(g_params)

        def loss(d_params: Params, part: tuple, key: jax.Array) -> tuple[jax.Array, tuple]:
            real, labels, latents, fake_labels, conditioning = part
            fake = self._fake(g_weights, latents, fake_labels, conditioning)
            # One pass over real and fake together: D has no batch statistics, so that the scores are the same. They
            # alternate, so that each clip stays on its device.
            alternate = lambda a, b: jnp.stack([a, b], 1).reshape(-1, *a.shape[1:])  # noqa: E731
            both = alternate(real, jax.lax.stop_gradient(fake))
            both_labels = alternate(labels, fake_labels)
            normalized, vectors = spectral_normalize(d_params, state.d_vectors, update=True)
            scores = self.discriminator.apply({"params": self._weights(normalized)}, both, both_labels, key)
            on_real = {d: s[0::2] for d, s in scores.items()}
            on_fake = {d: s[1::2] for d, s in scores.items()}
            return discriminator_loss(on_real, on_fake), (vectors, (on_real, on_fake))

        batch = (real, labels, latents, fake_labels, conditioning)
        value, vectors, (on_real, on_fake), gradient = self._differentiate(loss, state.d_params, batch, d_key)
        change, d_opt = self.d_optimizer.update(gradient, state.d_opt)
        metrics = {
            "d_loss": value,
            "d_gradient_norm": optax.global_norm(gradient),
            "d_singular_value": largest_singular_value(state.d_params, state.d_vectors),
        }
        for d in on_real:
            metrics[f"{d}_real"], metrics[f"{d}_fake"] = on_real[d].mean(), on_fake[d].mean()
            # The share of clips on the right side of 0, real and fake each counting half.
            metrics[f"{d}_accuracy"] = ((on_real[d] > 0).mean() + (on_fake[d] < 0).mean()) / 2
        params = optax.apply_updates(state.d_params, change)
        return state._replace(d_params=params, d_vectors=vectors, d_opt=d_opt), metrics

    def _update_g(self, state: State, given: jax.Array | None = None) -> tuple[State, dict[str, jax.Array]]:
        """One update of G and of its moving average; the step number goes up by one.

        Args:
          state: donated.
          given: in prediction the real frames to go on from, uint8 [B, C, H, W, 3].

        Returns:
          (new state, scalars to log).
        """
        t = self.experiment.training
        draw_key, d_key = jax.random.split(self._key(state, t.d_updates))
        latents, labels = self._draw(draw_key)
        d_params, _ = spectral_normalize(state.d_params, state.d_vectors, update=False)
        d_params = self._weights(d_params)
        conditioning = None if given is None else self._features(from_pixels(given))

        def loss(g_params: Params, part: tuple, key: jax.Array) -> tuple[jax.Array, tuple]:
            latents, labels, conditioning = part
            normalized, vectors = spectral_normalize(g_params, state.g_vectors, update=True)
            fake = self._fake(self._weights(normalized), latents, labels, conditioning)
            return generator_loss(self.discriminator.apply({"params": d_params}, fake, labels, key)), (vectors, ())

        batch = (latents, labels, conditioning)
        value, vectors, _, gradient = self._differentiate(loss, state.g_params, batch, d_key)
        change, g_opt = self.g_optimizer.update(gradient, state.g_opt)
        g_params = optax.apply_updates(state.g_params, change)
        step = state.step + 1
        # "accumulated with decay 0.9999 starting after 20,000 training steps": until then it is a copy of the weights.
        rate = jnp.where(step > t.ema_start, 1.0 - t.ema_decay, 1.0)
        ema = optax.incremental_update(g_params, state.ema, rate)
        metrics = {
            "g_loss": value,
            "g_gradient_norm": optax.global_norm(gradient),
            "g_singular_value": largest_singular_value(state.g_params, state.g_vectors),
            # How far the average is from the weights, beside their size.
            "ema_distance": optax.global_norm(jax.tree.map(jnp.subtract, ema, g_params)) / optax.global_norm(g_params),
        }
        return state._replace(step=step, g_params=g_params, g_vectors=vectors, g_opt=g_opt, ema=ema), metrics
