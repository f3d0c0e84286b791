"""Kill -9 at random moments of a training, resumed each time: the final weights beside an uninterrupted run's, bit by bit.

    python benchmarks/kills.py [KILLS] [SEED]

A smoke-size run that saves at every step is killed KILLS times (20), each time between its start and a few seconds after its
first new step: while it reads, compiles, steps, or saves. Takes five minutes, or ten on two busy cores.

Measured there: 20 kills in 48 steps, 0 of the 8,192 numbers of the final model differ.
"""

import dataclasses
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Runs from a checkout that is not installed, too.

from dvdgan_lib import experiments
from dvdgan_lib.trained_generator import load_generator
from dvdgan_lib.training import run_folder

ROOT = Path(__file__).resolve().parents[1]

# The tiny run of the tests: what is killed is the same, and it compiles in seconds.
COMMAND = """
import pickle, sys
from dvdgan_lib import experiments, training
experiment = pickle.load(open(sys.argv.pop(1), "rb"))
experiments.get = lambda name, preset: experiment
sys.exit(training.main(sys.argv[1:]))
"""


def tiny():
    """3 frames of 16x16, ch = 1, batches of 2, a checkpoint at every step."""
    smoke = experiments.get("kinetics600_64x64_12f", "smoke")
    model = dataclasses.replace(smoke.model, num_frames=3, num_classes=3, ch=1, k=2, latent_dim=8, embedding_dim=5)
    training = dataclasses.replace(smoke.training, batch_size=2, checkpoint_minutes=0.0, sample_every=50)
    return dataclasses.replace(smoke, model=model, training=training)


def start(workdir, experiment, steps):
    """The command in a process of its own."""
    pickled = workdir / "experiment.pickle"
    pickled.write_bytes(pickle.dumps(experiment))
    command = [
        sys.executable,
        "-c",
        COMMAND,
        str(pickled),
        experiment.name,
        "--workdir",
        str(workdir),
        "--steps",
        str(steps),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def saved(folder):
    """Steps that there are checkpoints of."""
    return [int(path.name) for path in folder.glob("checkpoints/*") if path.name.isdigit()]


def kill_and_resume(workdir, experiment, kills, rng):
    """Kills a run that many times, then lets it end two steps on; returns its steps."""
    folder = run_folder(experiment, workdir)
    for number in range(1, kills + 1):
        before = max(saved(folder), default=0)
        process = start(workdir, experiment, 1_000_000)
        moment = rng.uniform(0.0, 4.0)  # seconds after the first new checkpoint; a fifth of the kills before there is one
        early, begun = rng.random() < 0.2, time.monotonic()
        while process.poll() is None and not (early or max(saved(folder), default=0) > before):
            time.sleep(0.01)
        time.sleep(3 * moment if early else moment)
        assert process.poll() is None, process.stderr.read()
        process.kill()
        process.communicate()
        seconds = time.monotonic() - begun
        print(f"kill {number} after {seconds:.1f} s: saved up to step {max(saved(folder), default=0)}", flush=True)
    steps = max(saved(folder), default=0) + 2
    process = start(workdir, experiment, steps)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "Going on from step" in err
    return steps


def difference(one, other):
    """How many of the exported numbers differ, and of how many."""
    pairs = [(a[kind], b[kind]) for a, b in [(vars(one), vars(other))] for kind in ("params", "standing")]
    leaves = [pair for a, b in pairs for pair in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return sum(int((a != b).sum()) for a, b in leaves), sum(np.size(a) for a, _ in leaves)


def main():
    """Prints each kill and, at the end, whether the weights are equal; the exit code says the same."""
    kills, seed = (int(x) for x in [*sys.argv[1:], *["20", "0"][len(sys.argv) - 1 :]])
    experiment = tiny()
    with tempfile.TemporaryDirectory() as folder:
        killed, straight = Path(folder, "killed"), Path(folder, "straight")
        killed.mkdir(), straight.mkdir()
        steps = kill_and_resume(killed, experiment, kills, random.Random(seed))
        process = start(straight, experiment, steps)
        assert process.wait() == 0
        models = [load_generator(run_folder(experiment, workdir)) for workdir in (killed, straight)]
        wrong, of = difference(*models)
    print(f"{kills} kills in {steps} steps: {wrong} of {of} numbers of the final model differ from an uninterrupted run's")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
