"""The drawn data set: the same clips always, each action moving as its name says."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.data import load
from dvdgan_lib.data.moving_shapes import (
    ACTIONS,
    OBJECTS,
    Camera,
    MovingShapes,
    action_and_object,
    draw_camera,
    draw_shot,
    render,
)

STILL = Camera()


def object_mask(
    label: int, seed: int, num_frames: int = 24, resolution: int = 64, line: bool = False, camera: Camera = STILL
) -> np.ndarray:
    """Coverage of the object alone, [T, H, W] in 0..1: a white object on black, with its line if asked for."""
    shot = draw_shot(label, np.random.default_rng(seed))
    white = {
        "colours": np.full((2, 3), 255.0),
        "background": np.zeros((2, 3)),
        "blobs": np.array([[0, 0, 1, 0, 0, 0]]),
        "line_width": shot.line_width if line else 0.0,
    }
    shot = type(shot)(**{**vars(shot), **white})
    return render(shot, camera, num_frames, resolution)[..., 0] / 255


def centroid(mask: np.ndarray) -> np.ndarray:
    """[T, 2]: x and y in half-widths."""
    grid = (np.arange(mask.shape[1]) + 0.5) * 2 / mask.shape[1] - 1
    area = mask.sum((1, 2))
    return np.stack([mask.sum(1) @ grid / area, mask.sum(2) @ grid / area], axis=-1)


def labels_of(action: str) -> list[int]:
    return [c for c in range(24) if action_and_object(c)[0] == action]


CASES = [(seed, number) for seed in range(6) for number in range(4)]


def test_the_classes_are_all_pairs_and_the_first_six_are_diverse():
    pairs = [action_and_object(c) for c in range(24)]
    assert sorted(pairs) == sorted((a, o) for a in ACTIONS for o in OBJECTS)
    assert {a for a, _ in pairs[:6]} == set(ACTIONS)
    assert {o for _, o in pairs[:6]} == set(OBJECTS)
    for n in (1, 5, 24):
        source = load("moving_shapes", "train", num_frames=1, resolution=4, num_classes=n)
        assert source.class_names == tuple(" ".join(p) for p in pairs[:n])
        assert [source.example(i)["label"] for i in range(30)] == [i % n for i in range(30)]
    assert "stand-in for Kinetics-600" in source.description
    assert len(source) == len(source.labels) == 500_000


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 49_999), st.integers(1, 20), st.integers(1, 40), st.integers(1, 3))
def test_any_length_resolution_and_stride(index, num_frames, resolution, stride):
    source = load("moving_shapes", "test", num_frames=num_frames, resolution=resolution, stride=stride)
    clip = source.example(index)
    assert clip["video"].shape == (num_frames, resolution, resolution, 3)
    assert clip["video"].dtype == np.uint8
    assert type(clip["label"]) is np.int32
    assert clip["label"] == source.labels[index]
    # The scene does not depend on the length or the stride.
    longer = MovingShapes("test", (num_frames - 1) * stride + 3, resolution).example(index)["video"]
    np.testing.assert_array_equal(clip["video"], longer[: (num_frames - 1) * stride + 1 : stride])


def test_the_same_index_is_the_same_clip_in_another_process():
    code = (
        "import zlib; from dvdgan_lib.data.moving_shapes import MovingShapes;"
        "s = MovingShapes('train', 6, 24); print([zlib.crc32(s.example(i)['video'].tobytes()) for i in range(48)])"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    a, b = MovingShapes("train", 6, 24), MovingShapes("train", 6, 24)
    for i in (0, 5, 499_999):
        video = a.example(i)["video"]
        np.testing.assert_array_equal(video, b.example(i, np.random.default_rng(3))["video"])


def test_splits_and_indices_differ():
    videos = [MovingShapes(s, 2, 16).example(i)["video"].tobytes() for s in ("train", "test") for i in range(48)]
    assert len(set(videos)) == 96


@pytest.mark.parametrize(("split", "num_classes"), [("valid", None), ("train", 0), ("train", 25)])
def test_what_there_is_not_is_refused(split, num_classes):
    with pytest.raises(ValueError, match=r"train, test|1 to 24"):
        load("moving_shapes", split, num_frames=2, resolution=8, num_classes=num_classes)


def test_an_index_outside_is_refused():
    with pytest.raises(IndexError, match="49999"):
        MovingShapes("test", 1, 4).example(50_000)


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_translate_goes_straight_on_across_the_frame(seed, number):
    pose = draw_shot(labels_of("translate")[number], np.random.default_rng(seed)).pose
    x, y, angle, radius = pose(np.arange(12.0))
    step = np.diff(np.stack([x, y]), axis=1)
    kept = np.abs(step).max(0) < 1  # the others jump to the opposite side
    assert kept.sum() >= 10
    np.testing.assert_allclose(step[:, kept], step[:, kept][:, :1] * np.ones(kept.sum()), atol=1e-9)
    assert np.hypot(*step[:, 0]) * 11 > 1.2
    assert np.ptp(angle) == np.ptp(radius) == 0
    # It is in sight: on average more than half of the object over the first twelve frames.
    mask = object_mask(labels_of("translate")[number], seed, 12)
    assert mask.sum((1, 2)).mean() > 0.5 * mask.sum((1, 2)).max()


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_rotate_turns_on_the_spot(seed, number):
    label = labels_of("rotate")[number]
    mask = object_mask(label, seed, 12)
    assert np.ptp(centroid(mask), axis=0).max() < 0.03
    assert np.ptp(mask.sum((1, 2))) < 0.03 * mask.sum((1, 2)).mean()
    _, _, angle, _ = draw_shot(label, np.random.default_rng(seed)).pose(np.arange(12.0))
    assert np.pi / 2 < abs(angle[-1] - angle[0]) < 11 * np.pi / 4
    video = render(draw_shot(label, np.random.default_rng(seed)), Camera(), 12, 32).astype(int)
    assert np.abs(video[5] - video[0]).max() > 60  # the two halves' colours show it, even of a disk


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_bounce_turns_round_at_the_walls(seed, number):
    label = labels_of("bounce")[number]
    x, y, _, radius = draw_shot(label, np.random.default_rng(seed)).pose(np.arange(200.0))
    assert max(abs(x).max(), abs(y).max()) <= 1 - radius[0] + 1e-9
    turned = [np.flatnonzero(np.diff(np.sign(np.diff(p)))) for p in (x, y)]
    assert min(t[0] if len(t) else 99 for t in turned) < 11  # once at least within 12 frames
    assert all(len(t) > 5 for t in turned)


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_pulse_changes_its_size_only(seed, number):
    mask = object_mask(labels_of("pulse")[number], seed, 11)
    area = mask.sum((1, 2))
    assert area.max() > 3 * area.min()
    assert np.ptp(centroid(mask), axis=0).max() < 0.05
    assert (np.diff(np.sign(np.diff(area))) != 0).sum() >= 2  # a whole period holds a largest and a smallest


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_orbit_goes_round(seed, number):
    mask = object_mask(labels_of("orbit")[number], seed, 14, resolution=48)
    x, y, *_ = draw_shot(labels_of("orbit")[number], np.random.default_rng(seed)).pose(np.arange(14.0))
    seen = centroid(mask)
    inside = mask.sum((1, 2)) > 0.97 * mask.sum((1, 2)).max()  # the frame's edge shifts a cut object's centroid
    assert inside.sum() >= 4
    np.testing.assert_allclose(seen[inside], np.stack([x, y], -1)[inside], atol=0.03)
    # Thirteen steps are more than a turn about a middle that is the mean of a circle's extremes.
    angle = np.unwrap(np.arctan2(y - (y.max() + y.min()) / 2, x - (x.max() + x.min()) / 2))
    assert abs(angle[-1] - angle[0]) > 1.9 * np.pi
    assert (np.diff(angle) > 0).all() or (np.diff(angle) < 0).all()


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_stroke_leaves_a_line_that_stays(seed, number):
    label = labels_of("stroke")[number]
    shot = draw_shot(label, np.random.default_rng(seed))
    drawn = object_mask(label, seed, 12, line=True) - object_mask(label, seed, 12)
    tip = object_mask(label, seed, 12)
    line = np.maximum(object_mask(label, seed, 12, line=True), tip)
    away = tip == 0  # where the pen does not hide it, what was there stays there
    for now in range(11):
        both = away[now] & away[now + 1]
        assert (line[now + 1][both] >= line[now][both] - 1.5 / 255).all()
    assert drawn[-1].sum() > 0.04 * 64 * 64
    assert shot.line_width > 0
    assert all(draw_camera("stroke", np.random.default_rng(i)).zoom == 0 for i in range(200))


def test_low_resolution_is_high_resolution_averaged():
    fine, coarse = MovingShapes("train", 12, 128, events=False), MovingShapes("train", 12, 32, events=False)
    for i in range(24):
        small = fine.example(i)["video"].reshape(12, 32, 4, 32, 4, 3).mean((2, 4))
        off = np.abs(small - coarse.example(i)["video"])
        assert off.mean() < 1.0
        assert np.quantile(off, 0.999) < 40  # corners and lines' ends, where coverage is an approximation


def test_nearly_every_frame_moves():
    for i in range(48):
        video = MovingShapes("train", 12, 32).example(i)["video"].astype(int)
        moved = np.abs(np.diff(video, axis=0)).max((1, 2, 3)) > 20
        assert moved.sum() >= 8  # a bounce or a pulse that turns between two frames looks the same in both


def test_cameras_are_rare_and_of_three_kinds():
    cameras = [draw_camera("orbit", np.random.default_rng(i)) for i in range(3000)]
    kinds = {
        "zoom": sum(c.zoom != 0 for c in cameras),
        "pan": sum(c.pan != (0.0, 0.0) for c in cameras),
        "cut": sum(c.cut is not None for c in cameras),
    }
    assert all(0.03 < n / 3000 < 0.05 for n in kinds.values()), kinds
    assert any(c.cut[1] < np.inf for c in cameras if c.cut)


def test_a_zoom_enlarges_and_a_cut_returns():
    plain, zoomed = (object_mask(labels_of("pulse")[1], 0, 12, camera=Camera(zoom=z, period=44)) for z in (0.0, 0.3))
    np.testing.assert_array_equal(plain[0], zoomed[0])
    assert zoomed[11].sum() == pytest.approx(np.exp(0.3) ** 2 * plain[11].sum(), rel=0.02)
    far = object_mask(labels_of("rotate")[1], 0, 12, camera=Camera(pan=(0.3, -0.2), period=44))
    moved = centroid(far)[11] - centroid(object_mask(labels_of("rotate")[1], 0, 12))[11]
    np.testing.assert_allclose(moved, [-0.3, 0.2], atol=0.03)

    with_cuts, without = MovingShapes("train", 16, 16), MovingShapes("train", 16, 16, events=False)
    returning = 0
    for i in range(2000):
        rng = np.random.default_rng((600, 0, i))
        draw_shot(i % 24, rng)
        cut = draw_camera(ACTIONS[i % 6], rng).cut
        if cut is not None:
            same = (with_cuts.example(i)["video"] == without.example(i)["video"]).all((1, 2, 3))
            t = np.arange(16)
            np.testing.assert_array_equal(same, ~((cut[0] <= t) & (t < cut[1])))
            returning += cut[1] < 16
    assert returning > 10
