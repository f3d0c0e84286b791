"""The cache's place, the settings of a process, and presets that don't fit the machine."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from dvdgan_lib import devices
from dvdgan_lib.conv_gru import ConvGRU
from dvdgan_lib.convolution import conv3d

ROOT = Path(__file__).resolve().parents[1]


def test_cache_is_where_the_user_says_or_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("DVDGAN_CACHE", str(tmp_path / "here"))
    assert devices.cache_dir() == tmp_path / "here"
    monkeypatch.delenv("DVDGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert devices.cache_dir() == tmp_path / "caches" / "dvdgan_lib"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert devices.cache_dir() == tmp_path / ".cache" / "dvdgan_lib"


@pytest.mark.parametrize("own", [False, True])
def test_setup_turns_the_compilation_cache_on_unless_the_user_has_one(own, tmp_path):
    """In a process of its own, and one that still computes after a second call."""
    code = (
        "import jax; from dvdgan_lib import devices; devices.keep_memory(); devices.setup(); devices.setup(); "
        "print(jax.config.jax_compilation_cache_dir, float(jax.jit(lambda x: x + 1)(1.0)))"
    )
    environment = os.environ | {"DVDGAN_CACHE": str(tmp_path / "ours")}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    if own:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path / "theirs")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [str(tmp_path / ("theirs" if own else "ours/xla")), "2.0"]


@pytest.mark.parametrize("preset", ["colab", "paper"])
def test_large_presets_are_refused_on_a_cpu_unless_told_to(monkeypatch, preset):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(devices.WrongDeviceError, match=f"{preset}.*needs an accelerator.*laptop.*allow") as error:
        devices.check_device(preset)
    assert "\n" not in str(error.value)
    assert devices.check_device(preset, allow_cpu=True) is None


@pytest.mark.parametrize("preset", ["smoke", "laptop"])
def test_small_presets_fit_a_cpu(monkeypatch, preset):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert devices.check_device(preset) is None


def test_an_accelerator_is_offered_the_larger_preset(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert "TPU" in devices.check_device("laptop")
    assert "colab" in devices.check_device("laptop")
    assert devices.check_device("colab") is None


def test_batches_are_split_and_weights_repeated():
    batch = np.arange(4 * jax.device_count())
    mesh = devices.mesh(len(batch))
    assert mesh.size == jax.device_count()
    split = jax.device_put(batch, devices.batch_sharding(mesh))
    assert {shard.data.shape for shard in split.addressable_shards} == {(4,)}
    whole = jax.device_put(batch, devices.replicated(mesh))
    assert {shard.data.shape for shard in whole.addressable_shards} == {batch.shape}


@pytest.mark.parametrize(
    ("available", "batch_size", "used"), [(1, 8, 1), (2, 8, 2), (6, 8, 2), (4, 2, 2), (8, 512, 8), (2, 3, 1)]
)
def test_as_many_devices_as_a_batch_can_be_split_over(monkeypatch, available, batch_size, used):
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * available)
    assert devices.mesh(batch_size).size == used


@pytest.mark.parametrize(("batch_size", "each"), [(16, 4), (8, 2), (12, 1), (4, 1)])
def test_processes_stand_in_their_order_with_as_many_devices_each(monkeypatch, batch_size, each):
    """Whatever order JAX has: process h must hold the rows that `data.batches` makes for host h."""
    pod = [SimpleNamespace(process_index=process, id=10 * process + i) for process in range(4) for i in range(4)]
    shuffled = [pod[i] for i in np.random.default_rng(0).permutation(16)]
    monkeypatch.setattr(jax, "devices", lambda: shuffled)
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(devices, "Mesh", lambda row, names: [device.id for device in row])
    assert devices.mesh(batch_size) == [10 * process + i for process in range(4) for i in range(each)]


def test_a_batch_that_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(devices.WrongDeviceError, match="A batch of 16 cannot be split over 3 processes evenly") as error:
        devices.mesh(16)
    assert "\n" not in str(error.value)


def test_a_mesh_of_another_machines_devices(monkeypatch):
    """To compile for: their processes count, not those of this machine."""
    pod = [SimpleNamespace(process_index=process, id=10 * process + i) for process in (1, 0) for i in range(8)]
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(devices, "Mesh", lambda row, names: [device.id for device in row])
    assert devices.mesh(8, pod) == [0, 1, 2, 3, 10, 11, 12, 13]


@pytest.mark.parametrize(
    ("shape", "spec", "pieces"),
    [
        ((3, 3, 16, 16), (None, None, None, "pieces"), 8),  # the last of equals
        ((3, 3, 16, 12), (None, None, "pieces"), 8),
        ((3, 3, 5, 12), (None, None, None, "pieces"), 4),  # twice, on four devices each
        ((120, 7), ("pieces",), 8),
        ((16,), (), 1),
        ((), (), 1),
    ],
)
def test_weights_are_split_along_the_axis_that_most_devices_can_share(shape, spec, pieces):
    mesh = Mesh(np.array([jax.devices()[0]] * 8), ("data",))
    found = devices.weight_sharding(mesh, shape)
    assert found.spec == PartitionSpec(*spec)
    assert found.mesh.shape.get("pieces", 1) == pieces
    assert found.mesh.size == 8
    assert found.shard_shape(shape) == tuple(n // pieces if i < len(spec) and spec[i] else n for i, n in enumerate(shape))


def test_pieces_lie_on_the_devices_in_the_order_of_the_batch():
    mesh = devices.mesh(2)
    weight = jax.device_put(np.arange(12).reshape(3, 4), devices.weight_sharding(mesh, (3, 4)))
    pieces = {shard.device: shard.data for shard in weight.addressable_shards}
    for i, device in enumerate(mesh.devices):
        np.testing.assert_array_equal(pieces[device], np.arange(12).reshape(3, 4)[:, 2 * i : 2 * i + 2])


def test_programs_are_traced_for_the_platform_that_is_asked_for(monkeypatch):
    """Inside `compiling_for("tpu")` a scan, outside and after an error inside the CPU's form."""
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    gru, x = ConvGRU(2), jnp.zeros((1, 1, 4, 4, 2))
    params = gru.init(jax.random.key(0), x, 3)
    kernel = jnp.zeros((3, 3, 3, 2, 2))
    trace = lambda: str(  # noqa: E731
        jax.make_jaxpr(lambda x: (gru.apply(params, x, 3), conv3d(jnp.tile(x, (1, 3, 1, 1, 1)), kernel)))(x)
    )
    here = trace()
    with devices.compiling_for("tpu"):
        assert devices.target_platform() == "tpu"
        there = trace()
    with contextlib.suppress(ZeroDivisionError), devices.compiling_for("tpu"):
        raise ZeroDivisionError
    assert devices.target_platform() == "cpu"
    assert "scan[" in there
    assert "scan[" not in here
    assert trace() == here
