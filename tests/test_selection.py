"""The rules that pick samples, on clips made to have just what each looks for."""

import numpy as np
import pytest

from dvdgan_lib import selection

T, SIZE = 12, 16


def still():
    """A square that rests on grey."""
    clip = np.full((T, SIZE, SIZE, 3), 120, np.uint8)
    clip[:, 6:10, 6:10] = 250
    return clip


def made():
    """A clip for each rule, by its name in FIGURE_2, and three that are for none."""
    rng = np.random.default_rng(0)
    shaken = rng.integers(0, 256, (T, SIZE, SIZE, 3), dtype=np.uint8)
    grown, penned, cut = still(), still(), still()
    for t in range(T):
        r = 1 + t // 2
        grown[t] = 120
        grown[t, 8 - r : 8 + r, 8 - r : 8 + r] = 250
        penned[t, 3, 1 : 2 + t] = 0  # a line that gets longer, and stays
        penned[t, 13, 1 : 2 + t] = 0
    cut[4:8] = [20, 200, 60]
    noisy = np.clip(still() + rng.normal(0, 3, still().shape), 0, 255).astype(np.uint8)
    shrunk = grown[::-1]
    clips = dict(zip(selection.FIGURE_2, (shaken, grown, penned, cut), strict=True))
    return clips | {"still": still(), "noisy": noisy, "shrunk": shrunk}


def test_the_liveliest_sample_moves_no_more_than_real_clips():
    still, slow, fast, flicker = (np.zeros((T, SIZE, SIZE, 3), np.uint8) for _ in range(4))
    slow[1::2], fast[1::2], flicker[1::2] = 10, 60, 255
    real = np.stack([fast, slow])
    assert selection.liveliest(np.stack([still, slow, flicker, fast]), real) == (3, 1), "as much as a real clip is allowed"
    assert selection.liveliest(np.stack([slow, still]), real) == (0, 0)
    assert selection.liveliest(np.stack([flicker, fast]), np.stack([slow])) == (1, 2), "all flicker: the one that does least"


@pytest.mark.parametrize("name", list(selection.FIGURE_2))
def test_a_rule_finds_the_clip_that_was_made_for_it(name):
    clips = made()
    scores = selection.FIGURE_2[name](np.stack(list(clips.values())))
    assert list(clips)[int(np.argmax(scores))] == name


def test_each_rule_takes_another_clip():
    clips = made()
    chosen = selection.pick(np.stack(list(clips.values())))
    assert len(set(chosen.values())) == 4
    assert list(chosen) == list(selection.FIGURE_2)
    assert list(clips)[chosen["most motion"]] == "most motion"


def test_what_is_drawn_stays():
    """A dot that comes and goes changes as many pixels as often as a line that grows, but leaves nothing."""
    drawn, gone = still(), still()
    for t in range(T):
        drawn[t, 3, 1 : 2 + t] = 0
        gone[t, 3, 1 + t] = 0
    line, dot, nothing = selection.drawn(np.stack([drawn, gone, still()]))
    assert line == pytest.approx((T - 1) / SIZE**2)
    assert dot == pytest.approx(1 / T / SIZE**2)  # of T pixels one stays
    assert nothing == 0


def test_a_line_that_gets_longer_is_no_zoom():
    line = np.full((T, SIZE, SIZE, 3), 120, np.uint8)
    for t in range(T):
        line[t, 3, 1 : 2 + t] = 0
        line[t, 3 : 4 + t // 2, 1] = 0
    zoom = made()["steadiest growth"]
    pen = np.full((T, SIZE, SIZE, 3), 120, np.uint8)  # a thick one, which starts as a dot that fills its box
    for t in range(T):
        pen[t, 3:6, 1 : 4 + t] = 0
        pen[t, 3 : 6 + t, 1:4] = 0
    of_line, of_pen, of_zoom = selection.growth(np.stack([line, pen, zoom]))
    assert of_line < of_zoom / 2
    assert of_pen < of_zoom / 2


def test_what_pulses_all_the_time_is_no_cut():
    cut, pulse = still(), still()
    cut[4:8] = [20, 200, 60]
    pulse[::2] = [20, 200, 60]
    assert np.subtract(*selection.cut_and_return(np.stack([cut, pulse]))) > 50


def test_values_of_simple_clips():
    flash = still()
    flash[5] = np.minimum(flash[5].astype(int) + 5, 255)
    assert selection.motion(np.stack([still(), flash]))[0] == 0
    assert selection.motion(np.stack([flash]))[0] == pytest.approx(2 * 5 / (T - 1))
    there_and_back = np.zeros((1, 3, 2, 2, 3), np.uint8)
    there_and_back[0, 1] = 100
    assert selection.cut_and_return(there_and_back)[0] == pytest.approx(100)
    doubled = np.zeros((1, 2, 8, 8, 3), np.uint8)
    doubled[0, 0, 3:4, 3:5], doubled[0, 1, 3:5, 3:5] = 200, 200
    assert selection.growth(doubled)[0] == pytest.approx(np.log(2))
    assert selection.growth(np.zeros((1, 2, 8, 8, 3), np.uint8))[0] == 0


def test_detail_is_the_change_from_pixel_to_pixel():
    plain = np.full((1, 2, 8, 8, 3), 90, np.uint8)
    stripes = plain.copy()
    stripes[:, :, ::2] = 100  # rows differ by 10, columns by none
    board = (np.indices((8, 8)).sum(0) % 2 * 20).astype(np.uint8)
    board = np.broadcast_to(board[:, :, None], plain.shape)
    scores = selection.detail(np.concatenate([plain, stripes, board]))
    np.testing.assert_allclose(scores, [0, 5, 20])
