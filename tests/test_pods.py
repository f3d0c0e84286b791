"""The pod table: what is read from a compiled program, what follows from it, and how rows are kept and told."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest

from dvdgan_lib import configuration, experiments, pod_report, pods
from dvdgan_lib.compiled_cost import read_cost

ROOT = Path(__file__).resolve().parents[1]
needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu, the TPU compiler, is missing"
)

CYCLES = ', backend_config={{"window_config":{{"estimated_cycles":"{}"}}}}'
# What the TPU compiler writes, cut down: a loop of 12 turns with a fusion and an all-reduce inside.
HLO = f"""HloModule jit_f, is_scheduled=true, num_partitions=4

%add (a: f32[], b: f32[]) -> f32[] {{
  ROOT %sum = f32[]{{:T(256)}} add(%a, %b){CYCLES.format(7)}
}}

%fused (p: f32[8,4]) -> f32[8,4] {{
  ROOT %twice = f32[8,4]{{1,0:T(8,128)}} add(%p, %p)
}}

%body.1 (t: (s32[], bf16[8,4])) -> (s32[], bf16[8,4]) {{
  %x = bf16[8,4]{{1,0:T(8,128)(2,1)}} get-tuple-element(%t), index=1
  %y = bf16[8,4]{{1,0:T(8,128)(2,1)}} fusion(%x), kind=kOutput, calls=%fused{CYCLES.format(100)}
  %z = bf16[8,4]{{1,0:T(8,128)(2,1)}} all-reduce(%y), to_apply=%add, metadata={{op_name="f32[1000]"}}
  ROOT %r = (s32[], bf16[8,4]) tuple(%i, %z)
}}

%condition.1 (t: (s32[], bf16[8,4])) -> pred[] {{
  %n = s32[]{{:T(256)}} constant(12)
  ROOT %lt = pred[] compare(%i, %n), direction=LT
}}

ENTRY %main (w: f32[2,4]) -> f32[8,4] {{
  %w = f32[2,4]{{1,0:T(2,128)}} parameter(0)
  %g = (f32[2,4]{{1,0}}, f32[8,4]{{1,0}}) all-gather-start(%w), dimensions={{0}}
  %gd = f32[8,4]{{1,0}} all-gather-done(%g)
  %loop = (s32[]{{:T(256)}}, bf16[8,4]{{1,0:T(8,128)(2,1)}}) while(%t), condition=%condition.1, body=%body.1
  %s = f32[2,4]{{1,0}} reduce-scatter(%gd), to_apply=%add
  ROOT %c = f32[8,4]{{1,0}} convolution(%gd, %s), window={{size=3x3}}{CYCLES.format(50)}
}}
"""


def test_cost_of_a_program_counts_a_loop_as_often_as_it_runs():
    cost = read_cost(HLO)
    assert cost.loops == [12]
    assert (cost.cycles, cost.cycles_loops_once) == (50 + 12 * 100, 150)
    assert cost.collectives == {
        "all-gather": {"count": 1, "bytes": 8 * 4 * 4},  # the whole array, not the piece that came in
        "all-reduce": {"count": 12, "bytes": 12 * 8 * 4 * 2},
        "reduce-scatter": {"count": 1, "bytes": 8 * 4 * 4},  # the whole array, not the piece that comes out
    }
    assert cost.wire_bytes == 128 + 2 * 768 + 128


def test_text_that_is_no_program_is_refused():
    with pytest.raises(ValueError, match="no HLO text"):
        read_cost("hello")


@pytest.mark.parametrize("name", ["v3-100", "v9-8", "v3", "tpu"])
def test_unknown_slices_are_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=r"no topology.*v3-8, v3-32, v3-128, v3-512, .*v4-64.*v5e-1.*single core"):
        pods.topology_devices(name)


def test_a_missing_compiler_is_named_with_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(pods.NoTpuCompilerError, match=r"requirements-tpu\.lock") as error:
        pods.topology_devices("v3-512")
    assert "\n" not in str(error.value)
    monkeypatch.setattr(pods, "is_kept", lambda *_: False)
    assert pods.main(["kinetics600_64x64_12f", "v3-512"]) == 1
    assert "requirements-tpu.lock" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["no_such_run"], ["phi_crop"], ["--preset", "colab"]])
def test_what_the_table_does_not_plan_is_said(arguments, capsys):
    assert pods.main(arguments) == 1
    assert "name an experiment and a slice" in capsys.readouterr().err


def test_the_plan_has_every_row_of_the_paper_on_both_pods_and_what_colab_offers():
    for name in ("kinetics600_64x64_12f", *pods._OTHERS):
        for topology in ("v3-128", "v3-512"):
            assert (name, "paper", topology) in pods.PLAN
    papers = {name for name in experiments.NAMES if name.startswith(("kinetics600", "ucf101", "bair"))}
    assert {name for name, preset, topology in pods.PLAN if (preset, topology) == ("paper", "v3-512")} == papers
    assert {("kinetics600_64x64_12f", "colab", t) for t in ("v5e-1", "v6e-1")} <= set(pods.PLAN)
    assert len(set(pods.PLAN)) == len(pods.PLAN)


def test_flops_of_an_update_are_the_passes_through_g_and_d(tiny, monkeypatch):
    parts = [
        SimpleNamespace(name="G: blocks", flops=10),
        SimpleNamespace(name="D_S", flops=1),
        SimpleNamespace(name="D_T", flops=2),
    ]
    monkeypatch.setattr(pods, "summarize", lambda experiment: SimpleNamespace(parts=parts))
    assert tiny.training.batch_size == 2
    assert pods.model_flops(tiny) == {"d": 2 * (10 + 2 * 3 * 3), "g": 2 * (3 * 10 + 2 * 3)}


def row(**more):
    update = {
        "fits": True,
        "memory_gib": 9.0,
        "collectives": {"all-reduce": {"count": 3.0, "bytes": 1e9}},
        "bytes_accessed_loops_once": 2e9,
        "seconds": 0.1,
    }
    e = experiments.get("kinetics600_64x64_12f", "paper")
    made = {
        "experiment": e.name,
        "preset": "paper",
        "topology": "v3-512",
        "devices": 512,
        "configuration": pods.compiled_configuration(e),
        "changes": {},
        "attempts": [],
        "fits": True,
        "d_updates": 2,
        "steps": 300_000,
        "model_flops": {"d": 1e15, "g": 2e15},
        "updates": {"d": update, "g": update | {"seconds": 0.2, "memory_gib": 10.0}},
        "versions": {"jax": "1", "libtpu": "2"},
        "commit": "abcdefghij",
    } | more
    return made | pods.totals(made, pods.DEVICES["v3"])


def test_totals_are_two_updates_of_d_and_one_of_g():
    found = row()
    assert found["step_seconds"] == pytest.approx(0.4)
    assert found["hours"] == pytest.approx(300_000 * 0.4 / 3600)
    assert found["mfu"] == pytest.approx(4e15 / (0.4 * 512 * 61.5e12))
    assert found["memory_gib"] == 10.0


def test_a_row_is_kept_while_its_configuration_stays(tmp_path, monkeypatch):
    key = "kinetics600_64x64_12f", "paper", "v3-512"
    assert not pods.is_kept(*key, tmp_path)
    pods.table_file(*key, tmp_path).write_text(json.dumps(row()))
    assert pods.is_kept(*key, tmp_path)
    assert list(pod_report.load(tmp_path)) == [key]
    changed = pods.changed(experiments.get(*key[:2]), {"remat": True})
    monkeypatch.setattr(experiments, "get", lambda *_: changed)
    assert not pods.is_kept(*key, tmp_path)
    assert pod_report.load(tmp_path) == {}


def test_what_a_run_is_called_or_how_long_it_takes_does_not_change_its_program():
    e = experiments.get("kinetics600_64x64_12f", "paper")
    longer = dataclasses.replace(e, training=dataclasses.replace(e.training, steps=5, g_learning_rate=1.0))
    assert pods.compiled_configuration(e) == pods.compiled_configuration(longer)
    for changes in pods.LADDER:
        assert pods.compiled_configuration(e) != pods.compiled_configuration(pods.changed(e, changes))
        configuration.check(pods.changed(e, changes))


def test_the_table_tells_compiled_missing_and_hopeless_rows_apart():
    key = "kinetics600_64x64_12f", "paper", "v3-512"
    out = {"changes": {}, "updates": {"d": {"fits": True}, "g": {"fits": False, "why": "needs 20G of 15.48G"}}}
    plan = [key, ("kinetics600_64x64_48f", "paper", "v3-128")]
    lines = pod_report.markdown({key: row()}, plan).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "10.0 of 16" in lines[2]
    assert "fits as it is" in lines[2]
    assert lines[3].endswith("not compiled yet |")
    fitted = pod_report.verdict(row(changes={"remat": True}, attempts=[out]))
    assert fitted == "fits with remat = True (with nothing changed the update of G needs 20G of 15.48G)"
    assert "does not fit" in pod_report.verdict(row() | {"fits": False, "attempts": [out]})
    assert "more than TPUs reach" in pod_report.verdict(row(model_flops={"d": 1e16, "g": 1e16}))
    assert pod_report.versions({key: row()}) == "jax 1, libtpu 2; commits abcdefg"


def test_the_table_on_view_is_that_of_the_rows():
    shown = Path(__file__).resolve().parent.parent / "figures/pod_table.md"
    assert shown.read_text() == pod_report.page(), "python -m dvdgan_lib.pod_report > figures/pod_table.md"


@pytest.mark.parametrize(
    ("message", "wants"),
    [
        ("Ran out of memory in memory space hbm. Used 19.3G of\n 15.48G hbm.", "needs 19.3G of 15.48G"),
        ("total memory required for HLO temporaries (17.73G) exceeds available HBM (15.48G).", "needs 17.73G of 15.48G"),
        ("Out of memory, somehow", "Out of memory, somehow"),
        ("INTERNAL: the compiler has a bug", None),
    ],
)
def test_what_is_missing_is_read_from_the_compilers_words(message, wants):
    assert pods._missing(message) == wants


@pytest.mark.parametrize(("gib", "fits"), [(15.0, True), (17.0, False)])
def test_what_the_compiler_lets_pass_must_fit_all_the_same(gib, fits):
    """Its own check passed programs whose buffers together were larger than the memory of a core."""

    class Compiled:
        def memory_analysis(self):
            size = lambda part: int(part * 2**30)  # noqa: E731
            return types.SimpleNamespace(
                argument_size_in_bytes=size(9),
                output_size_in_bytes=size(8),
                alias_size_in_bytes=size(8),
                temp_size_in_bytes=size(gib - 9),
                generated_code_size_in_bytes=0,
            )

        def cost_analysis(self):
            return {"flops": 1.0, "bytes accessed": 1.0, "optimal_seconds": 1.0}

        def as_text(self):
            return "HloModule m\n\nENTRY %main () -> f32[] {\n  ROOT %c = f32[] constant(0)\n}\n"

    found = pods._compile(types.SimpleNamespace(compile=Compiled), pods.DEVICES["v3"])
    assert found["fits"] == fits
    assert found["memory_gib"] == gib if fits else "17.0 of 16 GiB" in found["why"]


def test_a_run_takes_from_the_table_what_makes_it_fit(tmp_path, monkeypatch):
    keys = [("kinetics600_64x64_48f", "paper", topology) for topology in ("v3-512", "v3-128", "v3-32")]
    rows = {key: row() | {"fits": True, "changes": {}} for key in keys}
    rows[keys[1]]["changes"] = {"remat": True, "sharding": "sharded"}
    rows[keys[2]]["fits"] = False
    monkeypatch.setattr(pod_report, "load", lambda: rows)
    e = experiments.get("kinetics600_64x64_48f", "paper")
    assert pod_report.fitted(e, "v3-512") == e
    changed = pod_report.fitted(e, "v3-128")
    assert changed.model == dataclasses.replace(e.model, remat=True)
    assert changed.training == dataclasses.replace(e.training, sharding="sharded")
    for experiment, topology, known in (
        (e, "v3-32", r"v3-128, v3-512\."),
        (experiments.get("kinetics600_64x64_48f"), "v3-128", r"none\."),
    ):
        with pytest.raises(configuration.UnknownExperimentError, match="it knows: " + known):
            pod_report.fitted(experiment, topology)


def test_the_rows_that_are_kept_are_whole():
    """Of those in the repository: what the notebook reads is there, and follows from what was measured."""
    rows = pod_report.load()
    for (name, _, topology), kept in rows.items():
        assert kept["devices"] == len_of(topology), topology
        assert set(kept["versions"]) >= {"jax", "libtpu"}
        if kept["fits"] and name != pods.SAMPLING:
            for what, value in pods.totals(kept, pods.DEVICES[topology.partition("-")[0]]).items():
                assert kept[what] == pytest.approx(value), what
            assert kept["memory_gib"] < pods.DEVICES[topology.partition("-")[0]].memory_gib
    assert pod_report.markdown(rows).count("\n") >= len(pods.PLAN) + 1


def len_of(topology):
    generation, count = topology.split("-")
    return int(count) // 2 if generation == "v4" else int(count)


@needs_compiler
def test_a_loop_compiled_for_a_real_slice():
    """In a process of its own: libtpu reads its environment when it loads."""
    code = """
import json, jax, numpy as np
from jax.sharding import Mesh
jax.config.update("jax_platforms", "cpu")
from dvdgan_lib import devices, pods
from dvdgan_lib.conv_gru import ConvGRU
there = pods.topology_devices("v3-32")
mesh = devices.mesh(64, there)
x = jax.ShapeDtypeStruct((64, 1, 8, 8, 128), np.float32, sharding=devices.batch_sharding(mesh))
gru = ConvGRU(128)
params = jax.eval_shape(lambda x: gru.init(jax.random.key(0), x, 5), x)
whole = lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=devices.replicated(mesh))
with devices.compiling_for("tpu"):
    lowered = jax.jit(jax.grad(lambda p, x: (gru.apply(p, x, 5) ** 2).mean())).lower(jax.tree.map(whole, params), x)
print(json.dumps([len(there), pods._compile(lowered, pods.DEVICES["v3"])]))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    count, found = json.loads(run.stdout.splitlines()[-1])
    assert count == 32
    assert found["fits"]
    assert set(found["loops"]) == {5}, "scanned, as on a TPU"
    assert found["cycles"] > found["cycles_loops_once"] > 0
    assert found["collectives"]["all-reduce"]["bytes"] > 4 * 9 * 128 * 128, "the gradients of the kernels"
    assert 0 < found["memory_gib"] < 1
