"""How the time of a training step grows with the work: frames, resolution, width and k, each over a 16-fold range.

    python benchmarks/growth.py                  all four, some twenty minutes on two cores, most of it compilation
    python benchmarks/growth.py frames k         only these; the others stay as they were measured before

Sizes are cut from the laptop's (batch 8); a point is the best of four steps. Resolution counts in pixels: 16x16 to 64x64.
Writes figures/benchmarks_growth.png and .json. Bar: the time per FLOP grows by less than 1.5 from the smallest to any other
size. What counts as work: see `shared.py`.
"""

import argparse
import dataclasses
import json
import sys

import numpy as np
from matplotlib import pyplot as plt
from shared import ROOT, SIZE, Step, flop_of_step, matrix_product, met, seconds

from dvdgan_lib import experiments, plots

EXPERIMENT, STEPS, BAR = "kinetics600_64x64_12f", 4, 1.5
# By name: the field, its values, the model's other sizes.
AXES = {
    "frames": ("num_frames", (3, 6, 12, 24, 48), {"resolution": 16, "ch": 16, "k": 3}),
    "resolution": ("resolution", (16, 32, 64), {"num_frames": 6, "ch": 8, "k": 4}),
    "width": ("ch", (2, 4, 8, 16, 32), {"resolution": 32, "num_frames": 6, "k": 4}),
    "k": ("k", (1, 2, 4, 8, 16), {"resolution": 32, "num_frames": 16, "ch": 8}),
}
RESULTS = ROOT / "figures" / "benchmarks_growth.json"


def measure(axis):
    """[{"value", "gflop", "seconds", "product_gflops"}] for the values of an axis."""
    field, values, sizes = AXES[axis]
    laptop, points, product = experiments.get(EXPERIMENT, "laptop"), [], matrix_product()
    for value in values:
        experiment = dataclasses.replace(laptop, model=dataclasses.replace(laptop.model, **sizes | {field: value}))
        step = Step(experiment)
        step()
        point = {
            "value": value,
            "gflop": round(sum(flop_of_step(step.updates)) / 1e9, 3),
            "seconds": round(min(seconds(step) for _ in range(STEPS)), 4),
            "product_gflops": round(2e-9 * SIZE**3 / min(product() for _ in range(6)), 1),
        }
        print(axis, point, flush=True)
        points.append(point)
    return points


def draw(results):
    """One column an axis: seconds and GFLOP above, time per FLOP below, both against the size."""
    figure, panels = plt.subplots(2, len(results), figsize=(3.2 * len(results), 5.2), layout="constrained", squeeze=False)
    for (above, below), (axis, points) in zip(panels.T, results.items(), strict=True):
        field, _, sizes = AXES[axis]
        value, flop, time = (np.array([p[name] for p in points]) for name in ("value", "gflop", "seconds"))
        above.loglog(value, time, "o-", label="step, s")
        above.loglog(value, flop * time[0] / flop[0], "k--", label=f"GFLOP x {time[0] / flop[0]:.3f}")
        above.set_title(axis + "\n" + ", ".join(f"{name} {size}" for name, size in sizes.items()), fontsize=9)
        above.legend(fontsize=8)
        below.semilogx(value, time / flop / (time[0] / flop[0]), "o-")
        below.axhline(BAR, color="tab:red", linestyle=":", label=f"bar {BAR}")
        below.set_ylim(0, 2)
        below.set_xlabel(field)
        for panel in (above, below):
            panel.set_xticks(value, map(str, value))
            panel.minorticks_off()
    panels[0, 0].set_ylabel("seconds a step")
    panels[1, 0].set_ylabel("time per FLOP, of the smallest's")
    panels[1, 0].legend(fontsize=8)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("axes", nargs="*", help="of " + ", ".join(AXES))
    chosen = parser.parse_args().axes or list(AXES)
    known = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else {}
    results = known | {axis: measure(axis) for axis in chosen}
    results = {axis: results[axis] for axis in AXES if axis in results}
    figure = draw(results)
    figure.savefig(RESULTS.with_suffix(".png"), dpi=120)
    card = plots.provenance("benchmarks_growth", {"batch": experiments.get(EXPERIMENT).training.batch_size})
    RESULTS.write_text(json.dumps(card | {"results": results}, indent=1) + "\n")
    worst = {}
    for axis, points in results.items():
        rate = [p["seconds"] / p["gflop"] for p in points]
        worst[axis] = max(rate) / rate[0]
        work = points[-1]["gflop"] / points[0]["gflop"]
        print(f"{axis}: work grows {work:.1f}-fold, time per FLOP by {worst[axis]:.2f} at most ({met(worst[axis] < BAR)})")
    return max(worst.values()) < BAR


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
