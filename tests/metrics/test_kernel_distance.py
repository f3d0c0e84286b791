"""KVD against its definition in loops, and without bias where Fréchet distances have one."""

import numpy as np
import pytest

from dvdgan_lib.metrics import I3DFeatures, frechet_video_distance, kernel_distance, kernel_video_distance
from dvdgan_lib.metrics.kernel_distance import squared_mmd


def features(logits, frames=12):
    return I3DFeatures(logits.astype(np.float32), np.zeros((len(logits), 1024), np.float32), (frames, 8, 8))


@pytest.mark.parametrize("rows", [kernel_distance.ROWS, 2])  # all videos at once, and some at a time
def test_against_its_definition(rows, monkeypatch):
    monkeypatch.setattr(kernel_distance, "ROWS", rows)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)) + 0.5
    k = lambda a, b: (sum(p * q for p, q in zip(a, b, strict=True)) / 3 + 1) ** 3  # noqa: E731
    within_x = np.mean([k(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    within_y = np.mean([k(y[i], y[j]) for i in range(4) for j in range(4) if i != j])
    between = np.mean([k(a, b) for a in x for b in y])
    assert squared_mmd(x, y) == pytest.approx(within_x + within_y - 2 * between, rel=1e-12)


def test_no_bias_with_few_videos():
    """Fifty draws of 40 against 40 of one distribution: their mean is 0 within three standard errors; FVDs are far above."""
    rng = np.random.default_rng(1)
    draws = [(features(rng.normal(size=(40, 400))), features(rng.normal(size=(40, 400)))) for _ in range(50)]
    values = np.array([float(kernel_video_distance(*draw)) for draw in draws])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean()) < 3 * error
    assert min(float(frechet_video_distance(*draw)) for draw in draws[:3]) > 100


def test_the_deviation_is_that_of_fresh_draws_or_somewhat_more():
    rng = np.random.default_rng(2)
    found = [
        kernel_video_distance(features(rng.normal(size=(80, 400))), features(rng.normal(size=(80, 400)) + 0.3))
        for _ in range(40)
    ]
    seen = np.std([float(result) for result in found], ddof=1)
    assert 0.8 < np.mean([result.deviation for result in found]) / seen < 2


def test_the_deviation_does_not_depend_on_the_order_of_classes():
    """Clips that have eight classes in turn: every tenth is of half of them, and such subsets would differ a hundredfold."""
    rng = np.random.default_rng(3)
    means = rng.normal(scale=2, size=(8, 400))
    found = []
    for _ in range(20):
        in_turn, drawn = np.arange(160) % 8, rng.integers(0, 8, 160)
        real, fake = (features(means[labels] + rng.normal(size=(160, 400))) for labels in (in_turn, drawn))
        found.append(kernel_video_distance(real, fake))
    seen = np.std([float(result) for result in found], ddof=1)
    assert np.mean([result.deviation for result in found]) < 6 * seen


def test_what_it_says_and_refuses():
    rng = np.random.default_rng(0)
    one, other = features(rng.normal(size=(3, 400))), features(rng.normal(size=(3, 400)))
    text = str(kernel_video_distance(one, other))
    assert text.startswith("KVD (I3D-K400 logits) = ")
    assert "3 real, 3 fake" in text
    assert "+- nan" in text
    with pytest.raises(ValueError, match="two videos a side, got 1 and 3"):
        squared_mmd(np.zeros((1, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="compare equal lengths"):
        kernel_video_distance(one, features(rng.normal(size=(3, 400)), frames=16))
