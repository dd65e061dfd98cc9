"""Shapes: every one covers its keypoints, shows every rotation, and wraps round the borders."""

import numpy as np
import pytest

from spikereel.data.made.shapes import KEYPOINTS, SHAPES, Pose, ShapeLook, background, draw, keypoints, paint


def _look(shape: str) -> ShapeLook:
    return ShapeLook(shape, bright=np.ones(3, np.float32), dark=np.zeros(3, np.float32), frequency=4.0, phase=1.0)


def _pose(x: float = 32.0, y: float = 32.0, angle: float = 0.0, radius: float = 20.0) -> Pose:
    return Pose(*(np.array([value]) for value in (x, y, angle, radius)))


@pytest.mark.parametrize("shape", SHAPES)
def test_keypoints_lie_inside_and_the_radius_bounds_the_shape(shape):
    inside = SHAPES[shape](KEYPOINTS[:, 0], KEYPOINTS[:, 1])
    assert (inside < -0.02).all()
    circle = np.linspace(0, 2 * np.pi, 200)
    assert (SHAPES[shape](1.35 * np.cos(circle), 1.35 * np.sin(circle)) > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("degrees", [30, 45, 60, 90, 120, 180, 270])
def test_every_rotation_changes_the_picture(shape, degrees):
    def picture(angle):
        cover, texture = draw(_look(shape), _pose(angle=angle), height=64, width=64)
        return cover * texture

    assert np.abs(picture(0.0) - picture(np.radians(degrees))).mean() > 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_a_full_turn_and_a_trip_round_the_torus_change_nothing(shape):
    here = draw(_look(shape), _pose(x=5.0, y=60.0), height=64, width=48)
    there = draw(_look(shape), _pose(x=53.0, y=-4.0, angle=2 * np.pi), height=64, width=48)
    np.testing.assert_allclose(here, there, atol=2e-4)


def test_area_grows_with_the_square_of_the_radius():
    small, large = (draw(_look("square"), _pose(radius=r), height=64, width=64)[0].sum() for r in (10.0, 20.0))
    assert small == pytest.approx((2 * 0.8 * 10) ** 2, rel=0.03)
    assert large / small == pytest.approx(4, rel=0.03)


def test_growing_angle_is_clockwise_on_the_screen():
    points = keypoints(_pose(angle=np.pi / 2), height=64, width=64)[0]
    np.testing.assert_allclose(points[0], [32, 42], atol=1e-4)  # the front was at the right and is now below


def test_front_is_brighter():
    flat = ShapeLook("disc", np.ones(3, np.float32), np.zeros(3, np.float32), frequency=0.0, phase=0.0)
    _, texture = draw(flat, _pose(), height=64, width=64)
    assert texture[0, 32, 42] > texture[0, 32, 22] + 0.2


def test_paint_leaves_the_canvas_where_nothing_covers_it():
    canvas = background(np.random.default_rng(0), height=20, width=30)
    assert canvas.shape == (3, 20, 30)
    assert 0.15 < canvas.min() < canvas.max() < 0.85
    zero, one = np.zeros((2, 20, 30), np.float32), np.ones((2, 20, 30), np.float32)
    np.testing.assert_allclose(paint(canvas, _look("disc"), zero, one), np.stack([canvas] * 2))
    np.testing.assert_allclose(paint(canvas, _look("disc"), one, one), 1, atol=1e-6)
