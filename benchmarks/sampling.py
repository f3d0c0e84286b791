"""Clips a second that the laptop's generator of kinetics600_64x64_12f makes, beside PyTorch's, in one run.

    TORCH_PYTHON=/path/to/python python benchmarks/sampling.py     beside PyTorch, from an environment that has it

A call of `sampling.generate` makes one batch of evaluation's size with standing statistics, as bytes in NumPy; PyTorch
(`dvdgan_torch.py`) does the same. Weights are random: the arithmetic is the same. Rounds alternate, the best of each counts.
Bar: faster.
"""

import os
import sys

import numpy as np
from shared import Sampler, met, torch_or_none

from dvdgan_lib import experiments

EXPERIMENT, ROUNDS = "kinetics600_64x64_12f", 12


def main():
    experiment = experiments.get(EXPERIMENT, "laptop")
    ours, peer = Sampler(experiment), torch_or_none(experiment)
    clips = experiment.evaluation.batch_size
    ours.seconds()  # compiles
    mine, theirs = [], []
    for _ in range(ROUNDS):
        mine.append(ours.seconds())
        if peer:
            theirs.append([peer.seconds("sample", threads) for threads in (1, os.cpu_count())])
    m = experiment.model
    print(f"{EXPERIMENT}, laptop: {m.num_frames} frames of {m.resolution}x{m.resolution}, {clips} clips at once")
    print(f"ours: {clips / min(mine):.0f} clips/s (median {clips / np.median(mine):.0f})")
    if not peer:
        return True
    peer.end()
    one, all_ = np.min(theirs, 0)
    faster = min(one, all_) / min(mine)
    print(f"PyTorch: {clips / one:.0f} clips/s with one thread, {clips / all_:.0f} with {os.cpu_count()}; ", end="")
    print(f"ours is {faster:.2f} times as fast as the better (bar 1: {met(faster > 1)})")
    return faster > 1


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
