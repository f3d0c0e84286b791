"""The runs against what the paper says, and what presets may and may not change."""

import dataclasses
import json

import pytest

from dvdgan_lib import configuration, experiments, model_summary, pod_hours

EVERY = [(name, preset) for name in experiments.NAMES for preset in experiments.PRESETS]

# Name: resolution, frames, stride, data, classes, conditioning frames (Table 1-4, B.4).
PAPER = {
    "kinetics600_64x64_12f": (64, 12, 2, "kinetics600", 600, 0),
    "kinetics600_128x128_12f": (128, 12, 2, "kinetics600", 600, 0),
    "kinetics600_256x256_12f": (256, 12, 2, "kinetics600", 600, 0),
    "kinetics600_64x64_48f": (64, 48, 2, "kinetics600", 600, 0),
    "kinetics600_128x128_48f": (128, 48, 2, "kinetics600", 600, 0),
    "kinetics600_64x64_16f_stride1": (64, 16, 1, "kinetics600", 600, 0),
    "ucf101_128x128_16f": (128, 16, 1, "ucf101", 101, 0),
    "bair_fp_64x64_1to15": (64, 15, 1, "bair", 1, 1),
    "kinetics600_fp_64x64_5to11": (64, 11, 1, "kinetics600", 1, 5),
}


@pytest.mark.parametrize("name", PAPER)
def test_paper_preset_is_the_papers(name):
    e = experiments.get(name, "paper")
    m = e.model
    found = (m.resolution, m.num_frames, e.data.stride, e.data.name, m.num_classes, m.conditioning_frames)
    assert found == PAPER[name]
    assert m.ch == (128 if m.resolution == 64 else 96)
    assert (m.k, m.phi, m.norm, m.latent_dim, m.embedding_dim) == (8, "pool2", "batch", 120, 120)
    assert m.spatial_discriminator
    assert m.temporal_discriminator
    t = e.training
    assert (t.batch_size, t.g_learning_rate, t.d_learning_rate, t.d_updates) == (512, 1e-4, 5e-4, 2)  # B.3
    assert (t.ema_decay, t.ema_start) == (0.9999, 20_000)
    assert t.steps == (1_000_000 if "_fp_" in name else 300_000)  # section 4


@pytest.mark.parametrize("preset", ["colab", "paper"])
def test_hours_of_what_was_not_run_are_compiled_ones_and_say_so(preset):
    topology = {"colab": "v5e-1", "paper": "v3-512"}[preset]
    for name in experiments.NAMES:
        e = experiments.get(name, preset)
        own = pod_hours.step_seconds(name, preset, topology)
        seconds = own or pod_hours.step_seconds("kinetics600_64x64_12f", preset, topology)
        assert e.cost.train_hours == pytest.approx(e.training.steps * seconds / 3600, rel=0.005)
        assert topology in e.cost.basis
        assert e.cost.basis in e.describe()
        assert ("those of kinetics600_64x64_12f" in e.cost.basis) == (own is None)
        larger = (e.model.resolution, e.model.clip_frames) != (64, 12)
        assert ("though of larger clips" in e.cost.basis) == (own is None and larger)
        assert preset == "colab" or own or not larger, "at the paper's size each kind of clip has a row"
        assert e.cost.basis.endswith("on v6e-1 3.4 h") == (preset == "colab")
    assert not experiments.get("k_1", "laptop").cost.basis


def test_without_the_pod_table_the_papers_most_hours_stand(monkeypatch):
    monkeypatch.setattr(pod_hours, "step_seconds", lambda *_: None)
    cost = experiments.get("k_1", "paper").cost
    assert (cost.train_hours, cost.basis) == (96.0, "no row; the most that the paper names")


@pytest.mark.parametrize(("name", "preset"), EVERY)
def test_every_run_exists_at_every_size_and_says_what_it_is(name, preset):
    e = experiments.get(name, preset)
    assert (e.name, e.preset) == (name, preset)
    assert e == experiments.get(name, preset)
    assert name in e.describe()
    assert e.cost.hardware in e.describe()
    assert json.loads(e.to_json())["model"]["num_frames"] == e.model.num_frames
    assert e.model.norm in configuration.NORMS
    assert e.model.phi in configuration.PHIS
    with pytest.raises(dataclasses.FrozenInstanceError):
        e.model.ch = 1


@pytest.mark.parametrize(("name", "preset"), EVERY)
def test_presets_scale_size_but_never_t_c_k_or_what_is_ablated(name, preset):
    paper, here = experiments.get(name, "paper").model, experiments.get(name, preset).model
    sizes = {"resolution", "ch", "num_classes"}
    kept = {f.name for f in dataclasses.fields(here)} - sizes
    assert {f: getattr(here, f) for f in kept} == {f: getattr(paper, f) for f in kept}
    if name.startswith("phi_") and preset != "smoke":
        assert here.resolution >= 32, "phi's ablation needs something to downsample"


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        *[(f"phi_{kind}", "phi", kind) for kind in ("pool2", "pool4", "identity", "crop")],
        *[(f"k_{k}", "k", k) for k in (1, 2, 8, 10)],
        *[(f"norm_{kind}", "norm", kind) for kind in ("group", "layer", "instance", "none")],
        ("norm_over_time", "norm", "batch_over_time"),
        ("no_final_norm", "final_norm", False),
        ("no_block_norm", "block_norm", False),
        ("biggan_deep", "blocks", "biggan_deep"),
        ("no_ds", "spatial_discriminator", False),
        ("no_dt", "temporal_discriminator", False),
    ],
)
@pytest.mark.parametrize("preset", experiments.PRESETS)
def test_an_ablation_changes_one_thing(name, field, value, preset):
    base, here = experiments.get("kinetics600_64x64_12f", preset).model, experiments.get(name, preset).model
    assert dataclasses.replace(base, **{field: value}) == here


@pytest.mark.parametrize("name", experiments.NAMES)
def test_smoke_and_laptop_use_data_that_needs_no_network(name):
    for preset in ("smoke", "laptop"):
        d = experiments.get(name, preset).data
        assert d.name in {stand_in for stand_in, _ in experiments.STAND_INS.values()}
        assert d.folder is None


@pytest.mark.parametrize(("name", "preset"), [("kinetics600_64x64_12f", "paper"), ("phi_pool2", "colab")])  # the largest
def test_the_gigabytes_of_a_run_hold_its_checkpoints(name, preset):
    """Two kept, a third under way, the best one and its successor; float32: G with its average and Adam, D with Adam."""
    e = experiments.get(name, preset)
    parts = model_summary.summarize(e).parts
    in_g, in_d = (sum(part.parameters for part in parts if part.name.startswith(letter)) for letter in "GD")
    assert e.training.evaluate_every
    checkpoints = 5 * 4 * (4 * in_g + 3 * in_d) / 1e9
    assert e.cost.gigabytes == pytest.approx(checkpoints, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [(("kinetics", "laptop"), "kinetics600_64x64_12f"), (("k_8", "huge"), "smoke, laptop, colab, paper")],
)
def test_unknown_names_are_answered_by_what_there_is(arguments, listed):
    with pytest.raises(configuration.UnknownExperimentError, match=listed) as error:
        experiments.get(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "preset"), EVERY)
def test_devices_shuffle_all_clips_independently(name, preset):
    chosen = experiments.get(name, preset).data
    limit = int(name.removeprefix("clips_")) if name.startswith("clips_") else None  # only C.1's sweep
    assert (chosen.shuffling, chosen.clips_per_class) == ("independent", limit)  # B.1


def test_a_seed_has_a_folder_of_its_own():
    e = experiments.get("k_8")
    assert experiments.seeded_name(e, 0) == "k_8"
    assert experiments.seeded_name(e, 2) == "k_8-seed2"
