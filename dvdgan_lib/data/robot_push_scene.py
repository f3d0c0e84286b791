"""What robot_push simulates: a tray, the toys in it, an arm's plan, and where all that is frame by frame.

Lengths are in half-widths of the frame (x and y run over [-1, 1], y downwards, the tray's floor lies in the picture's
plane), times in frames. pymunk (rigid bodies in the plane) decides the contacts.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pymunk

# The physics.
_SUBSTEPS = 8  # per frame
_DAMPING = 0.03  # the share of its speed that a toy keeps over a frame on the rough floor: it stops where it is left
_ACCELERATION = 0.045  # the arm's largest, per frame squared
_REACHED = 0.1  # this near to a waypoint the arm turns to the next
_STUCK = 0.06  # so far behind where it should be it does, too
_CATCH_UP = 0.06  # the speed at which it makes up for that
_GRIPPER = (0.045, 0.05)  # half its length (along x), and its radius
_GRIPPER_MASS = 2.0
_ARM_FORCE = 4.0  # moves any pile of toys, but stops where one is caught between gripper and wall
_LIFT_SPEED = 0.5  # share of the full height, per frame
_HOVER = 0.5  # how high the gripper waits, of its full height, while a toy lies under it

# What BAIR's toys are made of: plush in white, grey and brown, plastic in the others.
_PALETTE = np.array(
    [
        [112, 205, 30],
        [35, 120, 195],
        [235, 130, 45],
        [205, 50, 45],
        [105, 55, 135],
        [236, 234, 228],
        [168, 168, 172],
        [112, 78, 58],
        [240, 205, 60],
        [60, 165, 170],
    ],
    np.float64,
)


@dataclasses.dataclass(frozen=True)
class Toy:
    """A free object: a convex prism, or a disc where it has no vertices.

    Attributes:
      vertices: float64 [K, 2] about the centre of gravity, K = 0 or 3 to 6.
      radius: of the smallest circle about the centre of gravity that holds it.
      mass: what the arm does not feel but other toys do.
      position: x and y at frame 0; angle: its turn then.
      height: how far up the picture its top is drawn from its foot.
      colours: float64 [2, 3] in [0, 255], of the two parts of its top; `border`: where along its own x they meet.
    """

    vertices: np.ndarray
    radius: float
    mass: float
    position: tuple[float, float]
    angle: float
    height: float
    colours: np.ndarray
    border: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that is random about a clip.

    Attributes:
      toys: 4 to 8 objects, apart from each other and from the gripper.
      tray: float64 [4, 2], the floor's corners: back left, back right, front right, front left.
      start: where the gripper is at frame 0.
      plan: float64 [M, 3]: the x, y of each waypoint and the speed at which the arm heads for it.
      lifts: frames [from, to) in which the arm is told to lift the gripper off the floor.
      floor: float64 [3], its colour; grain: float64 [G, 3]: amplitude, frequency and phase of its stripes.
      light: float64 [4]: x, y, size and strength of a soft reflection; lean: how the forearm slants.
    """

    toys: tuple[Toy, ...]
    tray: np.ndarray
    start: tuple[float, float]
    plan: np.ndarray
    lifts: tuple[tuple[int, int], ...]
    floor: np.ndarray
    grain: np.ndarray
    light: np.ndarray
    lean: float


@dataclasses.dataclass(frozen=True)
class Motion:
    """Where everything is, in float64.

    Attributes:
      positions: [T, N, 2], the toys' centres; rotations: [T, N, 2], cosine and sine of their turns.
      gripper: [T, 2]; heights: [T], from 0 (on the floor) to 1.
    """

    positions: np.ndarray
    rotations: np.ndarray
    gripper: np.ndarray
    heights: np.ndarray


# --- the scene: random parameters ------------------------------------------------------------------------------------


def _draw_outline(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Vertices [K, 2] about their centre of gravity, and the radius of the circle that holds them."""
    sides, size, aspect, *jitter = rng.uniform(size=9).tolist()
    count, size, aspect = 2 + int(5 * sides), 0.145 + 0.07 * size, 0.5 + 0.5 * aspect
    if count < 3:
        return np.zeros((0, 2)), 0.75 * size
    # Points on an ellipse, in order, are the corners of a convex polygon.
    angles = [2 * math.pi * (k + 0.4 * jitter[k]) / count for k in range(count)]
    corners = [(size * math.cos(a), size * aspect * math.sin(a)) for a in angles]
    centre = pymunk.Poly(None, corners).center_of_gravity
    vertices = np.array(corners) - centre
    return vertices, max(math.hypot(x, y) for x, y in vertices.tolist())


def _draw_toy(position: tuple[float, float], outline: tuple[np.ndarray, float], rng: np.random.Generator) -> Toy:
    u = rng.uniform
    vertices, radius = outline
    colours = np.clip(_PALETTE[(u(0, len(_PALETTE), 2)).astype(int)] * u(0.85, 1.1), 0, 255)
    if u() < 0.35:
        colours[1] = colours[0] * 0.8
    mass = u(0.5, 2.0) * (radius / 0.16) ** 2
    return Toy(vertices, radius, mass, position, u(0, 2 * np.pi), u(0.05, 0.11), colours, u(-0.4, 0.4) * radius)


def _half_width(tray: np.ndarray, y: float) -> float:
    """Of the floor, at y."""
    (half_back, back), (half_front, front) = tray[1].tolist(), tray[2].tolist()
    return half_back + (half_front - half_back) * (y - back) / (front - back)


def _in_tray(tray: np.ndarray, margin: float, rng: np.random.Generator) -> tuple[float, float]:
    """A random point of the floor, `margin` away from the walls."""
    y = rng.uniform(tray[1, 1] + margin, tray[2, 1] - margin)
    reach = _half_width(tray, y) - 1.05 * margin  # the side walls slant by less than that
    return float(rng.uniform(-reach, reach)), float(y)


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draws a clip's parameters."""
    u = rng.uniform
    back, front, back_half, front_half = u(-0.8, -0.72), u(0.56, 0.66), u(0.66, 0.76), u(0.9, 0.97)
    tray = np.array([[-back_half, back], [back_half, back], [front_half, front], [-front_half, front]])

    start = _in_tray(tray, 0.15, rng)
    taken, toys = [(*start, 0.12)], []
    wanted = 4 + int(u(0, 5))
    for _ in range(40):
        outline = _draw_outline(rng)
        for _ in range(8):
            x, y = _in_tray(tray, outline[1] + 0.01, rng)
            if all((x - a) ** 2 + (y - b) ** 2 > (outline[1] + r + 0.01) ** 2 for a, b, r in taken):
                taken.append((x, y, outline[1]))
                toys.append(_draw_toy((x, y), outline, rng))
                break
        if len(toys) == wanted:
            break

    plan, here = [], start
    for _ in range(12):
        if u() < 0.7:  # through where a toy was at first, and on
            x, y = toys[int(u(0, len(toys)))].position
            far = max(((x - here[0]) ** 2 + (y - here[1]) ** 2) ** 0.5, 0.1)
            on = u(0.0, 0.3) / far
            x, y = x + on * (x - here[0]), y + on * (y - here[1])
            y = min(max(y, back + 0.12), front - 0.12)
            reach = _half_width(tray, y) - 0.12
            here = min(max(x, -reach), reach), y
        else:
            here = _in_tray(tray, 0.12, rng)
        plan.append([*here, u(0.06, 0.13)])
    lifts = []
    if u() < 0.4:
        first = int(u(-4, 20))
        lifts.append((first, first + int(u(5, 12))))
    return Scene(
        toys=tuple(toys),
        tray=tray,
        start=start,
        plan=np.array(plan),
        lifts=tuple(lifts),
        floor=np.array([206, 184, 146]) + u(-10, 10) + u(-6, 6, 3),
        grain=np.stack([u(2, 5, 3), u(6, 24, 3), u(0, 2 * np.pi, 3)], axis=-1),
        light=np.array([u(-0.6, 0.6), u(0.1, 0.6), u(0.3, 0.6), u(15, 45)]),
        lean=u(-0.25, 0.25),
    )


# --- the physics: parameters to positions ----------------------------------------------------------------------------


class _Plan:
    """Where the arm is told to be: from waypoint to waypoint with bounded acceleration."""

    def __init__(self, scene: Scene):
        self.waypoints = scene.plan.tolist()
        self.position, self.velocity, self.leg = scene.start, (0.0, 0.0), 0

    def advance(self, behind: float) -> tuple[float, float]:
        """The position a frame later. An arm that is too far `behind` gives up its waypoint for the next."""
        (x, y), (vx, vy), dt = self.position, self.velocity, 1 / _SUBSTEPS
        self.leg += behind > _STUCK
        for _ in range(_SUBSTEPS):
            to_x, to_y, speed = self.waypoints[self.leg % len(self.waypoints)]
            far = max(((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5, 1e-9)
            if far < _REACHED:
                self.leg += 1
            ax, ay = (speed * (to_x - x) / far - vx) / dt, (speed * (to_y - y) / far - vy) / dt
            ease = min(1.0, _ACCELERATION / max((ax * ax + ay * ay) ** 0.5, 1e-9))
            vx, vy = vx + ease * ax * dt, vy + ease * ay * dt
            x, y = x + vx * dt, y + vy * dt
        self.position, self.velocity = (x, y), (vx, vy)
        return self.position


def simulate(scene: Scene, num_frames: int) -> Motion:
    """Runs the scene for T frames from its start; the first frames do not depend on how many follow.

    The gripper hangs on a joint of limited force behind the plan: it pushes whatever yields, and turns away where a toy
    is caught between it and a wall. Lifted, it touches nothing, and comes down again where the floor is free.
    """
    space = pymunk.Space()
    space.damping, space.iterations, space.collision_slop = _DAMPING, 12, 0.002
    corners = [tuple(corner) for corner in scene.tray.tolist()]
    middle = scene.tray.mean(0)
    thick = 0.2  # so that nothing can be pressed through; laid outside of the floor's edge
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
        out_x, out_y = (by - ay) / length, (ax - bx) / length
        if out_x * (ax - middle[0]) + out_y * (ay - middle[1]) < 0:
            out_x, out_y = -out_x, -out_y
        shift = thick * out_x, thick * out_y
        wall = pymunk.Segment(space.static_body, (ax + shift[0], ay + shift[1]), (bx + shift[0], by + shift[1]), thick)
        wall.friction = 0.3
        space.add(wall)
    bodies = []
    for toy in scene.toys:
        if len(toy.vertices):
            outline = toy.vertices.tolist()
            body = pymunk.Body(toy.mass, pymunk.moment_for_poly(toy.mass, outline))
            shape = pymunk.Poly(body, outline)
        else:
            body = pymunk.Body(toy.mass, pymunk.moment_for_circle(toy.mass, 0, toy.radius))
            shape = pymunk.Circle(body, toy.radius)
        body.position, body.angle, shape.friction = toy.position, toy.angle, 0.4
        space.add(body, shape)
        bodies.append(body)

    target = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
    gripper = pymunk.Body(_GRIPPER_MASS, float("inf"))  # it does not turn
    target.position = gripper.position = scene.start
    half, radius = _GRIPPER
    tip = pymunk.Segment(gripper, (-half, 0), (half, 0), radius)
    tip.friction = 0.5
    joint = pymunk.PivotJoint(target, gripper, (0, 0), (0, 0))
    joint.max_force, joint.max_bias = _ARM_FORCE, _CATCH_UP
    space.add(target, gripper, tip, joint)

    plan = _Plan(scene)
    positions = np.empty((num_frames, len(bodies), 2))
    rotations, at, heights = np.empty_like(positions), np.empty((num_frames, 2)), np.empty(num_frames)
    height = 1.0 if any(start <= 0 < stop for start, stop in scene.lifts) else 0.0
    for t in range(num_frames):
        if t:
            lifted = any(start <= t < stop for start, stop in scene.lifts)
            height = min(height + _LIFT_SPEED, 1.0) if lifted else max(height - _LIFT_SPEED, 0.0)
            if height == 0 and tip.sensor and _covers(space, tip):
                height = _HOVER
            tip.sensor = height > 0
            target.velocity = plan.advance((target.position - gripper.position).length) - target.position
            for _ in range(_SUBSTEPS):
                space.step(1 / _SUBSTEPS)
        tip.sensor = height > 0
        at[t], heights[t] = gripper.position, height
        for i, body in enumerate(bodies):
            positions[t, i], rotations[t, i] = body.position, body.rotation_vector
    return Motion(positions, rotations, at, heights)


def _covers(space: pymunk.Space, tip: pymunk.Shape) -> bool:
    """Whether something lies where the gripper is."""
    return any(found.shape is not None and found.shape is not tip for found in space.shape_query(tip))
