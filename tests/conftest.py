"""What tests share: the machine's settings, one tiny run whose programs compile quickly, and double precision."""

import contextlib
import copy
import dataclasses
import os
import resource

import pytest

# Programs of tests run for milliseconds: what counts is how long they take to compile. For processes that tests start, too.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a core a test process: NumPy's threads would fight over them
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()


def pytest_configure():
    """Two devices, so that every test computes what a pod does: a batch split over them.

    The persistent compilation cache stays on: a second run of the tests takes its programs from there.
    """
    import jax

    from dvdgan_lib import devices

    jax.config.update("jax_num_cpu_devices", 2)
    devices.setup()


LONGEST = ("smoke", "many_hosts", "real_data", "training", "updates", "variants", "batch_run", "i3d", "frame_prediction")


def pytest_collection_modifyitems(items):
    """The longest files first: begun last, one process would work on one of them while the other had nothing left."""
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


def _smallest(resolution):
    """The smallest run that has all parts: 3 frames, ch = 1, 3 classes, batches of 2."""
    from dvdgan_lib import experiments

    smoke = experiments.get("kinetics600_64x64_12f", "smoke")
    model = dataclasses.replace(
        smoke.model, resolution=resolution, num_frames=3, num_classes=3, ch=1, k=2, latent_dim=8, embedding_dim=5
    )
    training = dataclasses.replace(smoke.training, steps=4, batch_size=2, ema_start=2, ema_decay=0.9, log_every=1)
    evaluation = dataclasses.replace(smoke.evaluation, standing_batches=2, batch_size=4)
    return dataclasses.replace(smoke, model=model, training=training, evaluation=evaluation)


@pytest.fixture(scope="session")
def tiny():
    """Of 8x8, the smallest preset's, for what compiles whole updates: two scales."""
    return _smallest(8)


@pytest.fixture(scope="session")
def tiny_updates(tiny):
    """`Updates` of the tiny run, compiled once for all tests of a process; they take NumPy arrays, too."""
    from dvdgan_lib.updates import Updates

    updates = Updates(tiny)
    updates.compile()
    return updates


@pytest.fixture(scope="session")
def compiled(tiny, tiny_updates):
    """In the place of `training.Updates`: those programs, for any run of the tiny one's model and batch."""

    def updates_of(experiment):
        assert (experiment.model, experiment.training.batch_size) == (tiny.model, tiny.training.batch_size)
        updates = copy.copy(tiny_updates)
        updates.experiment = experiment
        return updates

    return updates_of


@pytest.fixture(scope="session")
def tiny_state(tiny_updates):
    """The tiny run's first state, as NumPy arrays, which no donation can take away."""
    import jax
    import numpy as np

    return jax.device_get(tiny_updates.init(np.uint32(0)))  # as `train` calls it: another type would be another program


@pytest.fixture(scope="session")
def tiny_16():
    """Of 16x16, for what compares G and D with references: three scales."""
    return _smallest(16)


@pytest.fixture(scope="session")
def tiny_16_state(tiny_16):
    """Its first state, as NumPy arrays."""
    import jax
    import numpy as np

    from dvdgan_lib.updates import Updates

    return jax.device_get(Updates(tiny_16).init(np.uint32(0)))


@pytest.fixture
def videos_seen(monkeypatch):
    """The videos that features were asked for, by name. Their features are their first pixels: a copy has distance 0."""
    import numpy as np

    from dvdgan_lib import metrics

    videos_by_name = {}

    def pretend(videos, cache, name, network=metrics.NETWORK):
        videos_by_name[name] = videos
        flat = videos.reshape(len(videos), -1).astype(np.float32)
        pool = np.resize(flat, (len(videos), 1024)) if flat.shape[1] < 1024 else flat[:, :1024]
        return metrics.I3DFeatures(pool[:, :400] / 100, pool, videos.shape[1:4])

    monkeypatch.setattr(metrics, "features_cached", pretend)
    return videos_by_name


@pytest.fixture
def float64():
    """Double precision while the test runs."""
    import jax

    context = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # renamed after jax 0.7
    with contextlib.ExitStack() as stack:
        stack.enter_context(context(True))
        yield


@pytest.fixture(scope="session")
def no_file_above():
    """A context in which no file can be written beyond so many bytes: that fails as it does on a full disk."""

    @contextlib.contextmanager
    def limited(num_bytes):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))  # Python ignores the signal that comes with it
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
