"""What processes that tests start run, those of `test_many_hosts` above all; apart, to import no more than they need."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from dvdgan_lib import data, devices, experiments, hosts, training, training_data
from dvdgan_lib.best_model import averaged_generator
from dvdgan_lib.updates import Updates

STEPS = 20


def share_programs():
    """Process 0 compiles for all. Without this each process does, at every start, and four of them on two cores for ever.

    Only process 0 fills JAX's cache, and on CPUs what it fills the others don't find: the key has a fingerprint of the
    machine's devices, which there differs from process to process. For the same reason JAX's own option, which this is,
    makes the others wait for a key that never comes.
    """
    from jax._src import cache_key

    cache_key._hash_accelerator_config = lambda so_far, used: cache_key._hash_devices(so_far, used)
    jax.config.update("jax_share_binary_between_hosts", True)


def placed(updates, tree):
    """NumPy arrays, whole on every device of every process."""
    return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, updates.replicated, lambda i: x[i]), tree)


def next_batch(updates, batches):
    batch = next(batches)
    return [jax.make_array_from_process_local_data(updates.split, batch[name]) for name in ("video", "label")]


def numbers(experiment, start, steps=0):
    """What training computes from a state (NumPy arrays), in this process and whatever others there are; whole.

    Returns:
      Gradients of a first update of D and of G (with b1 = 0 they are Adam's first moments) and, after so many steps, the
      state and batch norm's standing statistics.
    """
    updates, size = Updates(experiment), experiment.training.batch_size
    share = {"host": jax.process_index(), "hosts": jax.process_count(), "threads": 1}
    batches = data.batches(training_data.load_source(experiment), size, 0, replicas=4, **share)
    state, batch = placed(updates, start), next_batch(updates, batches)
    lowered = updates.update_d.lower(state, *batch, np.int32(0)), updates.update_g.lower(state)
    with ThreadPoolExecutor() as pool:
        update_d, update_g = pool.map(lambda one: one.compile(), lowered)
    hosts.meet("compiled")  # collectives wait half a minute for each other, no more
    found = {"d": jax.device_get(update_d(state, *batch, np.int32(0))[0].d_opt[0].mu)}
    found["g"] = jax.device_get(update_g(placed(updates, start))[0].g_opt[0].mu)
    state = placed(updates, start)
    for _ in range(steps):
        for update in range(2):
            state, _ = update_d(state, *next_batch(updates, batches), np.int32(update))
        state, _ = update_g(state)
    if steps:
        standing = averaged_generator(updates, state, {}).standing
        found |= {"state": jax.device_get(state), "standing": standing}
    return found


def both(experiment, start):
    """One step's gradients in float32; the weights and statistics of STEPS steps in float64."""
    context = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # renamed after jax 0.7
    single = numbers(experiment, start)
    with context(True):
        to_double = lambda x: x.astype(np.float64) if x.dtype == np.float32 else x  # noqa: E731
        return single, numbers(experiment, jax.tree.map(to_double, start), STEPS)


def write_numbers(coordinator, count, process, start, result):
    """The process `process` of `count`: reads (experiment, state) and writes what `both` gives."""
    devices.setup()
    hosts.connect(coordinator, int(count), int(process))
    with open(start, "rb") as opened:
        experiment, state = pickle.load(opened)
    with open(f"{result}-{process}", "wb") as opened:
        pickle.dump(both(experiment, state), opened)
    hosts.leave()


def train(coordinator, count, process, experiment, *more):
    """The command, with the experiment from a file and a distance that costs nothing."""
    joined = ["--coordinator", coordinator, "--num-processes", count, "--process-id", process]
    command(experiment, [*more, *joined])


def command(experiment, arguments):
    """`training.main` for the experiment in a file, which takes the named one's place."""
    with open(experiment, "rb") as opened:
        wanted = pickle.load(opened)
    experiments.get = lambda name, preset: wanted
    training.measure_of = lambda *_: lambda real, fake, labels: {"fid": float(fake.mean())}
    sys.exit(training.main(arguments))


if __name__ == "__main__":
    share_programs()
    {"numbers": write_numbers, "train": train}[sys.argv[1]](*sys.argv[2:])
