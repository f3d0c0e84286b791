"""Mistakes that the tests must find: each is put into a copy of the library, where the tests named beside it must fail.

    make mutants                          all of them
    .venv/bin/python tests/mutants.py u   those whose name contains "u"

`make test` runs `test_mutants.py` only, which checks this list against the sources without running anything. A mutant that
survives wants a sharper test. What changes no number is no mistake, and so it isn't here: without the `stop_gradient` around
D's fakes, for one, nothing would differ, since D's gradient is taken of D's weights alone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("dvdgan_lib", "tests", "pyproject.toml")
TIMEOUT = 900  # seconds, should a mistake make an endless loop
# A plugin of pytest: the same examples each time, and none of a failure made smaller, which takes long where shapes compile.
HYPOTHESIS_SETTINGS = """
from hypothesis import Phase, settings
settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), derandomize=True)
settings.load_profile("mutants")
"""


@dataclass(frozen=True)
class Mutant:
    """One mistake, and who finds it."""

    name: str  # the mistake in words
    file: str  # in dvdgan_lib/
    old: str  # occurs exactly once in the file
    new: str
    tests: tuple[
        str, ...
    ]  # in tests/; one or two, specific and quick; each must fail, in one of its cases if it has several


SPECTRAL_NORM = [
    Mutant(
        "sigma without power iteration",
        "spectral_norm.py",
        "u = _unit(v @ fixed)",
        "u = u * 1.0",
        ("test_spectral_norm.py::test_repeated_updates_bring_every_weight_to_spectral_norm_one",),
    ),
    Mutant(
        "two power iterations an update",
        "spectral_norm.py",
        "        v = _unit(fixed @ u)\n",
        "        v = _unit(fixed @ (_unit(_unit(fixed @ u) @ fixed) if update else u))\n",
        (
            "test_spectral_norm.py::test_one_call_is_one_power_iteration",
            "test_updates.py::test_sigma_is_of_the_new_u_in_the_own_step_and_of_u_as_it_is_in_the_others",
        ),
    ),
    Mutant(
        "u of a ConvGRU moves once a frame",
        "spectral_norm.py",
        "        v = _unit(fixed @ u)\n",
        "        for _ in range(3 if update and 'gru' in path else 1):\n"
        "            v = _unit(fixed @ u)\n"
        "            u = _unit(v @ fixed) if update and 'gru' in path else u\n",
        ("test_updates.py::test_u_moves_by_one_power_iteration_an_update_however_many_frames[g]",),
    ),
    Mutant(
        "u moves in evaluation",
        "spectral_norm.py",
        "        if update:\n            u =",
        "        if True:\n            u =",
        (
            "test_spectral_norm.py::test_without_update_no_vector_moves",
            "test_updates.py::test_sigma_is_of_the_new_u_in_the_own_step_and_of_u_as_it_is_in_the_others",
        ),
    ),
    Mutant(
        "sigma is the Frobenius norm",
        "spectral_norm.py",
        "flat[path] / (v @ matrix @ u)",
        "flat[path] / jnp.linalg.norm(matrix)",
        ("test_spectral_norm.py::test_repeated_updates_bring_every_weight_to_spectral_norm_one",),
    ),
    Mutant(
        "spectral norm of a kernel whose matrix is scrambled",
        "spectral_norm.py",
        "weight.reshape(-1, weight.shape[-1])",
        "weight.reshape(weight.shape[-1], -1).T",
        ("test_spectral_norm.py::test_one_call_is_one_power_iteration",),
    ),
    Mutant(
        "spectral norm leaves out the ConvGRU",
        "spectral_norm.py",
        'path.endswith(("kernel", "projection/embedding"))',
        'path.endswith(("/kernel", "projection/embedding"))',
        ("test_spectral_norm.py::test_biases_gains_and_the_embedding_of_g_stay_as_they_are",),
    ),
    Mutant(
        "spectral norm leaves out D's class embedding",
        "spectral_norm.py",
        'path.endswith(("kernel", "projection/embedding"))',
        'path.endswith("kernel")',
        ("test_spectral_norm.py::test_biases_gains_and_the_embedding_of_g_stay_as_they_are",),
    ),
    Mutant(
        "spectral norm takes G's class embedding, too",
        "spectral_norm.py",
        'path.endswith(("kernel", "projection/embedding"))',
        'path.endswith(("kernel", "embedding"))',
        ("test_spectral_norm.py::test_biases_gains_and_the_embedding_of_g_stay_as_they_are",),
    ),
    Mutant(
        "sigma is a constant to the gradient",
        "spectral_norm.py",
        "(v @ matrix @ u)",
        "(v @ fixed @ u)",
        ("test_spectral_norm.py::test_gradient_passes_through_sigma",),
    ),
    Mutant(
        "the gradient passes through u and v",
        "spectral_norm.py",
        "fixed = lax.stop_gradient(matrix)",
        "fixed = matrix",
        ("test_spectral_norm.py::test_gradient_does_not_pass_through_u_and_v",),
    ),
]

LAYERS = [
    Mutant(
        "kernels start from a normal distribution",
        "layers.py",
        "orthogonal = nn.initializers.orthogonal()",
        "orthogonal = nn.initializers.normal()",
        ("test_layers.py::test_initial_kernels_are_orthogonal",),
    ),
    Mutant(
        "initial weights keep the signs of LAPACK's decomposition",
        "spectral_norm.py",
        "q = q * jnp.sign(jnp.diagonal(r, axis1=1, axis2=2))[:, None]",
        "q = q * 1.0",
        ("test_spectral_norm.py::test_weights_drawn_together_are_orthogonal_and_of_either_sign",),
    ),
    Mutant(
        "weights of one shape are the same",
        "spectral_norm.py",
        "for i, weight in zip(members, q if rows >= columns else q.swapaxes(1, 2), strict=True):",
        "for i, weight in zip(members, [(q if rows >= columns else q.swapaxes(1, 2))[0]] * len(members), strict=True):",
        ("test_spectral_norm.py::test_weights_drawn_together_are_orthogonal_and_of_either_sign",),
    ),
    Mutant(
        "pixels go from 0 to 1",
        "layers.py",
        "astype(jnp.float32) / 127.5 - 1.0",
        "astype(jnp.float32) / 255.0",
        (
            "test_layers.py::test_pixels_become_minus_one_to_one",
            "test_updates.py::test_d_judges_real_clips_and_fakes_each_under_its_own_label",
        ),
    ),
    Mutant(
        "upsampling tiles the frame",
        "layers.py",
        "jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)",
        "jnp.tile(x, (1, 2, 2, 1))",
        ("test_layers.py::test_upsampling_and_pooling_equal_numpy",),
    ),
    Mutant(
        "an odd last frame is pooled with zeros",
        "layers.py",
        "jnp.concatenate([x, x[:, -1:]], axis=1)",
        "jnp.concatenate([x, 0 * x[:, -1:]], axis=1)",
        ("test_layers.py::test_pooling_over_time_equals_numpy",),
    ),
    Mutant(
        "3-D pooling leaves time alone",
        "layers.py",
        "x = average_pool_time(x)",
        "x = x * 1.0",
        ("test_layers.py::test_3d_d_block_equals_numpy",),
    ),
    Mutant(
        "batch norm reduces over time",
        "layers.py",
        'axes = (0, 2, 3) if self.kind == "batch" else (0, 1, 2, 3)\n            steps = t if self.kind == "batch" else 1',
        "axes, steps = (0, 1, 2, 3), 1",
        (
            "test_layers.py::test_a_changed_frame_moves_no_other_through_batch_norm",
            "test_layers.py::test_batch_norm_normalises_each_time_step",
        ),
    ),
    Mutant(
        "batch norm does not reduce over the batch",
        "layers.py",
        "mean, square = x.mean(axes).reshape(shape), jnp.square(x).mean(axes).reshape(shape)",
        "mean, square = x[0].mean((1, 2)).reshape(shape), jnp.square(x[0]).mean((1, 2)).reshape(shape)",
        ("test_layers.py::test_batch_norm_normalises_each_time_step",),
    ),
    Mutant(
        "standing statistics keep no spread",
        "layers.py",
        "stored_mean.value, stored_square.value = mean, square",
        "stored_mean.value = mean",
        ("test_layers.py::test_standing_statistics_take_the_place_of_the_batchs",),
    ),
    Mutant(
        "conditional gain around 0",
        "layers.py",
        'gain = 1.0 + nn.Dense(c, use_bias=False, kernel_init=orthogonal, name="gain")',
        'gain = nn.Dense(c, use_bias=False, kernel_init=orthogonal, name="gain")',
        ("test_layers.py::test_conditional_norm_gives_each_sample_its_own_gain_and_bias",),
    ),
    Mutant(
        "condition shifted by one sample against features",
        "layers.py",
        'name="bias")(condition)',
        'name="bias")(jnp.roll(condition, 1, 0))',
        (
            "test_layers.py::test_conditional_norm_gives_each_sample_its_own_gain_and_bias",
            "test_generator.py::test_permuting_the_batch_permutes_the_videos",
        ),
    ),
    Mutant(
        "D's first block rectifies pixels",
        "layers.py",
        'h = Conv2D(self.features, name="conv_1")(x if self.first else nn.relu(x))',
        'h = Conv2D(self.features, name="conv_1")(nn.relu(x))',
        ("test_layers.py::test_d_block_equals_numpy[6-True-True]",),
    ),
    Mutant(
        "D_T's first blocks are 2-D",
        "layers.py",
        "(self.size,) * 3 + (x.shape[-1], self.features)",
        "(1, self.size, self.size, x.shape[-1], self.features)",
        (
            "test_layers.py::test_3d_d_block_equals_numpy",
            "test_discriminators.py::test_number_of_parameters_at_the_papers_size",
        ),
    ),
]

CONV_GRU = [
    Mutant(
        "GRU's update gate swapped",
        "conv_gru.py",
        "return u * h + (1.0 - u) * candidate, ",
        "return (1.0 - u) * h + u * candidate, ",
        ("test_conv_gru.py::test_equals_the_equations",),
    ),
    Mutant(
        "GRU's reset and update gates swapped",
        "conv_gru.py",
        "return both[..., :c], both[..., c:]",
        "return both[..., c:], both[..., :c]",
        ("test_conv_gru.py::test_equals_the_equations",),
    ),
    Mutant(
        "candidate uses tanh",
        "conv_gru.py",
        "candidate = nn.relu(",
        "candidate = jnp.tanh(",
        ("test_conv_gru.py::test_equals_the_equations_at_any_size",),
    ),
    Mutant(
        "candidate without the reset gate",
        "conv_gru.py",
        "conv2d(r * h, candidate_of_rh)",
        "conv2d(h, candidate_of_rh)",
        ("test_conv_gru.py::test_equals_the_equations_at_any_size",),
    ),
    Mutant(
        "candidate's reset gate behind its convolution",
        "conv_gru.py",
        "conv2d(r * h, candidate_of_rh)",
        "r * conv2d(h, candidate_of_rh)",
        ("test_conv_gru.py::test_equals_the_equations",),
    ),
    Mutant(
        "candidate reads [h; x] instead of [x; h]",
        "conv_gru.py",
        'candidate_of_rh = kernels["candidate"][:, :, c_in:]',
        'candidate_of_rh = kernels["candidate"][:, :, :c]',
        ("test_conv_gru.py::test_equals_the_equations",),
    ),
    Mutant(
        "every frame starts from the first state",
        "conv_gru.py",
        "h, gate = _step(h, from_x[:, t], of_h, candidate_of_rh)",
        "h, gate = _step(initial, from_x[:, t], of_h, candidate_of_rh)",
        ("test_conv_gru.py::test_equals_the_equations[cpu-4]",),
    ),
    Mutant(
        "the given first state has no effect",
        "conv_gru.py",
        "if initial is None else initial",
        "if initial is None else 0 * initial",
        ("test_conv_gru.py::test_equals_the_equations",),
    ),
    Mutant(
        "on an accelerator the recurrence runs backwards",
        "conv_gru.py",
        "lax.scan(step, h, from_x.swapaxes(0, 1))",
        "lax.scan(step, h, from_x.swapaxes(0, 1), reverse=True)",
        ("test_conv_gru.py::test_equals_the_equations[tpu-4]",),
    ),
    Mutant(
        "GRU's gradient forgets the way through the reset gate",
        "conv_gru.py",
        "d_h = d_h * u + d_rh * r + ",
        "d_h = d_h * u + ",
        ("test_conv_gru.py::test_written_out_gradient_equals_autodiff",),
    ),
    Mutant(
        "GRU's gradient passes a closed ReLU",
        "conv_gru.py",
        "d_candidate = d_h * (1.0 - u) * (candidate > 0)",
        "d_candidate = d_h * (1.0 - u)",
        ("test_conv_gru.py::test_written_out_gradient_equals_autodiff",),
    ),
    Mutant(
        "stacked frames in reversed order",
        "convolution.py",
        "jnp.concatenate(shifted, axis=-1)",
        "jnp.concatenate(shifted[::-1], axis=-1)",
        ("test_convolution.py::test_stacked_equals_native_and_definition",),
    ),
    Mutant(
        "a convolution's gradient without turning the kernel",
        "convolution.py",
        "_cpu_conv2d(g, kernel[::-1, ::-1].swapaxes(2, 3))",
        "_cpu_conv2d(g, kernel.swapaxes(2, 3))",
        ("test_convolution.py::test_conv2d_and_its_gradients_equal_native_autodiff",),
    ),
    Mutant(
        "upsampled rows and columns change places",
        "convolution.py",
        "made[:, a : h + a, b : w + b, a, b]",
        "made[:, a : h + a, b : w + b, b, a]",
        ("test_convolution.py::test_convolutions_that_resample_equal_their_two_steps",),
    ),
    Mutant(
        "the middle tap is left out on one side",
        "convolution.py",
        "jnp.stack([first, middle + last])",
        "jnp.stack([first, last])",
        ("test_convolution.py::test_convolutions_that_resample_equal_their_two_steps",),
    ),
]

DISCRIMINATORS = [
    Mutant(
        "D_S averages its frames",
        "discriminators.py",
        "(x, labels).sum(1)",
        "(x, labels).mean(1)",
        (
            "test_discriminators.py::test_d_s_is_the_sum_over_frames_in_any_order",
            "test_discriminators.py::test_d_s_equals_numpy",
        ),
    ),
    Mutant(
        "D_S judges its first frame only",
        "discriminators.py",
        "(x, labels).sum(1)",
        "(x, labels)[:, 0]",
        ("test_discriminators.py::test_d_s_is_the_sum_over_frames_in_any_order",),
    ),
    Mutant(
        "D_T sums its frames",
        "discriminators.py",
        "(x, labels).mean(1)",
        "(x, labels).sum(1)",
        ("test_discriminators.py::test_d_t_equals_numpy[5]",),
    ),
    Mutant(
        "k frames drawn with replacement",
        "discriminators.py",
        "jax.random.permutation(key, t)[:k]",
        "jax.random.randint(key, (k,), 0, t)",
        ("test_discriminators.py::test_frames_are_drawn_uniformly_without_replacement_and_for_each_video_anew",),
    ),
    Mutant(
        "D_S sees k frames in a row",
        "discriminators.py",
        "jax.random.permutation(key, t)[:k]",
        "(jax.random.randint(key, (), 0, t) + jnp.arange(k)) % t",
        ("test_discriminators.py::test_frames_are_drawn_uniformly_without_replacement_and_for_each_video_anew",),
    ),
    Mutant(
        "the same k frames of every video",
        "discriminators.py",
        "jax.random.split(key, b)",
        "jnp.broadcast_to(key, (b,))",
        ("test_discriminators.py::test_frames_are_drawn_uniformly_without_replacement_and_for_each_video_anew",),
    ),
    Mutant(
        "D_S after phi",
        "discriminators.py",
        "frames = sample_frames(video[:, self.config.conditioning_frames :],",
        "frames = sample_frames(phi(video, self.config.phi, phi_key)[:, self.config.conditioning_frames :],",
        (
            "test_discriminators.py::test_pixels_permuted_inside_2x2_cells_change_d_s_and_not_d_t",
            "test_discriminators.py::test_d_t_sees_exactly_phi_and_d_s_whole_frames[pool2]",
        ),
    ),
    Mutant(
        "D_T before phi",
        "discriminators.py",
        "small = phi(video, self.config.phi, phi_key)",
        "small = video",
        (
            "test_discriminators.py::test_pixels_permuted_inside_2x2_cells_change_d_s_and_not_d_t",
            "test_discriminators.py::test_d_t_sees_exactly_phi_and_d_s_whole_frames[pool2]",
        ),
    ),
    Mutant(
        "phi takes every other pixel",
        "discriminators.py",
        'pooled = average_pool(fold_time(video), {"pool2": 2, "pool4": 4}[kind])',
        'pooled = fold_time(video)[:, :: {"pool2": 2, "pool4": 4}[kind], :: {"pool2": 2, "pool4": 4}[kind]]',
        (
            "test_discriminators.py::test_phi_pools_by_averaging",
            "test_discriminators.py::test_pixels_permuted_inside_2x2_cells_change_d_s_and_not_d_t",
        ),
    ),
    Mutant(
        "D_T sees only the first frames",
        "discriminators.py",
        "small = phi(video, self.config.phi, phi_key)",
        "small = phi(video, self.config.phi, phi_key)[:, :2]",
        ("test_discriminators.py::test_d_t_sees_exactly_phi_and_d_s_whole_frames[pool2]",),
    ),
    Mutant(
        "crop window moves with the frame",
        "discriminators.py",
        "            return jax.vmap(window)(video, tops)",
        "            each = jax.vmap(lambda clip, top: jnp.concatenate(\n"
        "                [window(jnp.roll(clip, (-i, i, i), (0, 1, 2)), top)[:1] for i in range(t)]\n"
        "            ))\n"
        "            return each(video, tops)",
        (
            "test_discriminators.py::test_phi_crops_one_window_a_video_anywhere",
            "test_updates.py::test_every_clip_and_update_has_a_random_crop_of_its_own_real_and_fake_alike",
        ),
    ),
    Mutant(
        "one crop window for all videos",
        "discriminators.py",
        "jax.vmap(window)(video, tops)",
        "jax.vmap(window)(video, jnp.broadcast_to(tops[0], (b, 2)))",
        (
            "test_discriminators.py::test_phi_crops_one_window_a_video_anywhere",
            "test_updates.py::test_every_clip_and_update_has_a_random_crop_of_its_own_real_and_fake_alike",
        ),
    ),
    Mutant(
        "the same crop windows at every update",
        "discriminators.py",
        "tops = jax.random.randint(key, ",
        "tops = jax.random.randint(jax.random.key(0), ",
        (
            "test_discriminators.py::test_phi_crops_another_window_for_the_next_key",
            "test_updates.py::test_every_clip_and_update_has_a_random_crop_of_its_own_real_and_fake_alike",
        ),
    ),
    Mutant(
        "only real clips are cropped at random",
        "discriminators.py",
        "jax.vmap(window)(video, tops)",
        "jax.vmap(window)(video, tops.at[1::2].set(0))",
        ("test_updates.py::test_every_clip_and_update_has_a_random_crop_of_its_own_real_and_fake_alike",),
    ),
    Mutant(
        "crops never reach the far edge",
        "discriminators.py",
        "jnp.array([h // 2 + 1, w // 2 + 1])",
        "jnp.array([h // 2, w // 2])",
        ("test_discriminators.py::test_phi_crops_one_window_a_video_anywhere",),
    ),
    Mutant(
        "projection left out",
        "discriminators.py",
        ' + jnp.einsum("btc,bc->bt", h, embedding)',
        "",
        ("test_discriminators.py::test_the_class_enters_by_projection",),
    ),
    Mutant(
        "projection with another sample's class",
        "discriminators.py",
        'jnp.einsum("btc,bc->bt", h, embedding)',
        'jnp.einsum("btc,bc->bt", h, jnp.roll(embedding, 1, 0))',
        (
            "test_discriminators.py::test_the_class_enters_by_projection",
            "test_discriminators.py::test_d_s_equals_numpy",
        ),
    ),
    Mutant(
        "D's last features are not rectified",
        "discriminators.py",
        "h = nn.relu(x).sum((2, 3), ",
        "h = x.sum((2, 3), ",
        ("test_discriminators.py::test_d_s_equals_numpy",),
    ),
    Mutant(
        "D's third block is 3-D, too",
        "discriminators.py",
        "time=i < 2)\n            if i < 2:",
        "time=i < 3)\n            if i < 3:",
        ("test_discriminators.py::test_number_of_parameters_at_the_papers_size",),
    ),
    Mutant(
        "D_S's last block downsamples",
        "discriminators.py",
        "down=i < len(config.d_widths) - 1, time=False",
        "down=True, time=False",
        (
            "test_discriminators.py::test_number_of_parameters_at_the_papers_size",
            "test_discriminators.py::test_d_s_equals_numpy",
        ),
    ),
    Mutant(
        "D one step narrower than B.2 prints",
        "configuration.py",
        "64: (2, 4, 8, 16, 16),",
        "64: (1, 2, 4, 8, 16),",
        ("test_discriminators.py::test_number_of_parameters_at_the_papers_size[kinetics600_64x64_12f-128-constants0]",),
    ),
]

GENERATOR = [
    Mutant(
        "labels shifted by one sample against the latents",
        "generator.py",
        "embedding(labels) if embedded is None",
        "embedding(jnp.roll(labels, 1)) if embedded is None",
        (
            "test_generator.py::test_permuting_the_batch_permutes_the_videos",
            "test_generator.py::test_a_label_changes_its_own_sample_only_and_at_every_frame",
        ),
    ),
    Mutant(
        "the class enters G's norms and not its input",
        "generator.py",
        'name="affine")(condition)',
        'name="affine")(condition.at[:, config.latent_dim :].set(0.0))',
        ("test_generator.py::test_equals_numpy",),
    ),
    Mutant(
        "G upsamples in the first block of a group",
        "generator.py",
        "enumerate((False, True))",
        "enumerate((True, False))",
        ("test_generator.py::test_equals_numpy",),
    ),
    Mutant(
        "G's first ConvGRU is as wide as the next group",
        "configuration.py",
        "64: (8, 8, 8, 4, 2),",
        "64: (8, 8, 4, 4, 2),",
        ("test_generator.py::test_number_of_parameters_at_the_papers_size[kinetics600_64x64_12f-128-constants0]",),
    ),
    Mutant(
        "pixels without tanh",
        "generator.py",
        "jnp.tanh(pixels)",
        "jnp.clip(pixels, -1, 1)",
        ("test_generator.py::test_equals_numpy",),
    ),
    Mutant(
        "one frame for the whole video",
        "generator.py",
        "return jnp.tanh(pixels).reshape(*x.shape[:2], *pixels.shape[1:])",
        "video = jnp.tanh(pixels).reshape(*x.shape[:2], *pixels.shape[1:])\n"
        "        return jnp.broadcast_to(video[:, :1], video.shape)",
        ("test_generator.py::test_video_has_its_shape_and_pixels_lie_within_one",),
    ),
]

OBJECTIVES = [
    Mutant(
        "hinge without margin",
        "objectives.py",
        "jax.nn.relu(1.0 - real[d])",
        "jax.nn.relu(-real[d])",
        (
            "test_objectives.py::test_losses_equal_numpy",
            "test_objectives.py::test_gradients_equal_finite_differences",
        ),
    ),
    Mutant(
        "hinge without its ReLU",
        "objectives.py",
        "jax.nn.relu(1.0 + fake[d])",
        "(1.0 + fake[d])",
        ("test_objectives.py::test_gradients_equal_finite_differences",),
    ),
    Mutant(
        "D wants fakes up",
        "objectives.py",
        "jax.nn.relu(1.0 + fake[d])",
        "jax.nn.relu(1.0 - fake[d])",
        ("test_objectives.py::test_d_wants_real_up_and_fake_down_within_the_margin",),
    ),
    Mutant(
        "G's objective is a hinge, too",
        "objectives.py",
        "return -sum(jnp.mean(scores) for scores in fake.values())",
        "return sum(jnp.mean(jax.nn.relu(1.0 - scores)) for scores in fake.values())",
        (
            "test_objectives.py::test_losses_equal_numpy",
            "test_objectives.py::test_gradients_equal_finite_differences",
        ),
    ),
    Mutant(
        "the two discriminators' losses are averaged",
        "objectives.py",
        "for d in real)\n",
        "for d in real) / len(real)\n",
        ("test_objectives.py::test_losses_equal_numpy",),
    ),
]

UPDATES = [
    Mutant(
        "D's u moves in G's step",
        "updates.py",
        "d_params, _ = spectral_normalize(state.d_params, state.d_vectors, update=False)",
        "d_params, moved = spectral_normalize(state.d_params, state.d_vectors, update=True)\n"
        "        state = state._replace(d_vectors=moved)",
        (
            "test_updates.py::test_sigma_is_of_the_new_u_in_the_own_step_and_of_u_as_it_is_in_the_others",
            "test_updates.py::test_update_of_g_changes_only_g_its_average_and_the_step",
        ),
    ),
    Mutant(
        "G's sigma moves in D's step",
        "updates.py",
        "g_params, _ = spectral_normalize(state.g_params, state.g_vectors, update=False)",
        "g_params, _ = spectral_normalize(state.g_params, state.g_vectors, update=True)",
        ("test_updates.py::test_sigma_is_of_the_new_u_in_the_own_step_and_of_u_as_it_is_in_the_others",),
    ),
    Mutant(
        "u is forgotten after D's update",
        "updates.py",
        "d_params=params, d_vectors=vectors, d_opt=d_opt",
        "d_params=params, d_opt=d_opt",
        ("test_updates.py::test_sigma_is_of_the_new_u_in_the_own_step_and_of_u_as_it_is_in_the_others",),
    ),
    Mutant(
        "G is used without spectral norm in D's step",
        "updates.py",
        "g_weights = self._weights(g_params)",
        "g_weights = self._weights(state.g_params)",
        ("test_updates.py::test_sigma_is_of_the_new_u_in_the_own_step_and_of_u_as_it_is_in_the_others",),
    ),
    Mutant(
        "fakes are judged under the real clips' labels",
        "updates.py",
        "both_labels = alternate(labels, fake_labels)",
        "both_labels = alternate(labels, labels)",
        ("test_updates.py::test_d_judges_real_clips_and_fakes_each_under_its_own_label",),
    ),
    Mutant(
        "labels in another order than the clips",
        "updates.py",
        "both_labels = alternate(labels, fake_labels)",
        "both_labels = jnp.concatenate([labels, fake_labels])",
        ("test_updates.py::test_d_judges_real_clips_and_fakes_each_under_its_own_label",),
    ),
    Mutant(
        "scores of real and fake swapped",
        "updates.py",
        "on_real = {d: s[0::2]",
        "on_real = {d: s[1::2]",
        ("test_updates.py::test_d_judges_real_clips_and_fakes_each_under_its_own_label",),
    ),
    Mutant(
        "G is judged under other labels than its own",
        "updates.py",
        '{"params": d_params}, fake, labels, key',
        '{"params": d_params}, fake, labels[::-1], key',
        ("test_updates.py::test_g_is_judged_under_the_labels_it_was_given",),
    ),
    Mutant(
        "G's fakes carry no gradient",
        "updates.py",
        "fake = self._fake(self._weights(normalized), latents, labels, conditioning)",
        "fake = jax.lax.stop_gradient(self._fake(self._weights(normalized), latents, labels, conditioning))",
        ("test_updates.py::test_each_optimizer_has_its_own_rate",),
    ),
    Mutant(
        "learning rates swapped",
        "updates.py",
        "adam(t.g_learning_rate), adam(t.d_learning_rate)",
        "adam(t.d_learning_rate), adam(t.g_learning_rate)",
        ("test_updates.py::test_each_optimizer_has_its_own_rate",),
    ),
    Mutant(
        "only the samples are blurred",
        "evaluation.py",
        'for name, clips in {"real": real, **others}.items()',
        'for name, clips in {"real": real, **others}.items()\n        for blur in [blur if name != "real" else np.asarray]',
        ("test_evaluation.py::test_both_sides_are_blurred_alike",),
    ),
    Mutant(
        "EMA from step 0",
        "updates.py",
        "jnp.where(step > t.ema_start, 1.0 - t.ema_decay, 1.0)",
        "1.0 - t.ema_decay",
        ("test_updates.py::test_average_lags_behind_large_steps_as_its_recursion_says",),
    ),
    Mutant(
        "EMA starts a step early",
        "updates.py",
        "step > t.ema_start",
        "step >= t.ema_start",
        ("test_updates.py::test_average_lags_behind_large_steps_as_its_recursion_says",),
    ),
    Mutant(
        "EMA rate inverted",
        "updates.py",
        "1.0 - t.ema_decay, 1.0",
        "t.ema_decay, 1.0",
        ("test_updates.py::test_average_lags_behind_large_steps_as_its_recursion_says",),
    ),
    Mutant(
        "EMA of the weights before the update",
        "updates.py",
        "optax.incremental_update(g_params, state.ema, rate)",
        "optax.incremental_update(state.g_params, state.ema, rate)",
        ("test_updates.py::test_average_lags_behind_large_steps_as_its_recursion_says",),
    ),
    Mutant(
        "every update draws the same latents",
        "updates.py",
        "state.step), update)",
        "state.step), 0)",
        ("test_updates.py::test_every_clip_and_update_has_a_random_crop_of_its_own_real_and_fake_alike",),
    ),
    Mutant(
        "latents are uniform",
        "updates.py",
        "jax.random.normal(latents_key, (b, m.latent_dim))",
        "jax.random.uniform(latents_key, (b, m.latent_dim), minval=-1.0)",
        ("test_updates.py::test_latents_are_standard_normal_and_labels_uniform",),
    ),
    Mutant(
        "the last class is never drawn",
        "updates.py",
        "jax.random.randint(labels_key, (b,), 0, m.num_classes)",
        "jax.random.randint(labels_key, (b,), 0, m.num_classes - 1)",
        ("test_updates.py::test_latents_are_standard_normal_and_labels_uniform",),
    ),
    Mutant(
        "both updates of D see one real batch",
        "training.py",
        "batch = next(batches)  #",
        "clips = next(batches) if update == 0 else clips\n                batch = clips  #",
        ("test_updates.py::test_the_d_updates_of_one_step_see_different_real_clips",),
    ),
    Mutant(
        "G is updated as often as D",
        "training.py",
        "            state, g_metrics = updates.update_g(",
        "                state, g_metrics = updates.update_g(",
        ("test_updates.py::test_the_d_updates_of_one_step_see_different_real_clips",),
    ),
]

FRAME_PREDICTION = [
    Mutant(
        "D_S samples conditioning frames",
        "discriminators.py",
        "video[:, self.config.conditioning_frames :]",
        "video",
        ("test_frame_prediction.py::test_d_s_never_sees_the_given_frames_and_d_t_sees_them_all",),
    ),
    Mutant(
        "D_T sees only what G made",
        "discriminators.py",
        "small = phi(video, self.config.phi, phi_key)",
        "small = phi(video[:, self.config.conditioning_frames :], self.config.phi, phi_key)",
        ("test_frame_prediction.py::test_d_s_never_sees_the_given_frames_and_d_t_sees_them_all",),
    ),
    Mutant(
        "encoder's states in reversed order",
        "frame_prediction.py",
        "        return states",
        "        return [jax.image.resize(h, s.shape, 'nearest') for h, s in zip(states[::-1], states, strict=True)]",
        ("test_frame_prediction.py::test_encoder_equals_numpy",),
    ),
    Mutant(
        "encoder's first 4x4 features serve, not the last",
        "frame_prediction.py",
        "by_size[features.shape[1]] = features",
        "by_size.setdefault(features.shape[1], features)",
        ("test_frame_prediction.py::test_encoder_equals_numpy",),
    ),
    Mutant(
        "conditioning frames averaged instead of stacked",
        "frame_prediction.py",
        "stacked = features.transpose(0, 2, 3, 1, 4).reshape(b, size, size, -1)",
        "stacked = features.mean(1)",
        ("test_frame_prediction.py::test_states_line_up_with_their_convgrus_at_the_papers_size",),
    ),
    Mutant(
        "conditioning frames stacked without the transpose",
        "frame_prediction.py",
        "features.transpose(0, 2, 3, 1, 4).reshape(",
        "features.reshape(",
        ("test_frame_prediction.py::test_encoder_equals_numpy",),
    ),
    Mutant(
        "encoder's states are not rectified",
        "frame_prediction.py",
        'states.append(nn.relu(Conv2D(width, name=f"to_state_{i}")(stacked)))',
        'states.append(Conv2D(width, name=f"to_state_{i}")(stacked))',
        ("test_frame_prediction.py::test_encoder_equals_numpy",),
    ),
    Mutant(
        "ConvGRUs start at zero in prediction",
        "generator.py",
        "(x, config.num_frames, initial[i])",
        "(x, config.num_frames, None)",
        ("test_frame_prediction.py::test_prediction_equals_numpy",),
    ),
    Mutant(
        "D sees given frames behind G's",
        "updates.py",
        "jnp.concatenate([conditioning, made], axis=1)",
        "jnp.concatenate([made, conditioning], axis=1)",
        ("test_frame_prediction.py::test_d_judges_the_given_frames_with_what_g_made_of_them",),
    ),
    Mutant(
        "a sample without the frames it goes on from",
        "sampling.py",
        "return made if conditioning is None else np.concatenate([conditioning, made], axis=1)",
        "return made",
        ("test_frame_prediction.py::test_a_prediction_begins_with_the_given_frames",),
    ),
    Mutant(
        "given frames count among those that were predicted",
        "prediction_protocol.py",
        "metrics.features_cached(v[:, c:], cache",
        "metrics.features_cached(v, cache",
        ("test_prediction_protocol.py::test_predicted_frames_alone_are_compared_with_the_real_ones_of_their_times",),
    ),
]

VARIANTS = [
    Mutant(
        "attention without the transpose",
        "attention.py",
        "moved = jnp.moveaxis(x, axis, -2)",
        "moved = x.reshape(jnp.moveaxis(x, axis, -2).shape)",
        (
            "test_attention.py::test_axes_of_different_lengths",
            "test_attention.py::test_separable_attention_equals_six_loops",
        ),
    ),
    Mutant(
        "softmax over the wrong axis",
        "attention.py",
        "jax.nn.softmax(correlations, -1)",
        "jax.nn.softmax(correlations, -2)",
        ("test_attention.py::test_full_attention_equals_loops",),
    ),
    Mutant(
        "correlations over the square root of C",
        "attention.py",
        'jnp.einsum("bnc,bmc->bnm", x @ query, x @ key)',
        'jnp.einsum("bnc,bmc->bnm", x @ query, x @ key) / x.shape[-1] ** 0.5',
        ("test_attention.py::test_full_attention_equals_loops",),
    ),
    Mutant(
        "attention over height, then width, then time",
        "attention.py",
        "for axis, of_axis in zip((3, 1, 2), weights, strict=True):",
        "for axis, of_axis in zip((1, 2, 3), (*weights[1:], weights[0]), strict=True):",
        ("test_attention.py::test_axes_of_different_lengths",),
    ),
    Mutant(
        "attention's axes all see the same features",
        "attention.py",
        "        if of_axis is not None:\n            x = _along(x, axis, of_axis)\n    return x",
        "        if of_axis is not None:\n            total = total + _along(x, axis, of_axis) if axis != 3 else "
        "_along(x, axis, of_axis)\n    return total",
        ("test_attention.py::test_axes_of_different_lengths",),
    ),
    Mutant(
        "attention without its residual",
        "attention.py",
        'return x + self.param("gain"',
        'return self.param("gain"',
        ("test_attention.py::test_module_adds_attention_by_a_gain_that_starts_at_zero",),
    ),
    Mutant(
        "BigGAN-deep's G keeps the last channels",
        "biggan_deep.py",
        "x[..., : self.features]",
        "x[..., -self.features :]",
        ("test_biggan_deep.py::test_g_block_equals_numpy[6-True]",),
    ),
    Mutant(
        "BigGAN-deep's G upsamples behind its second convolution",
        "biggan_deep.py",
        "self.up and i == 2",
        "self.up and i == 3",
        ("test_biggan_deep.py::test_g_block_equals_numpy[6-True]",),
    ),
    Mutant(
        "BigGAN-deep's D rectifies behind the pooling",
        "biggan_deep.py",
        'h = nn.relu(conv(hidden, 3, name="conv_3")(nn.relu(h)))\n'
        '        h = conv(self.features, 1, name="conv_4")(pool(h) if self.down else h)',
        'h = conv(hidden, 3, name="conv_3")(nn.relu(h))\n'
        '        h = conv(self.features, 1, name="conv_4")(nn.relu(pool(h) if self.down else h))',
        ("test_biggan_deep.py::test_d_block_equals_numpy",),
    ),
    Mutant(
        "BigGAN-deep's D puts the missing channels first",
        "biggan_deep.py",
        "jnp.concatenate([shortcut, more], -1)",
        "jnp.concatenate([more, shortcut], -1)",
        ("test_biggan_deep.py::test_d_block_equals_numpy",),
    ),
]

LEDGER = [
    Mutant(
        "half the spread of seeds is enough for a verdict",
        "verdicts.py",
        "if difference > 2 * spread:",
        "if difference > 0.5 * spread:",
        ("test_claims.py::test_a_difference_beside_the_spread_of_seeds",),
    ),
    Mutant(
        "the spread over seeds is the population's",
        "verdicts.py",
        "for group in groups) / freedom)",
        "for group in groups) / sum(map(len, groups)))",
        ("test_claims.py::test_a_difference_beside_the_spread_of_seeds",),
    ),
    Mutant(
        "a claim of several parts is worth its strongest",
        "verdicts.py",
        "return min(verdicts, key=_ORDER.index)",
        "return max(verdicts, key=_ORDER.index)",
        ("test_claims.py::test_compared_runs_are_judged_by_where_their_curves_end",),
    ),
    Mutant(
        "without D_T the class is to be seen better",
        "compared_judges.py",
        '_compare(evidence, there[0], "no_dt", REFERENCE)',
        '_compare(evidence, there[0], REFERENCE, "no_dt")',
        ("test_claims.py::test_motion_is_judged_by_the_class_that_it_shows",),
    ),
    Mutant(
        "runs of any length compared",
        "compared_judges.py",
        "return all(groups) and len(",
        "return all(groups) or len(",
        ("test_claims.py::test_runs_of_other_lengths_are_not_compared",),
    ),
    Mutant(
        "truncation judged beyond its best score",
        "trained_judges.py",
        "by_curve(values[: best + 1], papers_ratio)",
        "by_curve(values, papers_ratio)",
        ("test_claims.py::test_truncation_counts_up_to_the_best_score",),
    ),
    Mutant(
        "half the batch counted as the whole",
        "trained_judges.py",
        "[n * batch for n, batch in zip(steps, batches, strict=True)]",
        "steps",
        ("test_claims.py::test_resolution_is_judged_along_three_rows",),
    ),
    Mutant(
        "memorisation judged by models of any length",
        "trained_judges.py",
        "if for_as_long([steps[0], steps[i]]))",
        "if steps)",
        ("test_claims.py::test_memorisation_compares_models_of_about_as_many_steps",),
    ),
    Mutant(
        "the stand-in under the paper's name",
        "training_data.py",
        "data=dataclasses.replace(d, name=stand_in, stride=1)",
        "data=dataclasses.replace(d, stride=1)",
        ("test_training_data.py::test_colab_takes_the_stand_in_where_nothing_is_prepared_and_says_so",),
    ),
    Mutant(
        "the last model where the best was asked for",
        "training.py",
        't.export == "best" and best.export_to(path, experiment, card)',
        't.export == "best" and not best',
        ("test_training.py::test_a_run_ends_in_its_best_model_where_it_is_asked_to",),
    ),
    Mutant(
        "the best model as of the shorter run",
        "best_model.py",
        "kept.standing, card | of_best)",
        "kept.standing, kept.card)",
        ("test_training.py::test_a_run_ends_in_its_best_model_where_it_is_asked_to",),
    ),
    Mutant(
        "Figure 1 shows what flickers most",
        "selection.py",
        "np.where(flickers, -moves, moves)",
        "moves",
        ("test_selection.py::test_the_liveliest_sample_moves_no_more_than_real_clips",),
    ),
    Mutant(
        "a finished run exported again",
        "training.py",
        "if exported == t.steps and (not done or (done == t.steps and exported_choice(folder) == t.export)):",
        "if False:",
        ("test_training.py::test_a_finished_run_is_left_as_it_is",),
    ),
    Mutant(
        "a longer run stopped before its export taken for finished",
        "training.py",
        "if exported == t.steps and (",
        "if exported and (",
        ("test_training.py::test_a_longer_run_stopped_before_its_export_is_not_taken_for_finished",),
    ),
    Mutant(
        "a finished run keeps its last model when asked for its best",
        "training.py",
        " and exported_choice(folder) == t.export",
        "",
        ("test_training.py::test_a_run_ends_in_its_best_model_where_it_is_asked_to",),
    ),
    Mutant(
        "a finished run without its checkpoints trained again",
        "training.py",
        "(not done or (done == t.steps",
        "(False or (done == t.steps",
        ("test_training.py::test_a_finished_run_without_its_checkpoints_keeps_its_log_and_model",),
    ),
    Mutant(
        "a run without checkpoints begun anew beside its model",
        "training.py",
        "if exported and not done:",
        "if False:",
        ("test_training.py::test_a_finished_run_without_its_checkpoints_keeps_its_log_and_model",),
    ),
    Mutant(
        "norms by time step needn't work as well",
        "trained_judges.py",
        "if as_well > ALIKE:",
        "if False:",
        ("test_claims.py::test_norms_over_time_are_judged_by_what_standing_statistics_cost",),
    ),
    Mutant(
        "classes of clips for prediction on a stand-in",
        "training_data.py",
        "if not model.conditioning_frames:  # prediction has one class for all (B.4)",
        "if True:",
        ("test_training_data.py::test_colab_takes_the_stand_in_where_nothing_is_prepared_and_says_so",),
    ),
    Mutant(
        "a second checkpoint by the vote before it",
        "hosts.py",
        "if self._dropping and before == 1:",
        "if self._dropping and before == 2:",
        ("test_many_hosts.py::test_the_vote_that_is_under_way_when_a_checkpoint_is_saved_saves_no_second",),
    ),
    Mutant(
        "KVD's spread over every tenth clip",
        "metrics/kernel_distance.py",
        "np.array_split(z[rng.permutation(len(z))], subsets)",
        "[z[i::subsets] for i in range(subsets)]",
        ("metrics/test_kernel_distance.py::test_the_deviation_does_not_depend_on_the_order_of_classes",),
    ),
    Mutant(
        "a curve's mean over steps that only some seeds have",
        "curves.py",
        "set.intersection(",
        "set.union(",
        ("test_curves.py::test_mean_and_ends_are_of_steps_that_all_have",),
    ),
    Mutant(
        "a rounded model's statistics are rounded too",
        "trained_models.py",
        "export(path, generator.experiment, params, generator.standing, card)",
        "export(path, generator.experiment, params, jax.tree.map(lambda x: x.astype(np.float16), generator.standing), card)",
        ("test_trained_models.py::test_half_precision_rounds_weights_only_and_says_so",),
    ),
    Mutant(
        "the laptop's batch trains what isn't shipped",
        "batch.py",
        'if preset != "laptop" or from_scratch:\n        return {}',
        "if True:\n        return {}",
        ("test_batch.py::test_what_would_have_to_be_trained_is_left_out_of_the_laptops_whole",),
    ),
]

SETTINGS = [
    Mutant(
        "a changed setting's kind is not looked at",
        "settings.py",
        """if ("None" if value is None else type(value).__name__) not in kinds:""",
        "if False:",
        ("test_settings.py::test_a_wrong_setting_is_one_sentence",),
    ),
    Mutant(
        "a card's command leaves out what was set",
        "training.py",
        "for change in settings.of(experiment))",
        "for change in settings.of(experiment)[:0])",
        ("test_settings.py::test_a_card_names_them",),
    ),
]
MUTANTS: tuple[Mutant, ...] = (
    *SPECTRAL_NORM,
    *LAYERS,
    *CONV_GRU,
    *DISCRIMINATORS,
    *GENERATOR,
    *OBJECTIVES,
    *UPDATES,
    *FRAME_PREDICTION,
    *VARIANTS,
    *LEDGER,
    *SETTINGS,
)


class Copy:
    """The library and its tests in a folder of their own, which mutants may spoil."""

    def __init__(self, folder: Path):
        """Copies; folder: an empty one."""
        self.folder = folder
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder)
        (folder / "mutant_settings.py").write_text(HYPOTHESIS_SETTINGS, encoding="utf-8")
        self.environment = os.environ | {
            # Before the checkout, which the environment's own .pth file names.
            "PYTHONPATH": str(folder),
            # A mutant can be written in the same second as the original and be of the same length.
            "PYTHONDONTWRITEBYTECODE": "1",
            # Programs of mutants are of no use to anyone else.
            "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # most of it are small ones that each process needs again
            "COLUMNS": "300",  # or pytest would shorten the names of tests
        }
        script = "import dvdgan_lib; print(dvdgan_lib.__file__)"
        imported = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, env=self.environment, capture_output=True, text=True, check=True
        ).stdout.strip()
        if Path(imported).resolve().parent != (folder / "dvdgan_lib").resolve():
            raise RuntimeError(f"The copy in {folder} imports {imported}: mutants would not be seen.")

    def test(self, tests: Sequence[str], *options: str) -> tuple[int, str]:
        """pytest's exit code and output; -1 where it takes too long."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "mutant_settings", "-rfE", *options]
        command += [f"tests/{test}" for test in tests]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            return -1, f"took longer than {TIMEOUT} s"
        return done.returncode, done.stdout + done.stderr

    def kill(self, mutant: Mutant) -> tuple[dict[str, str], str]:
        """Runs a mutant's tests on it.

        Returns:
          (those that don't fail -> why not, which is empty as it should be; how the others fail).
        """
        source = self.folder / "dvdgan_lib" / mutant.file
        original = source.read_text(encoding="utf-8")
        if original.count(mutant.old) != 1:
            return dict.fromkeys(mutant.tests, f"{mutant.file} does not have the text to change exactly once"), ""
        source.write_text(original.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            code, output = self.test(mutant.tests, "--tb=no", *(["-x"] if len(mutant.tests) == 1 else []))
        finally:
            source.write_text(original, encoding="utf-8")
        if code not in (0, 1):  # 2 to 5: interrupted, internal error, wrong usage, no such test
            return dict.fromkeys(mutant.tests, f"pytest ended with {code}:\n{output}"), ""
        # "FAILED tests/test_layers.py::test_name[case] - AssertionError: ..."
        lines = [line.partition(" ") for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        failed = [line.removeprefix("tests/").partition(" - ") for _, _, line in lines]
        alive = {
            test: "passes" for test in mutant.tests if not any(f == test or f.startswith(f"{test}[") for f, _, _ in failed)
        }
        return alive, "; ".join(dict.fromkeys(reason or "assert" for _, _, reason in failed))


def main(arguments: list[str]) -> int:
    """Runs the mutants whose name contains the argument; returns the exit code."""
    chosen = [mutant for mutant in MUTANTS if not arguments or arguments[0].lower() in mutant.name.lower()]
    if not chosen:
        print(f"No mutant's name contains {arguments[0]!r}.", file=sys.stderr)
        return 2
    results = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder))
        tests = list(dict.fromkeys(test for mutant in chosen for test in mutant.tests))
        print(f"{len(tests)} tests on the library as it is ...", flush=True)
        code, output = copy.test(tests)
        if code != 0:
            print(f"{output}\nThese must pass before a mutant can make them fail.", file=sys.stderr)
            return 1
        for number, mutant in enumerate(chosen, start=1):
            print(f"[{number}/{len(chosen)}] {mutant.name} ... ", end="", flush=True)
            start = time.monotonic()
            alive, reasons = copy.kill(mutant)
            seconds = time.monotonic() - start
            results.append((mutant, alive, seconds))
            print(f"{'SURVIVED' if alive else 'killed'}, {seconds:.0f} s: {reasons[:160]}", flush=True)
            for test, reason in alive.items():
                print(f"    {test}: {reason}", flush=True)
    width = max(len(mutant.name) for mutant in chosen)
    print(f"\n{'mutant':{width}}  {'file':20}  result    seconds")
    for mutant, alive, seconds in results:
        print(f"{mutant.name:{width}}  {mutant.file:20}  {'SURVIVED' if alive else 'killed  '}  {seconds:7.1f}")
    survived = sum(bool(alive) for _, alive, _ in results)
    print(f"{len(results) - survived} of {len(results)} killed in {sum(s for *_, s in results) / 60:.1f} minutes.")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
