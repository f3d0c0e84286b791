"""The simulated data set: the same clips always, an arm that moves, toys that move only where they are pushed."""

import dataclasses
import functools
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.data import batches, load, robot_push_scene
from dvdgan_lib.data.robot_push import RobotPush, render
from dvdgan_lib.data.robot_push_scene import Motion, Scene, draw_scene, simulate

CLIPS = range(40)
PIXEL = 2 / 64  # of BAIR's frames


@functools.cache
def clip(index: int, split: str = "train"):
    """A scene and what becomes of it in 30 frames."""
    scene = RobotPush(split, 30, 16).scene(index)
    return scene, simulate(scene, 30)


def outline(toy, position, rotation, corners: int = 64) -> np.ndarray:
    """[K, 2]: a toy's corners on the floor; a disc's are many."""
    angles = np.arange(corners) * 2 * np.pi / corners
    own = toy.vertices if len(toy.vertices) else toy.radius * np.stack([np.cos(angles), np.sin(angles)], -1)
    cos, sin = rotation
    return own @ np.array([[cos, sin], [-sin, cos]]) + position


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """By how much two convex polygons are apart along the best of their edges' normals; negative: they overlap."""
    best = -np.inf
    for first, second in ((a, b), (b, a)):
        edge = np.roll(first, -1, axis=0) - first
        normals = np.stack([edge[:, 1], -edge[:, 0]], -1) / np.hypot(*edge.T)[:, None]
        best = max(best, ((second @ normals.T).min(0) - (first * normals).sum(-1)).max())
    return best


def gripper_outline(at: np.ndarray) -> np.ndarray:
    half, radius = robot_push_scene._GRIPPER
    angles = np.arange(64) * 2 * np.pi / 64
    return at + radius * np.stack([np.cos(angles), np.sin(angles)], -1) + half * np.sign(np.cos(angles))[:, None] * [1, 0]


def test_what_it_says_it_is():
    for split, count in (("train", 43_264), ("test", 256)):
        source = load("robot_push", split, num_frames=16, resolution=16, num_classes=1)
        assert len(source) == len(source.labels) == count
        assert source.labels.dtype == np.int32
        assert set(source.labels) == {0}
        assert source.class_names == ("robot pushing",)
        assert "stand-in for BAIR" in source.description
        assert split in source.description


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 255), st.integers(1, 30), st.integers(16, 40), st.integers(1, 29))
def test_any_length_resolution_and_stride(index, num_frames, resolution, stride):
    num_frames = min(num_frames, 29 // stride + 1)
    example = load("robot_push", "test", num_frames=num_frames, resolution=resolution, stride=stride).example(index)
    assert example["video"].shape == (num_frames, resolution, resolution, 3)
    assert example["video"].dtype == np.uint8
    assert type(example["label"]) is np.int32
    # Frame t is frame t, whatever else is shown; without a draw the clip is the middle of the thirty.
    whole, span = RobotPush("test", 30, resolution).example(index)["video"], (num_frames - 1) * stride + 1
    before, behind = (30 - span) // 2, -(-(30 - span) // 2)
    np.testing.assert_array_equal(example["video"], whole[before : 30 - behind : stride])


def test_a_random_window_of_the_thirty_frames():
    source, whole = RobotPush("train", 5, 24, stride=3), RobotPush("train", 30, 24)
    for index in range(3):
        frames = whole.example(index)["video"]
        windows = {source.example(index, np.random.default_rng(i))["video"].tobytes() for i in range(120)}
        assert windows == {frames[i : i + 13 : 3].tobytes() for i in range(18)}
    np.testing.assert_array_equal(whole.example(1, np.random.default_rng(0))["video"], whole.example(1)["video"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "there are train, test"),
        ({"num_classes": 0}, "has 1 class, not 0"),
        ({"num_classes": 2}, "has 1 class, not 2"),
        ({"num_frames": 31}, "31 frames with stride 1 does not fit .* the most possible with this stride is 30"),
        ({"num_frames": 16, "stride": 2}, "16 frames with stride 2 does not fit .* with this stride is 15"),
    ],
)
def test_what_there_is_not_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load("robot_push", **{"split": "train", "num_frames": 16, "resolution": 16} | arguments)


@pytest.mark.parametrize("index", [-1, 256])
def test_an_index_outside_is_refused(index):
    with pytest.raises(IndexError, match="0 to 255"):
        RobotPush("test", 1, 16).example(index)


def test_the_same_index_is_the_same_clip_in_another_process():
    code = (
        "import zlib; from dvdgan_lib.data.robot_push import RobotPush;"
        "s = RobotPush('train', 30, 16); print([zlib.crc32(s.example(i)['video'].tobytes()) for i in {}])"
    )
    orders = ("range(40)", "reversed(range(40))")
    runs = [
        subprocess.run([sys.executable, "-c", code.format(o)], capture_output=True, text=True, check=True) for o in orders
    ]
    first, second = (json.loads(run.stdout) for run in runs)
    assert first == second[::-1]


def test_threads_draw_what_one_thread_draws():
    source = RobotPush("train", 16, 16)
    one_by_one = [source.example(i)["video"] for i in range(48)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: source.example(i)["video"], range(48)))
    np.testing.assert_array_equal(one_by_one, together)
    a, b = (next(batches(RobotPush("train", 16, 16), 8, seed=3, threads=n))["video"] for n in (1, 4))
    np.testing.assert_array_equal(a, b)


def test_splits_and_indices_differ():
    videos = [RobotPush(s, 2, 16).example(i)["video"].tobytes() for s in ("train", "test") for i in range(48)]
    assert len(set(videos)) == 96


def test_scenes_are_varied():
    scenes = [clip(i)[0] for i in CLIPS]
    assert {len(scene.toys) for scene in scenes} == {4, 5, 6, 7, 8}
    toys = [toy for scene in scenes for toy in scene.toys]
    assert {len(toy.vertices) for toy in toys} == {0, 3, 4, 5, 6}
    for values in ([toy.radius for toy in toys], [toy.mass for toy in toys]):
        assert max(values) > 1.5 * min(values)
    for toy in toys:
        if len(toy.vertices):  # convex, turning one way
            edge = np.roll(toy.vertices, -1, axis=0) - toy.vertices
            following = np.roll(edge, -1, axis=0)
            assert (edge[:, 0] * following[:, 1] - edge[:, 1] * following[:, 0] > 0).all()
            assert np.hypot(*toy.vertices.T).max() == pytest.approx(toy.radius)


def test_the_arm_moves_in_every_frame_without_jerks():
    steps = np.array([np.diff(clip(i)[1].gripper, axis=0) for i in CLIPS])
    size = np.hypot(*np.moveaxis(steps, -1, 0))
    assert size.min() > 1e-5
    assert (size > 0.02).mean() > 0.9  # two thirds of a pixel of 64
    assert size.max() < 0.2
    source = RobotPush("train", 30, 32)
    for i in range(16):
        assert (np.diff(source.example(i)["video"].astype(int), axis=0) != 0).any((1, 2, 3)).all()
    # The arm is told to be where its acceleration, bounded, takes it.
    for i in range(16):
        plan = robot_push_scene._Plan(clip(i)[0])
        path = np.array([plan.position, *(plan.advance(0.0) for _ in range(200))])
        assert np.hypot(*np.diff(path, n=2, axis=0).T).max() <= robot_push_scene._ACCELERATION * 1.001
        assert plan.leg > 5


def test_toys_are_pushed_in_most_clips_and_then_lie_still():
    moved = np.array([np.hypot(*(clip(i)[1].positions[15] - clip(i)[1].positions[0]).T).max() for i in CLIPS])
    assert (moved > 0.1).mean() > 0.6
    assert (moved == 0).any()  # now and then the arm touches nothing
    for i in CLIPS[:16]:  # the arm taken away, all is at rest within a few frames
        scene, motion = clip(i)
        gone = dataclasses.replace(scene, lifts=((10, 30),))
        positions = simulate(gone, 30).positions
        if not scene.lifts:
            np.testing.assert_array_equal(positions[:10], motion.positions[:10])
        assert np.abs(positions[29] - positions[20]).max() < 1e-6


def test_without_contact_nothing_moves():
    for i in CLIPS[:24]:
        scene = dataclasses.replace(clip(i)[0], lifts=((0, 30),))
        motion = simulate(scene, 30)
        assert (motion.positions == motion.positions[0]).all()
        assert (motion.rotations == motion.rotations[0]).all()
        assert (motion.heights == 1).all()
        assert np.hypot(*np.diff(motion.gripper, axis=0).T).min() > 1e-5


def test_toys_move_by_contact_only():
    """What starts to move has the gripper on the floor beside it, or a toy that moves."""
    pushes = 0
    for index in CLIPS:
        scene, motion = clip(index)
        moves = (np.diff(motion.positions, axis=0) != 0).any(-1)  # [29, N]
        for t in range(29):
            for i in np.flatnonzero(moves[t] & ~moves[:t].any(0)):
                before, after = (outline(scene.toys[i], motion.positions[s, i], motion.rotations[s, i]) for s in (t, t + 1))
                path = motion.gripper[t] + np.linspace(0, 1, 9)[:, None] * (motion.gripper[t + 1] - motion.gripper[t])
                near = [min(gap(gripper_outline(at), before), gap(gripper_outline(at), after)) < 0.01 for at in path]
                touched = any(near) and min(motion.heights[t : t + 2]) == 0
                for j in np.flatnonzero(moves[t]):
                    if j != i:
                        other = outline(scene.toys[j], motion.positions[t + 1, j], motion.rotations[t + 1, j])
                        touched |= gap(other, after) < 0.03
                assert touched, (index, t, i)
                pushes += 1
    assert pushes > 40


def test_nothing_leaves_the_tray_or_enters_another():
    overlaps = []
    for index in CLIPS:
        scene, motion = clip(index)
        edge = np.roll(scene.tray, -1, axis=0) - scene.tray
        out = np.stack([edge[:, 1], -edge[:, 0]], -1) / np.hypot(*edge.T)[:, None]
        for t in range(0, 30, 3):
            shapes = [outline(*toy) for toy in zip(scene.toys, motion.positions[t], motion.rotations[t], strict=True)]
            for shape in [*shapes, gripper_outline(motion.gripper[t])]:
                assert ((shape[:, None] - scene.tray) * out).sum(-1).max() < PIXEL
            if motion.heights[t] == 0:
                shapes.append(gripper_outline(motion.gripper[t]))
            centres = np.array([s.mean(0) for s in shapes])
            for i in range(len(shapes)):
                for j in range(i):
                    if math.dist(centres[i], centres[j]) < 0.5:
                        overlaps.append(-gap(shapes[i], shapes[j]))
                        assert overlaps[-1] < (PIXEL if t else 0)
    assert np.quantile(overlaps, 0.99) < PIXEL / 4


def still(scene: Scene, num_frames: int = 1):
    return simulate(dataclasses.replace(scene, lifts=((0, 30),)), num_frames)


def test_a_gripper_comes_down_where_the_floor_is_free():
    waited = 0
    for index in range(60):
        scene = draw_scene(np.random.default_rng(index))
        scene = dataclasses.replace(scene, lifts=((0, 6),))
        motion = simulate(scene, 30)
        down = np.flatnonzero((motion.heights[1:] == 0) & (motion.heights[:-1] > 0))
        waited += (motion.heights[8:] == robot_push_scene._HOVER).any()
        for t in down:
            assert (motion.positions[t] == motion.positions[0]).all(-1).all()
    assert waited > 5


def test_the_picture_shows_the_toys_and_the_arm_where_they_are():
    """A toy alone changes the pixels about it, and nothing else; so does the arm."""
    for index in range(12):
        scene, _ = clip(index)
        empty = dataclasses.replace(scene, toys=())
        base = render(empty, still(empty), 64).astype(int)
        for toy in scene.toys:
            one = dataclasses.replace(scene, toys=(toy,))
            off = np.abs(render(one, still(one), 64)[0].astype(int) - base[0]).max(-1) > 25
            assert off.sum() > 4
            rows, columns = np.nonzero(off)
            x, y = (columns + 0.5) / 32 - 1, (rows + 0.5) / 32 - 1
            far = np.hypot(x - toy.position[0], y - toy.position[1])
            assert far.max() < 1.4 * 2**0.5 * toy.radius + toy.height + 0.1
    scene, motion = clip(0)
    empty = dataclasses.replace(scene, toys=())
    motion = dataclasses.replace(motion, positions=motion.positions[:, :0], rotations=motion.rotations[:, :0])
    video = render(empty, motion, 64)
    for t in range(30):
        column, row = (((motion.gripper[t] - [0, 0.12 + 0.16 * motion.heights[t]]) + 1) * 32).astype(int)
        assert video[t, row - 2 : row + 3, column - 2 : column + 3].min() < 70  # dark fingers


def test_low_resolution_is_high_resolution_averaged():
    fine, coarse = RobotPush("train", 8, 128), RobotPush("train", 8, 32)
    for i in range(8):
        small = fine.example(i)["video"].reshape(8, 32, 4, 32, 4, 3).mean((2, 4))
        off = np.abs(small - coarse.example(i)["video"])
        assert off.mean() < 2.0
        assert np.quantile(off, 0.99) < 30


def test_a_frame_alone_is_the_frame_in_its_clip():
    """Also where a toy passes another: the one in front is drawn over the one behind."""
    passed = 0
    for index in CLIPS[:10]:
        scene, motion = clip(index)
        video = render(scene, motion, 32)
        passed += (np.diff(np.argsort(motion.positions[..., 1], axis=1), axis=0) != 0).any()
        for t in range(0, 30, 2):
            alone = Motion(*(getattr(motion, f.name)[t : t + 1] for f in dataclasses.fields(motion)))
            np.testing.assert_array_equal(render(scene, alone, 32)[0], video[t])
    assert passed
