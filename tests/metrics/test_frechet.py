"""Fréchet distances against scipy's matrix root, closed forms and properties."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.metrics import I3DFeatures, frechet_inception_distance, frechet_video_distance
from dvdgan_lib.metrics.frechet import frechet_distance
from dvdgan_lib.metrics.moments import Moments


def mean_and_covariance(samples, ddof=1):
    moments = Moments.of(samples)
    return moments.mean, moments.covariance(ddof)


def random_gaussian(rng, size):
    """Mean and well-conditioned covariance."""
    factor = rng.normal(size=(size, 2 * size))
    return rng.normal(size=size), factor @ factor.T / (2 * size) + 0.1 * np.eye(size)


def random_features(seed, count, frames=12, **fields):
    rng = np.random.default_rng(seed)
    arrays = {"logits": rng.normal(size=(count, 400)), "pool": rng.gamma(1, size=(count, 1024))} | fields
    return I3DFeatures(arrays["logits"].astype(np.float32), arrays["pool"].astype(np.float32), (frames, 64, 64))


@given(st.integers(1, 20), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_against_scipys_matrix_root(size, seed):
    rng = np.random.default_rng(seed)
    (mean_1, cov_1), (mean_2, cov_2) = random_gaussian(rng, size), random_gaussian(rng, size)
    root = scipy.linalg.sqrtm(cov_1 @ cov_2).real
    expected = ((mean_1 - mean_2) ** 2).sum() + np.trace(cov_1 + cov_2 - 2 * root)
    assert frechet_distance(mean_1, cov_1, mean_2, cov_2) == pytest.approx(expected, rel=1e-6)


def test_commuting_covariances_have_a_closed_form():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    deviations_1, deviations_2 = rng.uniform(0, 3, 30), rng.uniform(0, 3, 30)
    mean = rng.normal(size=30)
    ours = frechet_distance(mean, basis * deviations_1**2 @ basis.T, np.zeros(30), basis * deviations_2**2 @ basis.T)
    assert ours == pytest.approx((mean**2).sum() + ((deviations_1 - deviations_2) ** 2).sum(), rel=1e-9)


def test_singular_covariances():
    """Fewer samples than dimensions, where the product's general root is badly conditioned and turns complex."""
    rng = np.random.default_rng(0)
    samples_1, samples_2 = rng.normal(size=(10, 200)), rng.normal(size=(7, 200)) * 2 + 1
    (mean_1, cov_1), (mean_2, cov_2) = mean_and_covariance(samples_1), mean_and_covariance(samples_2)
    # The trace of the root is the nuclear norm of the samples' cross products: no covariance, no root.
    centred_1, centred_2 = (samples_1 - mean_1) / np.sqrt(9), (samples_2 - mean_2) / np.sqrt(6)
    trace_root = np.linalg.svd(centred_1 @ centred_2.T, compute_uv=False).sum()
    expected = ((mean_1 - mean_2) ** 2).sum() + np.trace(cov_1) + np.trace(cov_2) - 2 * trace_root
    assert frechet_distance(mean_1, cov_1, mean_2, cov_2) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(mean_1, cov_1, mean_1, cov_1) == pytest.approx(0, abs=1e-4)
    assert frechet_distance(mean_1, cov_1, mean_1, cov_1) >= 0


def test_no_spread_at_all():
    same = np.ones((5, 3))
    assert frechet_distance(*mean_and_covariance(same), *mean_and_covariance(same + 2)) == pytest.approx(12)


@given(st.integers(0, 1000), st.floats(-10, 10))
@settings(max_examples=20, deadline=None)
def test_translation_and_symmetry(seed, shift):
    rng = np.random.default_rng(seed)
    (mean_1, cov_1), (mean_2, cov_2) = random_gaussian(rng, 8), random_gaussian(rng, 8)
    distance = frechet_distance(mean_1, cov_1, mean_2, cov_2)
    assert frechet_distance(mean_1 + shift, cov_1, mean_2 + shift, cov_2) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(mean_2, cov_2, mean_1, cov_1) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(mean_1, cov_1, mean_1 + shift, cov_1) == pytest.approx(8 * shift**2, rel=1e-9, abs=1e-9)


def test_covariance_is_the_unbiased_one():
    samples = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32) + 1000
    mean, covariance = mean_and_covariance(samples)
    assert covariance.dtype == np.float64
    np.testing.assert_allclose(mean, samples.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(samples.astype(np.float64), rowvar=False, ddof=1), rtol=1e-9)


def test_fvd_reads_logits_and_fid_reads_avgpool():
    one = random_features(0, 20)
    other = random_features(1, 20, pool=one.pool)  # They differ in the logits alone.
    fvd, fid = frechet_video_distance(one, other), frechet_inception_distance(one, other)
    assert fvd.value == pytest.approx(frechet_distance(*mean_and_covariance(one.logits), *mean_and_covariance(other.logits)))
    assert fvd.value > 1
    assert fid.value == pytest.approx(0, abs=1e-3)
    assert (fvd.name, fvd.features) == ("FVD (I3D-K400 logits)", "400 logits")
    assert (fid.name, fid.features) == ("FID (I3D-K400 avgpool)", "1024-d avgpool")


def test_the_result_says_what_it_is():
    result = frechet_video_distance(random_features(0, 511), random_features(1, 600))
    assert float(result) == result.value
    assert result.small_sample
    for part in (
        "FVD",
        "I3D-K400",
        f"{result.value:.2f}",
        "511 real",
        "600 fake",
        "400 logits",
        "12x64x64",
        "SMALL SAMPLE",
    ):
        assert part in str(result)
    enough = frechet_video_distance(random_features(0, 512), random_features(1, 512))
    assert not enough.small_sample
    assert "SMALL SAMPLE" not in str(enough)


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="12 frames and fake ones 16"):
        frechet_video_distance(random_features(0, 5), random_features(1, 5, frames=16))
    with pytest.raises(ValueError, match="at least 2"):
        frechet_video_distance(random_features(0, 5), random_features(1, 1))
    with pytest.raises(ValueError, match="not finite"):
        random_features(0, 5, logits=np.full((5, 400), np.nan))
    with pytest.raises(ValueError, match="not finite"):
        mean_and_covariance(np.array([[1.0], [np.inf]]))
    with pytest.raises(ValueError, match=r"logits \[N, 400\]"):
        random_features(0, 5, logits=np.zeros((4, 400)))


def test_the_covariance_of_ports_that_divide_by_n():
    one, other = random_features(0, 40), random_features(1, 50)
    moments = [m for f in (one, other) for m in mean_and_covariance(f.logits, ddof=0)]
    result = frechet_video_distance(one, other, ddof=0)
    assert result.value == pytest.approx(frechet_distance(*moments), rel=1e-9)
    assert result.value < frechet_video_distance(one, other).value
    assert result.protocol.endswith("covariance over N")
