"""Kept traces: the same numbers without tracing, found again only where nothing has changed, and never in the way."""

import dataclasses

import jax
import numpy as np
import pytest

from dvdgan_lib import devices, traced_programs
from dvdgan_lib.updates import Updates


@pytest.fixture
def smaller(tiny):
    """The tiny run, smaller still: its updates are compiled twice."""
    return dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, num_frames=2, k=1))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DVDGAN_CACHE", str(tmp_path))
    return tmp_path / "traces"


def step(experiment, keep=True):
    """State and metrics after an update of G, from a first state; that of D is only traced, to be quick."""
    updates = Updates(experiment)
    if keep:
        updates.keep_traces()
    state = updates.init(np.uint32(3))
    updates.lower_d()
    return jax.device_get(updates.lower_g().compile()(state))


def no_tracing(monkeypatch):
    def refuse(*_):
        raise AssertionError("traced")

    for name in ("_init", "_update_d", "_update_g"):
        monkeypatch.setattr(Updates, name, refuse)


def test_a_second_start_traces_nothing_and_computes_the_same_bits(smaller, cache, monkeypatch):
    plain = step(smaller, keep=False)
    first = step(smaller)
    assert sorted(file.name for file in cache.glob("*/*")) == ["init", "update_d", "update_g"]
    no_tracing(monkeypatch)
    second = step(smaller)
    for one, other, without in zip(*map(jax.tree.leaves, (first, second, plain)), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, without)
    assert jax.tree.structure(first) == jax.tree.structure(plain)


def test_another_experiment_source_or_setting_is_traced_anew(tiny, cache, monkeypatch):
    folders = [traced_programs.Traces(tiny).folder]
    changed = dataclasses.replace(tiny, training=dataclasses.replace(tiny.training, g_learning_rate=1e-3))
    folders.append(traced_programs.Traces(changed).folder)
    with jax.default_matmul_precision("float32"):
        folders.append(traced_programs.Traces(tiny).folder)
    read = traced_programs.Path.read_bytes
    monkeypatch.setattr(traced_programs.Path, "read_bytes", lambda file: read(file) + b"#" * (file.name == "layers.py"))
    folders.append(traced_programs.Traces(tiny).folder)
    assert len(set(folders)) == 4


@pytest.mark.parametrize("content", [b"", b"not a program", None])
def test_a_file_that_cannot_be_read_is_traced_anew_and_replaced(tiny, cache, content, caplog):
    traces = traced_programs.Traces(tiny)
    jitted = jax.jit(lambda x: 2 * x)
    argument = jax.ShapeDtypeStruct((3,), np.float32)
    traces.by_way_of("double", jitted, argument)
    file = traces.folder / "double"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    found = traces.by_way_of("double", jitted, argument)
    np.testing.assert_array_equal(jax.jit(found)(np.ones(3, np.float32)), 2)
    assert "can't be read" in caplog.text
    assert file.read_bytes() == whole


def test_where_nothing_can_be_written_the_program_runs_all_the_same(tiny, cache, caplog):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the folder should be")
    found = traced_programs.Traces(tiny).by_way_of(
        "double", jax.jit(lambda x: 2 * x), jax.ShapeDtypeStruct((3,), np.float32)
    )
    np.testing.assert_array_equal(jax.jit(found)(np.ones(3, np.float32)), 2)
    assert "could not be kept" in caplog.text


def test_traces_are_kept_where_tracing_is_a_large_part_of_the_start(tiny):
    assert tiny.preset == "smoke"
    assert not traced_programs.worth_keeping(tiny), "compiled once"
    assert traced_programs.worth_keeping(dataclasses.replace(tiny, preset="laptop"))
    with devices.compiling_for("tpu"):
        assert not traced_programs.worth_keeping(dataclasses.replace(tiny, preset="laptop"))
