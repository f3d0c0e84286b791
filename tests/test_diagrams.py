"""The graphs that Figures 3, 7 and 8 are drawn from: they must say what the modules do, and change as they do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from dvdgan_lib import architecture_figures, boxes, configuration, diagrams
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.generator import Generator
from dvdgan_lib.layers import DBlock, DBlock3D, GBlock

B = boxes.BATCH
SMALL = configuration.ModelConfig(resolution=32, num_frames=5, num_classes=3, ch=2, latent_dim=6, embedding_dim=3, k=2)


def array(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def g_block(**settings):
    module = GBlock(**{"features": 8, "up": True, **settings})
    inputs = {"x": array(B, 5, 4, 4, 16), "condition": array(B, 9)}
    return diagrams.module_dataflow(module, fixed={"standing": False}, **inputs)


def way(graph, end, skip=("condition",)):
    """The boxes on the way back from a node to an input, by the first line each: [kind or module's name, ...]."""
    names = []
    while end.kind != "input":
        names.append(end.name if end.module else end.kind)
        edge = next(edge for edge in graph.into(end) if edge.role not in skip)
        end = graph.nodes[edge.source]
    return [*reversed(names)]


def two_ways(graph):
    """The main path and the shortcut of a residual block."""
    [plus] = graph.find("add")
    return sorted((way(graph, graph.nodes[edge.source]) for edge in graph.into(plus)), key=len, reverse=True)


def test_block_of_g():
    graph = g_block()
    main, shortcut = two_ways(graph)
    assert main == ["norm_1", "relu", "upsample", "conv_1", "norm_2", "relu", "conv_2"]
    assert shortcut == ["conv_shortcut", "upsample"]
    conditioned = {graph.nodes[e.target].name for e in graph.edges if e.role == "condition"}
    assert conditioned == {"norm_1", "norm_2"}
    [plus] = graph.find("add")
    [out] = graph.out_of(plus)
    assert (graph.nodes[out.target].kind, out.shape) == ("output", (B, 5, 8, 8, 8))
    entering = {graph.nodes[e.target].name: e.shape for e in graph.edges}
    assert entering["conv_1"] == (5 * B, 8, 8, 16)  # time folded into the batch, upsampled
    assert entering["conv_shortcut"] == (5 * B, 4, 4, 16)


def test_block_of_g_without_change_of_size_has_a_plain_shortcut():
    main, shortcut = two_ways(g_block(features=16, up=False))
    assert main == ["norm_1", "relu", "conv_1", "norm_2", "relu", "conv_2"]
    assert shortcut == []


def test_blocks_of_d():
    main, shortcut = two_ways(diagrams.module_dataflow(DBlock(8, down=True), x=array(B, 8, 8, 4)))
    assert main == ["relu", "conv_1", "relu", "conv_2", "average_pool"]
    assert shortcut == ["average_pool", "conv_shortcut"]
    main, _ = two_ways(diagrams.module_dataflow(DBlock(8, down=True, first=True), x=array(B, 8, 8, 4)))
    assert main == ["conv_1", "relu", "conv_2", "average_pool"]
    graph = diagrams.module_dataflow(DBlock3D(8, down=True), x=array(B, 5, 8, 8, 4))
    main, shortcut = two_ways(graph)
    assert [name for name in main if "pool" not in name] == ["relu", "conv_1", "relu", "conv_2"]
    assert [name for name in shortcut if "pool" not in name] == ["conv_shortcut"]
    assert graph.into(graph.find("add")[0])[0].shape == (B, 3, 4, 4, 8)  # pooled in three dimensions
    assert len(graph.find("Conv3D")) == 3
    for frames in (4, 5):  # a call is one box, whatever it computes
        graph = diagrams.module_dataflow(DBlock3D(8, down=True), x=array(B, frames, 8, 8, 4))
        assert {len(graph.find(kind)) for kind in diagrams.FUNCTIONS} == {0, 2}


@pytest.mark.parametrize("change", [{}, {"blocks": "biggan_deep"}, {"conditioning_frames": 2}])
def test_every_layer_is_drawn_once(change):
    """What has a kernel has a box: in G, in D, and in their blocks."""
    config = dataclasses.replace(SMALL, **change)
    labels, clip = array(1, dtype=jnp.int32), array(1, config.clip_frames, 32, 32, 3)
    g_inputs = {"latents": array(1, 6), "labels": labels}
    if config.conditioning_frames:
        g_inputs["conditioning"] = array(1, config.conditioning_frames, 32, 32, 3)
    d_inputs, key = {"video": clip, "labels": labels}, {"key": jax.random.key(0)}
    for graph, module, inputs, fixed in (
        (architecture_figures.generator_graph(config), Generator(config), g_inputs, {}),
        (architecture_figures.discriminator_graph(config), DualDiscriminator(config), d_inputs, key),
    ):
        drawn = []
        for node in graph.nodes:
            if "Block" in node.kind:
                inside = architecture_figures.block_graph(graph, node).nodes
                drawn += [f"{node.name}/{part.name}" for part in inside if part.module]
            elif node.module:
                drawn.append(node.name)
        shapes = diagrams.abstract_variables(module, fixed, **inputs)["params"]
        kernels = {path for path in flatten_dict(shapes, sep="/") if path.endswith("kernel")}
        boxes = [name for name in drawn if any(path.startswith(f"{name}/") for path in kernels)]
        assert len(boxes) == len(set(boxes))
        assert all(any(path.startswith(f"{name}/") for name in boxes) for path in kernels)


def test_generator_conditions_every_block_and_ends_in_tanh():
    graph = architecture_figures.generator_graph(SMALL)
    conditioned = [graph.nodes[edge.target].name for edge in graph.edges if edge.role == "condition"]
    assert conditioned == [f"block_{i}_{j}" for i in range(3) for j in range(2)]
    [output] = graph.find("output")
    assert way(graph, output)[-5:] == ["final_norm", "relu", "to_pixels", "tanh", "output"]
    assert graph.into(output)[0].shape == (B, 5, 32, 32, 3)


def test_the_diagram_follows_the_configuration():
    def kinds(make, **change):
        return [node.kind for node in make(dataclasses.replace(SMALL, **change)).nodes]

    g, d = architecture_figures.generator_graph, architecture_figures.discriminator_graph
    assert "AffineNorm" not in kinds(g, final_norm=False)
    assert kinds(g, blocks="biggan_deep").count("GDeepBlock") == kinds(g).count("GBlock") == 6
    assert kinds(g, resolution=64).count("ConvGRU") == kinds(g).count("ConvGRU") + 1
    assert kinds(g, attention="separable", attention_size=16).count("Attention") == 1
    assert "phi" in kinds(d)
    assert "phi" not in kinds(d, phi="identity")
    assert "sample_frames" not in kinds(d, spatial_discriminator=False)
    assert "phi" not in kinds(d, temporal_discriminator=False)
    assert kinds(d).count("DBlock3D") == 2

    texts = [boxes.text_of(node, graph, {}) for graph in [g_block()] for node in graph.find("ConditionalNorm")]
    assert texts == ["conditional batch norm"] * 2
    graph = g_block(block_norm=False)
    assert [boxes.text_of(node, graph, {}) for node in graph.find("ConditionalNorm")] == ["conditional gain, bias"] * 2


def test_discriminators_see_what_section_3_1_says():
    graph = architecture_figures.discriminator_graph(SMALL)
    [chosen], [small] = graph.find("sample_frames"), graph.find("phi")
    assert graph.out_of(chosen)[0].shape == (2 * B, 32, 32, 3)
    assert graph.out_of(small)[0].shape == (B, 5, 16, 16, 3)
    assert boxes.text_of(chosen, graph, {}) == "k = 2 of 5 frames"
    assert boxes.text_of(small, graph, {}) == "φ: 32×32 to 16×16"
    assert len(graph.find("sum")) == len(graph.find("mean")) == 1  # over frames: D_S's, D_T's


def test_prediction_enters_every_gru_and_is_kept_from_d_s():
    config = dataclasses.replace(SMALL, conditioning_frames=2)
    graph = architecture_figures.generator_graph(config)
    states = {graph.nodes[edge.target].name: edge for edge in graph.edges if edge.role == "initial"}
    assert sorted(states) == ["gru_0", "gru_1", "gru_2"]
    assert states["gru_0"].shape == (B, 4, 4, 16)
    assert way(graph, graph.nodes[states["gru_0"].source])[-2:] == ["encoder/to_state_0", "relu"]
    assert way(graph, graph.nodes[states["gru_2"].source]) == ["encoder/block_0", "encoder/to_state_2", "relu"]

    graph = architecture_figures.discriminator_graph(config)
    [chosen], [small] = graph.find("sample_frames"), graph.find("phi")
    assert graph.into(small)[0].shape == (B, 7, 32, 32, 3)
    assert graph.into(chosen)[0].shape == (B, 5, 32, 32, 3)
    [cut] = graph.find("slice")
    assert boxes.text_of(cut, graph, {}) == "frames 3 to 7"


@pytest.mark.parametrize(
    ("figure", "change"),
    [
        ("figure_3", {}),
        ("figure_7", {}),
        ("figure_7", {"blocks": "biggan_deep"}),  # its shortcuts have lines that go round boxes
        ("figure_8", {"conditioning_frames": 2}),
    ],
)
def test_figures_have_boxes_that_don_t_overlap(figure, change):
    drawn = getattr(architecture_figures, figure)(dataclasses.replace(SMALL, **change), "a caption")
    drawn.canvas.draw()
    renderer = drawn.canvas.get_renderer()
    assert "a caption" in [text.get_text() for text in drawn.texts]
    assert drawn.legends
    for axes in drawn.axes:
        boxes = [patch.get_window_extent(renderer) for patch in axes.patches if patch.get_zorder() == 3]
        assert boxes
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        inside = axes.get_window_extent(renderer)
        assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)
        # No line crosses a box: its points lie outside all, but for its own ends.
        for patch in axes.patches:
            if patch.get_zorder() == 3 or patch.get_fill():
                continue
            points = axes.transData.transform(patch.get_path().interpolated(20).vertices)
            for box in boxes:
                hit = np.all((points > [box.x0 + 1, box.y0 + 1]) & (points < [box.x1 - 1, box.y1 - 1]), axis=1)
                assert not hit.any()


def test_a_mean_is_told_from_a_sum():
    graph = diagrams.dataflow(lambda params, x: (x.sum(1), x.mean(1)), x=array(B, 4))
    assert [node.kind for node in graph.nodes] == ["input", "sum", "mean", "output", "output"]
