"""Figures 3, 7 and 8: the architecture, drawn from the modules of an experiment's own model."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dvdgan_lib import boxes, drawing
from dvdgan_lib.boxes import BATCH, BOX
from dvdgan_lib.configuration import ModelConfig
from dvdgan_lib.diagrams import Graph, Node, abstract_variables, dataflow, module_dataflow
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.drawing import BUS, ROW, UNIT, Positions
from dvdgan_lib.generator import Generator

_CONDITIONS = {"condition": "[z; e(y)]", "labels": "y"}


def _array(*shape: int, dtype: type = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((BATCH, *shape), dtype)


def _labels() -> jax.ShapeDtypeStruct:
    return _array(dtype=jnp.int32)


def _conditioning(config: ModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    if not config.conditioning_frames:
        return {}
    return {"conditioning": _array(config.conditioning_frames, config.resolution, config.resolution, 3)}


def generator_graph(config: ModelConfig) -> Graph:
    """G by its ConvGRUs and residual blocks; in DVD-GAN-FP the encoder by its blocks too."""
    module = Generator(dataclasses.replace(config, remat=False))  # remat changes no value: it has no place in the picture
    inputs = {"latents": _array(config.latent_dim), "labels": _labels()} | _conditioning(config)
    return module_dataflow(module, ("encoder",), **inputs)


def discriminator_graph(config: ModelConfig) -> Graph:
    """D_S and D_T by their residual blocks, on the generated frames, in DVD-GAN-FP behind the given ones."""
    module = DualDiscriminator(dataclasses.replace(config, remat=False))
    key, size = jax.random.key(0), config.resolution
    clip = _array(config.clip_frames, size, size, 3)
    variables = abstract_variables(module, {"key": key}, video=clip, labels=_labels())

    def judge(variables: dict, video: jax.Array, labels: jax.Array, conditioning: jax.Array | None = None) -> dict:
        whole = video if conditioning is None else jnp.concatenate([conditioning, video], 1)
        return module.apply(variables, whole, labels, key)

    inputs = {"video": _array(config.num_frames, size, size, 3), "labels": _labels()} | _conditioning(config)
    return dataflow(judge, variables, ("spatial", "temporal"), **inputs)


def block_graph(graph: Graph, block: Node) -> Graph:
    """What is inside a residual block of such a graph, at the size that it has there."""
    shapes = {edge.role: jax.ShapeDtypeStruct(edge.shape, jnp.float32) for edge in graph.into(block)}
    return module_dataflow(block.module, fixed={"standing": False} if "condition" in shapes else {}, **shapes)


# --- Panels and figures -----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Panel:
    """A graph at its place in a figure."""

    title: str
    graph: Graph
    at: Positions
    names: dict[str, str]
    groups: list[tuple[list[Node], str]] = dataclasses.field(default_factory=list)


def _figure(title: str, caption: str, panels: list[Panel]) -> Figure:
    """Panels side by side, all at the same scale, with a legend of the kinds of boxes in them."""
    extents = [drawing.extent(panel.graph, panel.at) for panel in panels]
    heights = [top - bottom for _, _, bottom, top in extents]
    widths = [right - left for left, right, _, _ in extents]
    in_corner = heights[-1] < max(heights) - 6.5  # the legend fits below the last panel
    head, foot = 0.85, 0.75 if in_corner else 1.35  # inches for titles, and for legend and caption
    size = (sum(widths) * UNIT, max(heights) * UNIT + head + foot)
    figure = plt.figure(figsize=size)
    offset, drawn = 0.0, set()
    for panel, (left, right, _, top), width in zip(panels, extents, widths, strict=True):
        box = (offset / sum(widths), foot / size[1], width / sum(widths), max(heights) * UNIT / size[1])
        axes = figure.add_axes(box, xlim=(left, right), ylim=(top - max(heights), top), aspect="equal")
        axes.axis("off")
        middle = sum(x for x, _ in panel.at.values()) / len(panel.at)
        axes.text(middle, top, panel.title, ha="center", va="bottom", fontsize=13)
        for members, text in panel.groups:
            drawing.draw_group(axes, panel.graph, panel.at, members, text)
        drawn |= drawing.draw(axes, panel.graph, panel.at, panel.names, _CONDITIONS)
        offset += width
    figure.suptitle(title, fontsize=16, y=1 - 0.1 / size[1], va="top")
    kinds = [kind for kind in boxes.COLOURS if kind in drawn]
    dashes = {"input or output": (0, (3, 2))}
    handles = [Patch(fc=boxes.COLOURS[kind], ec="0.25", ls=dashes.get(kind, "-"), label=kind) for kind in kinds]
    free = (max(heights) - heights[-1]) * UNIT
    place = (1 - widths[-1] / sum(widths) / 2, (foot + free - 0.3) / size[1]) if in_corner else (0.5, (foot + 0.1) / size[1])
    columns = 2 if in_corner else 6
    figure.legend(handles=handles, loc="upper center", ncol=columns, fontsize=11, frameon=False, bbox_to_anchor=place)
    figure.text(0.5, 0.05 / size[1], caption, ha="center", va="bottom", fontsize=10, color="0.3", wrap=True)
    return figure


def _groups(graph: Graph) -> list[tuple[list[Node], str]]:
    """Each ConvGRU of G with its two residual blocks."""
    groups = []
    for gru in graph.find("ConvGRU"):
        number = gru.name.rpartition("_")[2]
        members = [gru, *(node for node in graph.nodes if node.name.startswith(f"block_{number}_"))]
        [entering] = [edge.shape[2] for edge in graph.into(gru) if edge.role == "x"]
        leaving = graph.out_of(members[-1])[0].shape[2]
        groups.append((members, f"{entering}×{entering}\nto {leaving}×{leaving}"))
    return groups


def figure_3(config: ModelConfig, caption: str) -> Figure:
    """G at the left, D_S and D_T at the right (the paper's Figure 3).

    Args:
      config: the model; any change of it changes the figure.
      caption: what stands below.
    """
    g, d = generator_graph(config), discriminator_graph(config)
    names = {"latents": "z", "labels": "y", "": "video", "video": "video to judge"}
    judged = {**names, "spatial": "score of $D_S$", "temporal": "score of $D_T$"}
    panels = [Panel("G", g, drawing.layered(g), names, _groups(g)), Panel("$D_S$ and $D_T$", d, drawing.layered(d), judged)]
    return _figure("Figure 3: the architecture of DVD-GAN", caption, panels)


def figure_7(config: ModelConfig, caption: str, title: str = "Figure 7: the residual blocks") -> Figure:
    """The residual blocks of G, of D_S and of D_T's 3-D part, each one that changes the size (the paper's Figure 7).

    Args:
      config: the model; any change of it changes the figure.
      caption: what stands below.
      title: what stands above.
    """
    g, d = generator_graph(config), discriminator_graph(config)
    up = next(node for node in reversed(g.nodes) if getattr(node.module, "up", False))
    down = {kind: next(n for n in d.nodes if n.name == f"{kind}/block_1") for kind in ("spatial", "temporal")}
    panels = []
    for part, graph, block in (("G", g, up), ("$D_S$", d, down["spatial"]), ("$D_T$", d, down["temporal"])):
        inside = block_graph(graph, block)
        heading = f"{part}'s {block.name.rpartition('/')[2]}"
        panels.append(Panel(heading, inside, drawing.layered(inside), {"x": "input", "": "output"}))
    return _figure(title, caption, panels)


def _with_encoder(graph: Graph) -> Positions:
    """G as ever, and left of it the encoder, from below upwards: each of its outputs beside the ConvGRU that it enters."""
    above = {node.number for node in graph.nodes if node.name.startswith("encoder/") or node.name == "conditioning"}
    above |= {edge.target for edge in graph.edges if edge.source in above and graph.nodes[edge.target].kind == "relu"}
    rest = Graph(graph.nodes, tuple(e for e in graph.edges if e.source not in above and e.target not in above))
    at = drawing.layered(rest)
    # From right to left: the gray line, a shape, ReLU, the convolution, a shape, the block.
    relu_at = -(BOX[0] / 2 + BUS + 2.1 + 0.6)
    conv_at = relu_at - 0.6 - 0.4 - BOX[0] / 2
    block_at = conv_at - BOX[0] - 2.2
    row: dict[int, float] = {}
    for edge in graph.edges:
        if edge.role == "initial":
            y = at[edge.target][1]
            conv = graph.into(graph.nodes[edge.source])[0].source
            at[edge.source], at[conv] = (relu_at, y), (conv_at, y)
            row[graph.into(graph.nodes[conv])[0].source] = y
    # What feeds no ConvGRU: the frames below, and a block half way between its neighbours.
    column = [node.number for node in graph.nodes if node.number in above and node.number not in at]
    for before, number, after in zip([None, *column], column, [*column[1:], None], strict=False):
        y = row.get(number)
        if y is None:
            y = row[after] - ROW if before is None else (row[before] + row[after]) / 2
        row[number] = y
        at[number] = (block_at, y)
    return at


def figure_8(config: ModelConfig, caption: str) -> Figure:
    """DVD-GAN-FP: what prediction adds to Figure 3 (the paper's Figure 8).

    Args:
      config: a model with conditioning frames.
      caption: what stands below.
    """
    g, d = generator_graph(config), discriminator_graph(config)
    c = config.conditioning_frames
    names = {"latents": "z", "labels": "y = 0", "conditioning": f"{c} given frames", "": "generated frames"}
    judged = names | {"video": "frames that follow", "spatial": "score of $D_S$", "temporal": "score of $D_T$"}
    panels = [Panel("G, with the encoder of the given frames", g, _with_encoder(g), names, _groups(g))]
    panels.append(Panel("$D_S$ and $D_T$", d, drawing.layered(d), judged))
    return _figure("Figure 8: DVD-GAN-FP, for prediction", caption, panels)
