"""Two and four real processes on this machine train as one: the same weights, one writer; lost ones, a launcher.

Process 0 compiles for all, see `one_of_many.share_programs`.
"""

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
from one_of_many import both
from test_batch_run import make, repository  # noqa: F401

from dvdgan_lib import hosts
from dvdgan_lib.trained_generator import load_generator
from dvdgan_lib.training import run_folder
from dvdgan_lib.updates import Updates

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "tests/one_of_many.py"
NAME = "kinetics600_64x64_12f"


@pytest.fixture(scope="module")
def shared(tiny):
    """The tiny run, smaller still, with batches that four devices can share."""
    model = dataclasses.replace(tiny.model, num_frames=2, k=1)
    training = dataclasses.replace(tiny.training, batch_size=4, ema_start=10, checkpoint_minutes=0.0, sample_every=1000)
    return dataclasses.replace(tiny, model=model, training=training)


@pytest.fixture(scope="module")
def in_pieces(shared):
    """The same with weights in pieces, so that neither of two hosts has all of a checkpoint."""
    return dataclasses.replace(shared, training=dataclasses.replace(shared.training, sharding="sharded"))


def environment(devices):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    settings = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
    return os.environ | settings | {"PYTHONPATH": paths}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def processes(count, what, *arguments, devices=1):
    """That many processes of `one_of_many`, given "127.0.0.1:PORT", how many, which, and the arguments."""
    where = f"127.0.0.1:{free_port()}"
    commands = [[sys.executable, RUN, what, where, str(count), str(i), *map(str, arguments)] for i in range(count)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment(devices)}
    running = [subprocess.Popen(command, **pipes) for command in commands]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def finish(running, timeout=400):
    """(exit code, stdout, stderr) of each."""
    with ThreadPoolExecutor(len(running)) as pool:  # all at once: a full pipe stops who writes into it
        said = list(pool.map(lambda process: process.communicate(timeout=timeout), running))
    return [(process.returncode, *texts) for process, texts in zip(running, said, strict=True)]


# --- The same numbers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def start(shared):
    return jax.device_get(Updates(shared).init(np.uint32(0)))


@pytest.fixture(scope="module")
def alone(shared, start):
    return both(shared, start)


def largest_difference(one, other):
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in leaves)


def largest(tree):
    return max(float(np.abs(x).max()) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(("count", "devices"), [(2, 2), (4, 1)])
def test_weights_and_statistics_are_those_of_one_process(request, shared, start, count, devices, tmp_path):
    pickled, result = tmp_path / "experiment", tmp_path / "result"
    pickled.write_bytes(pickle.dumps((shared, start)))
    with processes(count, "numbers", pickled, result, devices=devices) as running:
        gradients, after = request.getfixturevalue("alone")  # at the same time
        for code, _, err in finish(running):
            assert code == 0, err
    assert jax.tree.leaves(after["state"].g_params)[0].dtype == np.float64
    assert largest_difference(after["state"].g_params, start.g_params) > 1e-4, "it has learned"
    assert after["standing"], "batch norm has statistics"
    for process in range(count):
        found_gradients, found = pickle.loads(Path(f"{result}-{process}").read_bytes())
        for part in ("d", "g"):
            assert largest_difference(gradients[part], found_gradients[part]) <= 1e-5 * largest(gradients[part])
        assert largest_difference(after["state"], found["state"]) <= 1e-8
        assert largest_difference(after["standing"], found["standing"]) <= 1e-8


# --- The command ------------------------------------------------------------------------------------------------------


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


def ended_by_a_kill(running, which):
    """Kills one of two; what the other says, which must end within a minute."""
    running[which].kill()
    killed = time.monotonic()
    running[which].communicate()
    ((code, _, err),) = finish([running[1 - which]], 60)
    assert time.monotonic() - killed < 60
    assert code == hosts.LOST, err
    last = err.rstrip().splitlines()[-1]
    assert last.endswith("the same command on every host goes on from the last checkpoint.")
    # Orbax's own threads log theirs where process 0 dies in the middle of a save; what the command ends by is the sentence.
    assert 'dvdgan_lib/training.py", line' not in err
    return last


def test_a_lost_process_ends_the_other_and_a_restart_goes_on(in_pieces, tmp_path):
    """Process 1 killed; restarted, process 0 killed; restarted, process 1 gets SIGTERM; restarted, to the end."""
    pickled, folder = tmp_path / "experiment", run_folder(in_pieces, tmp_path)
    pickled.write_bytes(pickle.dumps(in_pieces))
    command = (2, "train", pickled, NAME, "--workdir", tmp_path)

    with processes(*command, "--steps", 100000) as running:
        wait_for(running, lambda: steps_saved(folder)[-1:] >= [2])
        assert "Process 1 of 2 has given no sign of life" in ended_by_a_kill(running, 1)

    before = steps_saved(folder)[-1]
    with processes(*command, "--steps", 100000) as running:
        wait_for(running, lambda: steps_saved(folder)[-1] >= before + 2)
        assert "Process 0 is gone" in ended_by_a_kill(running, 0)

    before = steps_saved(folder)[-1]
    with processes(*command, "--steps", 100000) as running:
        wait_for(running, lambda: steps_saved(folder)[-1] >= before + 2)
        running[1].send_signal(signal.SIGTERM)
        ended = finish(running)
        for code, _, err in ended:
            assert code == 143, err
            assert "Stopped by SIGTERM at step" in err
            assert "Traceback" not in err
        assert f"Going on from step {before}" in ended[0][2]
        assert "Going on from step" not in ended[1][2], "process 0 speaks for all"
    stopped = steps_saved(folder)[-1]

    # One bit of the newest checkpoint changes: all hosts find that, wherever the piece lies, and take the one before.
    files = (file for file in Path(folder, "checkpoints", str(stopped), "state").rglob("*") if file.is_file())
    file = max(files, key=lambda file: file.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)
    going_on = steps_saved(folder)[-2]

    with processes(*command, "--steps", stopped + 2, "--evaluate-every", 1) as running:
        ended = finish(running)
        for code, out, err in ended:
            assert code == 0, err
            assert out.splitlines()[-1].endswith("model.safetensors")
            assert f"Checkpoint of step {stopped}" in err
    assert f"Going on from step {going_on}" in ended[0][2]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, stopped + 3)), "each step once: one process writes"
    measured = lines[going_on - 1 :]  # the step that it goes on from, too: due now, and unmeasured before
    assert all("fid_of_few_clips" in line for line in measured)
    assert len(list((folder / "tensorboard").iterdir())) == 4, "one writer a start"
    assert load_generator(folder).card["steps"] == stopped + 2
    assert load_generator(folder / "best").card["fid"] == pytest.approx(min(line["fid_of_few_clips"] for line in measured))


LAUNCHER = """
import subprocess, sys
where = ["--coordinator", "127.0.0.1:PORT", "--num-processes", "2", "--process-id"]
running = [subprocess.Popen([*sys.argv[1:], *where, str(i)]) for i in range(2)]
sys.exit(max(process.wait() for process in running))
"""
# In the copy of the repository that the batch runs in: the real trainer, for the tiny run.
TRAINER = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] == "dvdgan_lib"]:
    del sys.modules[name]
sys.path[:0] = [ROOT, ROOT + "/tests"]
import one_of_many
one_of_many.share_programs()
one_of_many.command("experiment", sys.argv[1:])
"""


def test_a_launcher_starts_the_batchs_training_on_every_host(in_pieces, repository, monkeypatch):  # noqa: F811
    training = dataclasses.replace(in_pieces.training, steps=2)
    (repository / "experiment").write_bytes(pickle.dumps(dataclasses.replace(in_pieces, training=training)))
    (repository / "dvdgan_lib/training.py").write_text(TRAINER.replace("ROOT", repr(str(ROOT))))
    (repository / "launcher.py").write_text(LAUNCHER.replace("PORT", str(free_port())))
    for name, value in environment(devices=1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH")
    process = make(repository, "figure_04", "PRESET=smoke", f"LAUNCHER={sys.executable} launcher.py")
    output, _ = process.communicate(timeout=400)
    log = repository / "runs/smoke" / NAME / "train.log"
    said = log.read_text() if log.exists() else ""
    assert process.returncode == 0, output + said
    assert said.count("model.safetensors\n") == 2, "each process says where it is"
    assert load_generator(repository / "runs/smoke" / NAME).card["device"].startswith("2 x ")
    steps = [json.loads(line)["step"] for line in (repository / "runs/smoke" / NAME / "metrics.jsonl").open()]
    assert steps == [1, 2]


def test_the_vote_that_is_under_way_when_a_checkpoint_is_saved_saves_no_second(monkeypatch):
    """Ten seconds a step, a checkpoint due after a hundred: the vote of the step that saves is read one step later."""
    votes = hosts.Votes()
    monkeypatch.setattr(hosts.jax, "process_count", lambda: 2)
    monkeypatch.setattr(votes, "_split", None, raising=False)
    monkeypatch.setattr(votes, "_largest", lambda vote: vote, raising=False)
    monkeypatch.setattr(hosts.jax, "make_array_from_process_local_data", lambda _, vote: vote[0])
    last, saved = 0, []
    for step in range(1, 40):
        if votes.cast(int(10 * (step - last) > 100)):
            saved.append(step)
            last = step
            votes.drop_saves()
    assert saved == [12, 24, 36]
    votes.cast(15)  # a signal is never dropped
    votes.drop_saves()
    assert votes.cast(0) == 15


@pytest.mark.parametrize("kind", [ValueError, jax.errors.JaxRuntimeError])
def test_a_broken_connection_waits_for_who_is_lost(kind, capsys, monkeypatch):
    """Both kinds come out of JAX, by whether the collective's program was waited for or being started."""
    from dvdgan_lib import training

    def breaks(_):
        raise kind("UNKNOWN: Gloo AllGather failed: Connection reset by peer")

    def lost(seconds):
        assert seconds > hosts.PATIENCE
        raise SystemExit(hosts.LOST)

    monkeypatch.setattr(hosts, "connect", lambda *_: None)
    monkeypatch.setattr(hosts, "_watch", object())
    monkeypatch.setattr(hosts.time, "sleep", lost)
    monkeypatch.setattr(training, "_run", breaks)
    with pytest.raises(SystemExit) as ended:
        training.main([NAME, "--coordinator", "127.0.0.1:1", "--num-processes", "2", "--process-id", "0"])
    assert ended.value.code == hosts.LOST
    assert "Connection reset by peer" in (said := capsys.readouterr().err)
    assert "Traceback" not in said


def test_processes_that_do_not_come_are_one_sentence(capsys, monkeypatch):
    from dvdgan_lib import training

    def refuse(*_, **__):
        raise RuntimeError("DEADLINE_EXCEEDED: Barrier timed out.\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    assert training.main([NAME, "--coordinator", "127.0.0.1:1", "--num-processes", "2", "--process-id", "0"]) == 1
    assert capsys.readouterr().err.startswith("HostsError: The processes of this run could not be joined (DEADLINE")
