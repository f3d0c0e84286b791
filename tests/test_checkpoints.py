"""Checkpoints that come back exactly or not at all."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from dvdgan_lib import checkpoints
from dvdgan_lib.checkpoints import CheckpointError, Checkpoints
from dvdgan_lib.data import batches, load
from dvdgan_lib.provenance import versions

# Orbax leaves coroutines behind where reading fails; that they were never awaited is said when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def numbers():
    return iter(grain.MapDataset.range(100).seed(0).shuffle().repeat().batch(2).to_iter_dataset())


def state(step):
    rng = np.random.default_rng(step)
    return {"weights": jnp.asarray(rng.normal(size=5000), jnp.float32), "step": jnp.asarray(step, jnp.int32)}


@pytest.fixture
def run(tmp_path):
    """A folder with checkpoints of steps 2 and 4, and the batches that followed each."""
    checkpoints, data, following = Checkpoints(tmp_path / "checkpoints"), numbers(), {}
    for step in (2, 4):
        next(data)
        checkpoints.save(step, state(step), data)
        following[step] = next(data)
    checkpoints.close()
    return tmp_path / "checkpoints", following


def assert_restored(folder, step, following, template_step=0):
    checkpoints, data = Checkpoints(folder), numbers()
    found, restored = checkpoints.restore(state(template_step), data)
    assert found == step
    jax.tree.map(np.testing.assert_array_equal, restored, state(step))
    np.testing.assert_array_equal(next(data), following[step])
    checkpoints.close()


def test_newest_comes_back_with_the_next_batch(run):
    folder, following = run
    assert_restored(folder, 4, following)


def test_an_empty_folder_has_nothing_to_restore(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore(state(0), numbers()) is None
    assert checkpoints.steps == []
    checkpoints.close()


def test_the_last_two_are_kept(run):
    folder, following = run
    checkpoints, data = Checkpoints(folder), numbers()
    checkpoints.save(7, state(7), data)
    following[7] = next(data)
    assert checkpoints.steps == [4, 7]
    checkpoints.close()
    assert_restored(folder, 7, following)


def test_what_is_being_saved_is_not_what_training_writes_next(tmp_path):
    """The state is donated to the next step while it is written."""
    checkpoints, data, following = Checkpoints(tmp_path / "checkpoints", keep=10), numbers(), {}
    move_on = jax.jit(lambda s: jax.tree.map(lambda x: x * 0 - 1, s), donate_argnums=0)
    for step in range(1, 6):
        next(data)
        saved = state(step)
        checkpoints.save(step, saved, data, wait=False)
        jax.block_until_ready(move_on(saved))
        following[step] = next(data)
    assert checkpoints.steps == [1, 2, 3, 4, 5]
    checkpoints.close()
    assert_restored(tmp_path / "checkpoints", 5, following)
    for step in (5, 4, 3):
        shutil.rmtree(tmp_path / "checkpoints" / str(step))
        assert_restored(tmp_path / "checkpoints", step - 1, following)


@pytest.mark.parametrize("wait", [True, False])
def test_a_checkpoint_that_cannot_be_written_is_one_sentence(tmp_path, no_file_above, wait):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    data = numbers()
    checkpoints.save(1, state(1), data)
    following = {1: next(data)}
    sentence = r"The checkpoint of step 2 can't be written to .* \(.*File too large.*\): make room"

    def save():
        checkpoints.save(2, state(2), data, wait=wait)
        checkpoints.wait()  # written in the background, it is told by the next call

    with pytest.raises(CheckpointError, match=sentence), no_file_above(10_000):  # weights have 20,000
        save()
    checkpoints.close()
    assert_restored(tmp_path / "checkpoints", 1, following)


def test_versions_are_in_a_checkpoint(run):
    folder, _ = run
    checkpoints = Checkpoints(folder)
    assert checkpoints.versions(4) == versions()
    shutil.rmtree(folder / "4" / "versions")
    assert checkpoints.versions(4) == {}, "the first ones had none"
    checkpoints.close()


# Restored onto one device and onto four, from a checkpoint of this process's two.
ON_OTHER_DEVICES = """
import sys
import jax
import numpy as np
from dvdgan_lib import devices
from dvdgan_lib.checkpoints import Checkpoints
from test_checkpoints import numbers, state

mesh = devices.mesh(8)
assert mesh.size == int(sys.argv[2])
for where in (devices.replicated(mesh), devices.batch_sharding(mesh)):
    template = {"weights": jax.ShapeDtypeStruct((5000,), "float32", sharding=where)}
    template["step"] = jax.ShapeDtypeStruct((), "int32", sharding=devices.replicated(mesh))
    found, restored = Checkpoints(sys.argv[1]).restore(template, numbers())
    assert found == 4 and restored["weights"].sharding == where
    jax.tree.map(np.testing.assert_array_equal, restored, state(4))
"""


@pytest.mark.parametrize("count", [1, 4])
def test_restoring_onto_another_number_of_devices(run, count):
    here = Path(__file__).resolve().parent
    environment = {"PYTHONPATH": os.pathsep.join(map(str, (here.parent, here))), "JAX_NUM_CPU_DEVICES": str(count)}
    command = [sys.executable, "-c", ON_OTHER_DEVICES, str(run[0]), str(count)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def content(folder):
    """The arrays' bytes: Orbax's largest file."""
    return max((file for file in (folder / "state").rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)


def cut_off(folder):
    for file in (folder / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_one_bit(folder):
    """Orbax itself reads it without a word."""
    file = content(folder)
    changed = bytearray(file.read_bytes())
    changed[len(changed) // 2] ^= 0x10
    file.write_bytes(changed)


DAMAGES = {
    "cut off": cut_off,
    "content gone": lambda folder: content(folder).unlink(),
    "one bit": flip_one_bit,
    "position gone": lambda folder: shutil.rmtree(folder / "data"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_newest_is_passed_over_said_and_replaced(run, damage, caplog):
    folder, following = run
    damage(folder / "4")
    with caplog.at_level(logging.WARNING):
        assert_restored(folder, 2, following)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "dvdgan_lib.checkpoints"]
    assert "Checkpoint of step 4" in warning
    assert "\n" not in warning
    assert len(warning) < 500

    checkpoints, data = Checkpoints(folder), numbers()
    checkpoints.restore(state(0), data)
    next(data), next(data)
    checkpoints.save(4, state(4), data)
    checkpoints.close()
    assert_restored(folder, 4, following)


def sizes(folder):
    return [file.stat().st_size for file in folder.rglob("*") if file.is_file()]


def test_what_is_deleted_is_empty(run):
    """On a mounted Drive deleted files fill the bin at their full size."""
    folder, _ = run
    checkpoints, data = Checkpoints(folder), numbers()
    checkpoints.restore(state(0), data)
    checkpoints.save(6, state(6), data, wait=False)
    assert sum(sizes(folder / "2")) == 0
    assert sum(sizes(folder / "4")) > 0
    checkpoints.close()
    assert not (folder / "2").exists()


def test_the_only_readable_one_is_not_emptied(run):
    folder, _ = run
    content(folder / "4").unlink()
    checkpoints, data = Checkpoints(folder), numbers()
    checkpoints.restore(state(0), data)
    before = sizes(folder / "2")
    checkpoints._checkpointer.save_checkpointables_async = lambda *args, **options: None  # the save that is killed
    checkpoints.save(6, state(6), data, wait=False)
    assert sizes(folder / "2") == before


@pytest.fixture
def deletions(monkeypatch):
    """(name, bytes left in it) of every folder that is deleted, by whomever."""
    seen, rmtree = [], shutil.rmtree

    def recorded(path, *args, **options):
        seen.append((Path(path).name, sum(sizes(Path(path)))))
        rmtree(path, *args, **options)

    monkeypatch.setattr(shutil, "rmtree", recorded)
    return seen


class Watched:
    """A save under way: `written` is called once it is on the disk, before anyone is told so."""

    def __init__(self, saving, written):
        self.saving, self.written = saving, written

    def result(self):
        self.saving.result()
        self.written()


@pytest.mark.parametrize(("keep", "opened_again"), [(1, False), (1, True), (2, True)])  # best/ isn't read when it is opened
def test_the_last_readable_one_is_emptied_once_the_next_is_written(tmp_path, keep, opened_again, deletions):
    """With one kept, and with two where nothing is known of those that there are."""
    folder = tmp_path / "checkpoints"
    checkpoints, data, following = Checkpoints(folder, keep), numbers(), {}
    for step in range(1, keep + 1):
        checkpoints.save(step, state(step), data)
    following[keep] = next(data)
    if opened_again:
        checkpoints.close()
        checkpoints = Checkpoints(folder, keep)
    start, looks = checkpoints._checkpointer.save_checkpointables_async, []

    def look():
        looks.append(checkpoints.steps)
        shutil.copytree(folder, tmp_path / "killed")

    checkpoints._checkpointer.save_checkpointables_async = lambda *args, **options: Watched(start(*args, **options), look)
    checkpoints.save(6, state(6), data, wait=False)
    following[6] = next(data)
    checkpoints.wait()
    assert looks == [[*range(1, keep + 1), 6]]
    assert deletions == [("1", 0)]
    assert checkpoints.steps == [*range(2, keep + 1), 6]
    checkpoints.close()
    assert_restored(folder, 6, following)

    # Killed there, both can be read; with the new one lost to a bad disk, the one before.
    assert_restored(tmp_path / "killed", 6, following)
    cut_off(tmp_path / "killed" / "6")
    assert_restored(tmp_path / "killed", keep, following)


def test_killed_before_it_deletes_what_is_empty(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    checkpoints, data, following = Checkpoints(folder, keep=1), numbers(), {}
    checkpoints.save(2, state(2), data)

    def killed(path):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(OSError, match="killed"):
            checkpoints.save(4, state(4), data)
    following[4] = next(data)
    assert sum(sizes(folder / "2")) == 0
    assert_restored(folder, 4, following)
    checkpoints = Checkpoints(folder, keep=1)
    assert checkpoints.steps == [2, 4]
    checkpoints.save(6, state(6), data)
    assert checkpoints.steps == [6]
    checkpoints.close()


def test_what_gives_way_and_what_a_killed_save_left_are_deleted_empty(run, deletions):
    folder, _ = run
    flip_one_bit(folder / "4")
    (folder / "6.orbax-checkpoint-tmp").mkdir()
    (folder / "6.orbax-checkpoint-tmp" / "manifest.ocdbt").write_bytes(b"half")
    checkpoints, data = Checkpoints(folder), numbers()
    checkpoints.restore(state(0), data)
    checkpoints.save(4, state(4), data)
    checkpoints.close()
    assert sorted(deletions) == [("4", 0), ("6.orbax-checkpoint-tmp", 0)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "uint8"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_checksum_does_not_depend_on_how_an_array_lies_but_on_every_bit(dtype, axis):
    """What the pieces of an array give adds up to what the whole gives; the pieces may lie on many hosts."""
    array = np.random.default_rng(0).integers(0, 256, (4, 6, 8), np.uint8).view(jnp.dtype(dtype))
    whole = checkpoints._sum_of_words(array, (slice(None),) * 3, array.shape)
    middle = array.shape[axis] // 2
    halves = [
        tuple(half if a == axis else slice(None) for a in range(3)) for half in (slice(0, middle), slice(middle, None))
    ]
    assert sum(checkpoints._sum_of_words(array[half], half, array.shape) for half in halves) % 2**32 == whole
    for byte in range(0, array.nbytes, 7):
        changed = array.copy()
        changed.view(np.uint8).reshape(-1)[byte] ^= 1 << byte % 8
        assert checkpoints._sum_of_words(changed, (slice(None),) * 3, array.shape) != whole


def test_arrays_in_pieces_have_checksums():
    mesh = jax.make_mesh((2,), ("device",))
    array = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    found = [
        checkpoints._parts_of_checksums({"x": jax.device_put(array, NamedSharding(mesh, PartitionSpec(*axes)))})
        for axes in ((), ("device",), (None, "device"))
    ]
    assert found[0] == found[1] == found[2] == checkpoints._parts_of_checksums({"x": array}) != {"['x']": 0}


def test_a_checkpoint_without_checksums_is_read_as_it_is(run):
    """The first ones had none."""
    folder, following = run
    shutil.rmtree(folder / "4" / "sums")
    assert_restored(folder, 4, following)


def test_the_position_as_grain_saved_it_is_read(run):
    """The first checkpoints have Grain's own file, of the one process that there was."""
    folder, following = run
    data = folder / "4" / "data"
    shutil.rmtree(data)
    data.mkdir()
    (data / "process_0-of-1.json").write_text('{\n    "next_index": 3\n}')
    metadata = json.loads((folder / "4" / "_CHECKPOINT_METADATA").read_text())
    handlers = "orbax.checkpoint.experimental.v1._src.handlers.stateful_checkpointable_handler"
    metadata["item_handlers"]["data"] = f"{handlers}.StatefulCheckpointableHandler"
    (folder / "4" / "_CHECKPOINT_METADATA").write_text(json.dumps(metadata))
    assert_restored(folder, 4, following)


def test_nothing_but_damaged_ones_is_an_error(run):
    folder, _ = run
    for step in (2, 4):
        cut_off(folder / str(step))
    with pytest.raises(CheckpointError, match=r"None of the checkpoints in .* \(steps 2, 4\) can be read"):
        Checkpoints(folder).restore(state(0), numbers())


def test_a_killed_save_leaves_the_one_before(run):
    """Orbax writes into a folder with a temporary name, which is all that a kill leaves."""
    folder, following = run
    (folder / "6.orbax-checkpoint-tmp-1" / "state").mkdir(parents=True)
    (folder / "6.orbax-checkpoint-tmp-1" / "state" / "manifest.ocdbt").write_bytes(b"half")
    assert_restored(folder, 4, following)


# --- Many processes ---------------------------------------------------------------------------------------------------

# What each of two processes, with two devices each, does: it goes on from the checkpoint of one, and leaves one.
PROCESS = """
import sys
import jax
import numpy as np

port, process, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", 2, process)
listed = jax.devices()
jax.devices = lambda: listed[::-1]  # as on a TPU, where their order need not be that of the processes

from jax.experimental.multihost_utils import process_allgather
from dvdgan_lib import devices
from dvdgan_lib.checkpoints import Checkpoints
from test_checkpoints import loader, state

mesh = devices.mesh(8)
split, replicated = devices.batch_sharding(mesh), devices.replicated(mesh)
template = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), state(0))
own, whole = loader(process, 2), loader(0, 1)
checkpoints = Checkpoints(folder)
step, restored = checkpoints.restore(template, own)
assert step == 1
jax.tree.map(lambda x, wanted: np.testing.assert_array_equal(x.addressable_data(0), wanted), restored, state(1))
next(whole)
for _ in range(2):
    local, wanted = next(own), next(whole)
    for key in ("video", "label"):
        batch = jax.make_array_from_process_local_data(split, local[key])
        assert batch.shape == wanted[key].shape
        assert sorted(shard.index[0].start // 2 for shard in batch.addressable_shards) == [2 * process, 2 * process + 1]
        np.testing.assert_array_equal(process_allgather(batch, tiled=True), wanted[key])
checkpoints.save(3, jax.jit(lambda: state(3), out_shardings=replicated)(), own)
checkpoints.close()
print("done")
"""


def loader(host, hosts):
    source = load("moving_shapes", "train", num_frames=2, resolution=8, num_classes=3)
    return batches(source, 8, seed=1, replicas=4, host=host, hosts=hosts, threads=1)


def test_two_processes_share_global_batches_and_a_checkpoint(tmp_path):
    begun, whole = loader(0, 1), loader(0, 1)
    next(begun)
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder)
    checkpoints.save(1, state(1), begun)
    checkpoints.close()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(__file__).resolve().parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (here.parent, here))), "JAX_PLATFORMS": "cpu"}
    commands = [[sys.executable, "-c", PROCESS, str(port), str(i), str(folder)] for i in range(2)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, env=environment, **pipes) for command in commands]
    try:
        said = [process.communicate(timeout=600) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (out, err) in zip(running, said, strict=True):
        assert process.returncode == 0, err
        assert out.endswith("done\n")  # behind what Gloo says

    checkpoints, data = Checkpoints(folder), loader(0, 1)
    step, restored = checkpoints.restore(state(0), data)
    checkpoints.close()
    assert step == 3
    jax.tree.map(np.testing.assert_array_equal, restored, state(3))
    wanted = [next(whole) for _ in range(4)][3]
    for key, value in next(data).items():
        np.testing.assert_array_equal(value, wanted[key])


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_any_number_of_hosts_goes_on_with_the_same_batches(tmp_path, hosts):
    begun = loader(1, 2)
    next(begun), next(begun), next(begun)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, state(3), begun)
    shares = [loader(host, hosts) for host in range(hosts)]
    for share in shares:
        checkpoints.restore(state(0), share)
    checkpoints.close()
    whole = loader(0, 1)
    for _ in range(3):
        next(whole)
    for wanted in (next(whole), next(whole)):
        made = [next(share) for share in shares]
        for key in wanted:
            np.testing.assert_array_equal(np.concatenate([batch[key] for batch in made]), wanted[key])
