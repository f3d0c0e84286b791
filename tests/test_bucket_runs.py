"""A run in a bucket is what it is on a disk; the bucket is a server on this machine."""

import dataclasses
import json
import os
import pickle
import subprocess
import sys

import jax
import numpy as np
from fake_bucket import FakeBucket

from dvdgan_lib.run_record import TIMES
from dvdgan_lib.trained_generator import load_generator

# Another process, since clients read the environment once.
RUNS = """
import copy, logging, pickle, sys
import numpy as np
from dvdgan_lib import devices, plots, training, updates

logging.basicConfig(format="%(message)s")
training.log.setLevel(logging.INFO)
experiment = pickle.load(sys.stdin.buffer)
devices.setup()  # with the cache of compiled programs
once = updates.Updates(experiment)
once.compile()

def compiled(experiment):
    own = copy.copy(once)
    own.experiment = experiment
    return own

training.Updates = compiled
print(training.train(experiment, "gs://bucket/runs", steps=2, progress=False))
print(training.train(experiment, "gs://bucket/runs", steps=3, progress=False))
print(training.train(experiment, sys.argv[1], steps=3, progress=False))
figure = plots.picture(np.zeros((8, 8, 3), np.uint8), "Figure 0", "a caption")
plots.save_artefact("gs://bucket/figures", figure, {"artefact": "figure_00"}, video=np.zeros((2, 16, 16, 3), np.uint8))
"""


def metrics(folder):
    """Without times, and without what comes with a sample sheet (the last step of each call: 2 and 3 here, 3 there)."""
    passing = {*TIMES, "sample_diversity"}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in passing} for line in lines]


def test_a_run_in_a_bucket_goes_on_and_equals_one_on_the_disk(tiny, tmp_path):
    """A checkpoint a step, of which two are kept; the third step is a resumed run's."""
    experiment = dataclasses.replace(tiny, training=dataclasses.replace(tiny.training, checkpoint_minutes=0.0))
    (tmp_path / "buckets" / "bucket").mkdir(parents=True)
    with FakeBucket(tmp_path / "buckets") as bucket:
        done = subprocess.run(
            [sys.executable, "-c", RUNS, str(tmp_path / "disk")],
            env=os.environ
            | bucket.environment
            | {"JAX_NUM_CPU_DEVICES": str(jax.device_count()), "PYTHONPATH": os.path.dirname(__file__)},
            input=pickle.dumps(experiment),
            capture_output=True,
            timeout=1200,
        )
    assert done.returncode == 0, done.stderr.decode()
    printed, said = done.stdout.decode().splitlines(), done.stderr.decode()
    run = tmp_path / "buckets" / "bucket" / "runs" / "smoke" / tiny.name
    assert printed[:2] == [f"gs://bucket/runs/smoke/{tiny.name}/model.safetensors"] * 2
    assert f"Going on from step 2 in gs://bucket/runs/smoke/{tiny.name}." in said

    disk = tmp_path / "disk" / "smoke" / tiny.name
    assert metrics(run) == metrics(disk)
    one, other = load_generator(run), load_generator(disk)
    jax.tree.map(np.testing.assert_array_equal, (one.params, one.standing), (other.params, other.standing))
    kept = {path.name for path in (run / "checkpoints").iterdir() if any(file.is_file() for file in path.rglob("*"))}
    assert kept == {"2", "3"}
    assert {path.name for path in (run / "samples").iterdir()} == {"step_000002.png", "step_000003.png"}
    assert not list(run.rglob("*.partial"))
