"""Two and four real processes on this machine, two devices each, train as one: the same weights, one writer."""

import contextlib
import dataclasses
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dvdgan_lib import data, experiments, hosts
from dvdgan_lib.checkpoints import load_generator
from dvdgan_lib.training import load_source, run_folder
from dvdgan_lib.updates import Updates

ROOT = Path(__file__).resolve().parents[1]
NAME = "kinetics600_64x64_12f"
STEPS = 20


@pytest.fixture(scope="module")
def shared(tiny):
    """The tiny run, but with batches that eight devices can share."""
    training = dataclasses.replace(tiny.training, batch_size=8, ema_start=10, checkpoint_minutes=0.0, sample_every=1000)
    return dataclasses.replace(tiny, training=training)


def environment(devices=2):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return os.environ | {"PYTHONPATH": paths, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}


@contextlib.contextmanager
def processes(count, code, *arguments, cwd=None):
    """`code` in that many processes, given "127.0.0.1:PORT", how many, which, and the arguments."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    commands = [[sys.executable, "-c", code, where, str(count), str(i), *map(str, arguments)] for i in range(count)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": cwd, "env": environment()}
    running = [subprocess.Popen(command, **pipes) for command in commands]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def finish(running, timeout=300):
    """(exit code, stdout, stderr) of each."""
    said = [process.communicate(timeout=timeout) for process in running]
    return [(process.returncode, *texts) for process, texts in zip(running, said, strict=True)]


# --- The same numbers -------------------------------------------------------------------------------------------------


def first_gradients(experiment):
    """Of D's and G's first updates in float32, whole in every process. With b1 = 0 they are Adam's first moments."""
    updates = Updates(experiment)
    state = updates.init(np.uint32(0))
    batches = host_batches(experiment)
    state, _ = updates.update_d(state, *next_batch(updates, batches), np.int32(0))
    d_gradient = jax.device_get(state.d_opt[0].mu)
    state, _ = updates.update_g(state)
    return {"d": d_gradient, "g": jax.device_get(state.g_opt[0].mu)}


def trained(experiment):
    """State and standing statistics (batch norm's) after STEPS steps in float64, whole in every process."""
    from dvdgan_lib.best_model import averaged_generator

    updates, batches = Updates(experiment), host_batches(experiment)
    state = jax.jit(lambda s: jax.tree.map(to_double, s), out_shardings=updates.replicated)(updates.init(np.uint32(0)))
    for _ in range(STEPS):
        for update in range(2):
            state, _ = updates.update_d(state, *next_batch(updates, batches), np.int32(update))
        state, _ = updates.update_g(state)
    standing = averaged_generator(updates, state, {}).standing
    return {"state": jax.device_get(state._replace(seed=0)), "standing": standing}


def to_double(x):
    return x.astype("float64") if x.dtype == "float32" else x


def next_batch(updates, batches):
    batch = next(batches)
    return [jax.make_array_from_process_local_data(updates.split, batch[name]) for name in ("video", "label")]


def host_batches(experiment):
    source, size = load_source(experiment), experiment.training.batch_size
    return data.batches(source, size, 0, replicas=8, host=jax.process_index(), hosts=jax.process_count(), threads=1)


def both(experiment):
    """In this process, whatever others there are."""
    context = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # renamed after jax 0.7
    gradients = first_gradients(experiment)
    hosts.meet("float32")
    with context(True):
        return gradients | trained(experiment)


NUMBERS = """
import pickle, sys
from dvdgan_lib import devices, hosts
devices.setup()
hosts.connect(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
from test_many_hosts import both
experiment = pickle.load(open(sys.argv[4], "rb"))
result = both(experiment)
if hosts.is_first():
    pickle.dump(result, open(sys.argv[5], "wb"))
hosts.leave()
"""


@pytest.fixture(scope="module")
def alone(shared):
    return both(shared)


def largest_difference(one, other, relative=False):
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    found = max(float(np.abs(a - b).max()) for a, b in leaves)
    return found / max(float(np.abs(x).max()) for x in jax.tree.leaves(one)) if relative else found


@pytest.mark.parametrize("count", [2, 4])
def test_weights_and_statistics_are_those_of_one_process(alone, shared, count, tmp_path):
    pickled, result = tmp_path / "experiment", tmp_path / "result"
    pickled.write_bytes(pickle.dumps(shared))
    with processes(count, NUMBERS, pickled, result) as running:
        for code, _, err in finish(running):
            assert code == 0, err
    found = pickle.loads(result.read_bytes())
    for part in ("d", "g"):
        assert largest_difference(alone[part], found[part], relative=True) <= 1e-5
    assert jax.tree.leaves(found["state"])[1].dtype == np.float64
    assert alone["standing"], "batch norm has statistics"
    assert largest_difference(alone["state"], found["state"]) <= 1e-8
    assert largest_difference(alone["standing"], found["standing"]) <= 1e-8


# --- The command ------------------------------------------------------------------------------------------------------

COMMAND = """
import pickle, sys
from dvdgan_lib import best_model, experiments, training
coordinator, count, process, pickled, *more = sys.argv[1:]
experiment = pickle.load(open(pickled, "rb"))
experiments.get = lambda name, preset: experiment
best_model._fid = lambda real, fake: float(fake.mean())
joined = ["--coordinator", coordinator, "--num-processes", count, "--process-id", process]
sys.exit(training.main([experiment.name, *joined, *more]))
"""


def wait_for(running, condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        for process in running:
            assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.05)


def steps_saved(folder):
    there = folder / "checkpoints"
    return sorted(int(path.name) for path in there.iterdir() if path.name.isdigit()) if there.exists() else []


def test_a_lost_process_ends_the_others_and_a_restart_goes_on(shared, tmp_path):
    """One run of two processes: process 1 killed; restarted, process 1 gets SIGTERM; restarted, to the end."""
    pickled, folder = tmp_path / "experiment", run_folder(shared, tmp_path)
    pickled.write_bytes(pickle.dumps(shared))

    with processes(2, COMMAND, pickled, "--workdir", tmp_path, "--steps", 100000) as running:
        wait_for(running, lambda: steps_saved(folder)[-1:] >= [2])
        running[1].kill()
        killed = time.monotonic()
        running[1].communicate()
        ((code, _, err),) = finish(running[:1], 60)
        assert time.monotonic() - killed < 60
        assert code == hosts.LOST, err
        assert "Process 1 of 2 has given no sign of life" in err
        assert "the same command on every host goes on from the last checkpoint" in err
    before = steps_saved(folder)[-1]

    with processes(2, COMMAND, pickled, "--workdir", tmp_path, "--steps", 100000) as running:
        wait_for(running, lambda: steps_saved(folder)[-1] >= before + 2)
        running[1].send_signal(signal.SIGTERM)
        ended = finish(running)
        for code, _, err in ended:
            assert code == 143, err
            assert "Stopped by SIGTERM at step" in err
            assert "Traceback" not in err
        assert "Going on from step" in ended[0][2]
        assert "Going on from step" not in ended[1][2], "process 0 speaks for all"
    stopped = steps_saved(folder)[-1]

    more = ("--steps", stopped + 2, "--evaluate-every", 1)
    with processes(2, COMMAND, pickled, "--workdir", tmp_path, *more) as running:
        for code, out, err in finish(running):
            assert code == 0, err
            assert out.splitlines()[-1].endswith("model.safetensors")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, stopped + 3)), "each step once: one process writes"
    assert all("fid_of_few_clips" in line for line in lines[stopped:])
    assert len(list((folder / "tensorboard").iterdir())) == 3, "one writer a start"
    assert load_generator(folder).card["steps"] == stopped + 2
    assert load_generator(folder / "best").card["fid"] == min(line["fid_of_few_clips"] for line in lines[stopped:])


def test_processes_that_do_not_come_are_one_sentence(capsys, monkeypatch):
    from dvdgan_lib import training

    def refuse(*_, **__):
        raise RuntimeError("DEADLINE_EXCEEDED: Barrier timed out.\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    assert training.main([NAME, "--coordinator", "127.0.0.1:1", "--num-processes", "2", "--process-id", "0"]) == 1
    assert capsys.readouterr().err.startswith("HostsError: The processes of this run could not be joined (DEADLINE")
    assert experiments.NAMES
