"""Rules that pick samples worth showing, so that nobody's taste does: Figure 2's "interesting behavior".

Each takes uint8 videos [N, T, H, W, 3] and gives a score of each, float [N]: the higher, the more of it there is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage


def _changes(videos: np.ndarray) -> np.ndarray:
    """|difference| of neighbouring frames, mean over colours, in pixel values: [N, T-1, H, W]."""
    return np.abs(np.diff(videos.astype(np.float32), axis=1)).mean(-1)


def motion(videos: np.ndarray) -> np.ndarray:
    """Mean change from frame to frame, in pixel values."""
    return np.array([_changes(video[None]).mean() for video in videos])  # one at a time: in float32 all would take gigabytes


def liveliest(videos: np.ndarray, real: np.ndarray) -> tuple[int, int]:
    """The sample with most `motion` of those that move no more than the liveliest real clip: beyond that is flicker.

    Args:
      videos: samples, uint8 [N, T, H, W, 3].
      real: as many real clips of that size.

    Returns:
      Its index, and how many samples move more; where all do, the least moving one.
    """
    moves = motion(videos)
    flickers = moves > motion(real).max()
    return int(np.argmax(np.where(flickers, -moves, moves))), int(flickers.sum())


def detail(videos: np.ndarray) -> np.ndarray:
    """Mean change from a pixel to its neighbours, in pixel values: what a degenerate sample has least of."""
    x = videos.astype(np.float32)
    return sum(np.abs(np.diff(x, axis=axis)).mean((1, 2, 3, 4)) for axis in (2, 3)) / 2


def cut_and_return(videos: np.ndarray) -> np.ndarray:
    """How far a video jumps away within one frame, and later back within one: RMS of pixel values.

    The largest of min(d(i, i+1), d(k-1, k)) - d(i, k) over i + 1 < k, with d the distance of two frames; less the median of
    the other steps: what pulses fast jumps all the time.
    """
    x = videos.astype(np.float32).reshape(*videos.shape[:2], -1)
    t = x.shape[1]
    scores = np.full(len(x), -np.inf)
    distance = lambda i, k: np.sqrt(np.mean((x[:, i] - x[:, k]) ** 2, -1))  # noqa: E731
    step = [distance(i, i + 1) for i in range(t - 1)]
    for i in range(t - 2):
        for k in range(i + 2, t):
            others = [s for at, s in enumerate(step) if at not in (i, k - 1)]
            usual = np.median(others, axis=0) if others else 0
            scores = np.maximum(scores, np.minimum(step[i], step[k - 1]) - distance(i, k) - usual)
    return scores


def _foreground(videos: np.ndarray, threshold: float = 40.0) -> np.ndarray:
    """What differs from the border's median colour, over the whole clip, by more than `threshold`: bool [N, T, H, W]."""
    masks = []
    for video in videos.astype(np.float32):
        border = np.concatenate([video[:, 0], video[:, -1], video[:, :, 0], video[:, :, -1]], 1)
        masks.append(np.abs(video - np.median(border, axis=(0, 1))).max(-1) > threshold)
    return np.stack(masks)


def _fill(mask: np.ndarray) -> float:
    """The share of its bounding box that a mask, bool [H, W], fills."""
    rows, columns = (np.ptp(np.nonzero(mask.any(axis))) + 1 for axis in (1, 0))
    return mask.sum() / (rows * columns)


def growth(videos: np.ndarray) -> np.ndarray:
    """How steadily an object grows, as under a zoom; 0 where a frame has none.

    Log of last area over first, times its |correlation| with time, times how much of its bounding box it fills in the end,
    times the ratio of that to the beginning's: a line that gets longer is no zoom, nor is a dot that becomes a line.
    """
    scores = []
    for mask in _foreground(videos):
        area = mask.mean((1, 2))
        if area.min() == 0 or area.std() == 0:
            scores.append(0.0)
            continue
        first, last = _fill(mask[0]), _fill(mask[-1])
        steady = abs(np.corrcoef(area, np.arange(len(area)))[0, 1])
        scores.append(float(np.log(area[-1] / area[0]) * steady * last * min(first / last, last / first)))
    return np.array(scores)


def drawn(videos: np.ndarray) -> np.ndarray:
    """How much appears and stays, as under a pen: the share S of pixels that become foreground once and remain so.

    Times S / (S + L), with L the share of those that leave it again: what moves is not drawn. Parts as thick as a quarter of
    the frame don't count.
    """
    mask = _foreground(videos)
    stays = ~mask[:, 0] & (np.diff(mask.astype(int), axis=1) >= 0).all(1) & mask[:, -1]
    thickness = max(2, videos.shape[2] // 4)
    stays &= ~ndimage.binary_opening(stays, np.ones((1, thickness, thickness)))
    share, leaves = stays.mean((1, 2)), (np.diff(mask.astype(int), axis=1) < 0).any(1).mean((1, 2))
    return share**2 / np.maximum(share + leaves, 1e-9)


# In the raster order of Figure 2, named by what is measured. The paper's a) is text with further lines appearing, which
# needs a reader; b) a zoom, c) a pen's trace, d) a camera change and return: a rule sees pixels, and none of these for sure.
FIGURE_2: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "most motion": motion,
    "steadiest growth": growth,
    "most that appears and stays": drawn,
    "largest jump and return": cut_and_return,
}


def pick(videos: np.ndarray) -> dict[str, int]:
    """The index of the sample with the highest score by each of FIGURE_2's rules, none twice.

    The last rule picks first, a rule takes what is left: a line that is drawn also moves and grows.
    """
    chosen: dict[str, int] = {}
    for name, score in reversed(FIGURE_2.items()):
        order = np.argsort(-score(videos), kind="stable")
        chosen[name] = int(next(i for i in order if i not in chosen.values()))
    return {name: chosen[name] for name in FIGURE_2}
