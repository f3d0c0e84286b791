"""What ends a run, what only warns, and the page: each rule at its edge, and a run that is stopped by one."""

import math

import numpy as np
import pytest

from dvdgan_lib import health
from dvdgan_lib.health import Health

FINE = {
    "d_loss": 4.0,
    "g_loss": -2.0,
    "d_gradient_norm": 3.0,
    "g_gradient_norm": 0.5,
    "d_singular_value": 1.5,
    "g_singular_value": 1.2,
    "spatial_accuracy": 0.9,
}


def test_a_healthy_run_breaks_no_rule():
    """Scores of tens, gradients that jump a hundredfold, weights that have grown by half."""
    watch, rng = Health(), np.random.default_rng(0)
    for _ in range(300):
        scale = 10 ** rng.uniform(-1, 1)
        assert watch.check(FINE | {"d_gradient_norm": 3 * scale, "g_loss": 50 * scale}) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", FINE)
def test_what_is_not_a_number_is_found_wherever_it_is(name, value):
    assert f"{name} is not a number ({name}: {value})" in Health().check(FINE | {name: value})


@pytest.mark.parametrize("name", ["d_loss", "g_loss"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_loss_without_bound(name, sign):
    assert Health().check(FINE | {name: sign * 9_999.0}) is None
    assert f"{name} is without bound" in Health().check(FINE | {name: sign * 10_001.0})


@pytest.mark.parametrize("name", ["d_singular_value", "g_singular_value"])
def test_weights_without_bound(name):
    assert Health().check(FINE | {name: 9_999.0}) is None
    assert f"the weights are without bound ({name}" in Health().check(FINE | {name: 10_001.0})


def test_gradients_without_bound_for_three_lines_running():
    watch = Health()
    for _ in range(20):
        assert watch.check(FINE) is None
    large = FINE | {"g_gradient_norm": 0.6e4}
    assert [watch.check(large), watch.check(large), watch.check(FINE)] == [None, None, None], "it calmed down"
    assert [watch.check(large), watch.check(large)] == [None, None]
    assert "g_gradient_norm is 6000, and 0.5 was usual" in watch.check(large)


def test_the_first_lines_say_nothing_of_what_is_usual():
    watch = Health()
    assert all(watch.check(FINE | {"d_gradient_norm": value}) is None for value in (1e-9, 1e3, 1e3, 1e3, 1e3))


def test_collapse_warns_once_after_five_sheets_running():
    watch = Health()
    assert [watch.check_diversity(r) for r in (0.01, 0.01, 0.01, 0.01, 0.5)] == [None] * 5
    said = [watch.check_diversity(0.01) for _ in range(12)]
    assert [text is not None for text in said] == [i == 4 for i in range(12)]
    assert "G has collapsed" in said[4]


def test_diversity_is_that_of_samples_beside_real_clips():
    real = np.random.default_rng(0).integers(0, 256, (8, 3, 16, 16, 3), np.uint8)
    assert health.diversity(real, real) == 1.0
    assert health.diversity(np.repeat(real[:1], 8, 0), real) == 0.0
    assert health.diversity(real // 2, real) == pytest.approx(0.5, abs=0.01)
    assert health.diversity(real, np.zeros_like(real)) > 1.0, "data without any variety divides by no zero"


def test_the_page_says_what_was_seen_the_rule_and_what_to_try(tmp_path):
    lines = [f'{{"step": {step}}}' for step in range(1, 10)]
    page = health.write_stopped(
        tmp_path, "It stopped.", "d_loss is without bound", 10, {"d_loss": 2e4, "g_loss": math.nan}, "step 9 in x", lines
    ).read_text()
    assert page.startswith("# Training stopped\n\nIt stopped.\n")
    assert "d_loss is without bound. All rules" in page
    assert '{"d_loss": 20000.0, "g_loss": "nan"}' in page
    assert '{"step": 5}' in page
    assert '{"step": 4}' not in page
    assert "goes on from step 9 in x" in page
    assert "d_learning_rate" in page
