"""What a box of a diagram (`diagrams.py`) is called, its colour and its size."""

from __future__ import annotations

from dvdgan_lib.diagrams import Graph, Node

BATCH = 1009  # the batch size that models are traced with: a prime, so that B can be told from the other sizes
BOX = (3.1, 0.55)  # width and height of a box

# Kinds of boxes, as the legend names them, with their colours.
COLOURS = {
    "input or output": "#ffffff",
    "linear map": "#dfe7ee",
    "ConvGRU": "#9fd8cf",
    "residual block of G": "#c3cff5",
    "residual block of D, 2-D": "#f0d9b5",
    "residual block of D, 3-D": "#dfa878",
    "2-D convolution": "#b5d8f2",
    "3-D convolution": "#7fb2e5",
    "norm": "#fbe7a1",
    "ReLU, tanh": "#f6bdb8",
    "upsampling": "#bfe5b2",
    "pooling": "#d8c7ee",
    "choice of pixels": "#f3cfe6",
    "attention": "#f7c59f",
    "+, sum, mean": "#eef3d2",
    "concatenation": "#e6e6e6",
    "score": "#cccccc",
}
_KINDS = {
    "input": "input or output",
    "output": "input or output",
    "Embed": "linear map",
    "Dense": "linear map",
    "ConvGRU": "ConvGRU",
    "GBlock": "residual block of G",
    "GDeepBlock": "residual block of G",
    "DBlock": "residual block of D, 2-D",
    "DBlock3D": "residual block of D, 3-D",
    "DDeepBlock": "residual block of D, 2-D",
    "Conv2D": "2-D convolution",
    "Conv3D": "3-D convolution",
    "ConditionalNorm": "norm",
    "AffineNorm": "norm",
    "relu": "ReLU, tanh",
    "tanh": "ReLU, tanh",
    "upsample": "upsampling",
    "average_pool": "pooling",
    "average_pool_time": "pooling",
    "average_pool_3d": "pooling",
    "phi": "choice of pixels",
    "sample_frames": "choice of pixels",
    "slice": "choice of pixels",
    "Attention": "attention",
    "add": "+, sum, mean",
    "sum": "+, sum, mean",
    "mean": "+, sum, mean",
    "concat": "concatenation",
    "Score": "score",
}
_NORMS = {
    "batch": "batch norm",
    "batch_over_time": "batch norm over time",
    "group": "group norm",
    "layer": "layer norm",
    "instance": "instance norm",
}
_PLAIN = {
    "relu": "ReLU",
    "tanh": "tanh",
    "add": "+",
    "concat": "concatenate",
    "upsample": "upsample, 2×",
    "average_pool": "average pool, 2×2",
    "average_pool_time": "average pool, time, 2",
    "average_pool_3d": "average pool, 2×2×2",
    "sum": "sum over frames",
    "mean": "mean over frames",
    "Score": "score of a frame",
}


def kind_of(node: Node) -> str:
    """The legend's name for a box; what it has no name for is a linear map."""
    if getattr(node.module, "time", False):
        return "residual block of D, 3-D"
    return _KINDS.get(node.kind, "linear map")


def shape_text(shape: tuple[int, ...]) -> str:
    """(1009 * 12, 64, 64, 3) -> "[B·12, 64, 64, 3]"."""
    sizes = [str(size) for size in shape]
    if shape and shape[0] % BATCH == 0:
        sizes[0] = "B" if shape[0] == BATCH else f"B·{shape[0] // BATCH}"
    return f"[{', '.join(sizes)}]"


def text_of(node: Node, graph: Graph, names: dict[str, str]) -> str:
    """What stands in a box. `names` are those of inputs and outputs."""
    m, kind = node.module, node.kind
    if kind in ("input", "output"):
        return names.get(node.name, node.name)
    if kind == "ConvGRU":
        return f"ConvGRU, {m.features}"
    if kind == "Embed":
        return f"class embedding, {m.features}"
    if kind == "Dense":
        return f"affine map, {m.features:,}"
    if kind in ("Conv2D", "Conv3D"):
        return f"{'×'.join([str(m.size)] * int(kind[4]))} convolution, {m.features}"
    if kind == "ConditionalNorm":
        return f"conditional {_NORMS[m.kind]}" if m.kind != "none" else "conditional gain, bias"
    if kind == "AffineNorm":
        return f"{_NORMS[m.kind]}, gain, bias" if m.kind != "none" else "gain, bias"
    if kind.endswith(("Block", "Block3D")):
        arrow = " ↑" if getattr(m, "up", False) else " ↓" if getattr(m, "down", False) else ""
        block = "deep" if "Deep" in kind else "residual"
        return f"{'3-D' if kind_of(node).endswith('3-D') else block} block{arrow}, {m.features}"
    if kind == "Attention":
        return f"{m.kind} attention"
    entering, leaving = graph.into(node)[0].shape, graph.out_of(node)[0].shape
    if kind == "phi":
        return f"φ: {entering[2]}×{entering[3]} to {leaving[-3]}×{leaving[-2]}"
    if kind == "sample_frames":
        return f"k = {leaving[0] // BATCH} of {entering[1]} frames"
    if kind == "slice":
        (before, after), starts = node.settings["shapes"], node.settings["starts"]
        axis = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
        what = "channels" if axis == len(before) - 1 else "frames"
        return f"{what} {starts[axis] + 1} to {starts[axis] + after[axis]}"
    return _PLAIN.get(kind, kind)


def size_of(node: Node) -> tuple[float, float]:
    """Width and height of a box, or the diameter of +, twice."""
    if node.kind == "add":
        return 0.52, 0.52
    if node.kind in ("relu", "tanh"):
        return 1.2, BOX[1]
    return BOX
