"""The graph of a model as it is built: what Figures 3, 7 and 8 are drawn from (`architecture_figures.py`).

A model is traced without computing anything. Each of its submodules becomes one box, as do the few functions that matter in
a picture (upsampling, pooling, phi, the choice of k frames) and the steps between them that mix or change values (+, ReLU,
tanh, concatenation). Bookkeeping, such as a reshape, disappears into the lines. A picture can't say what the code doesn't.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import Literal, Primitive

from dvdgan_lib.conv_gru import ConvGRU
from dvdgan_lib.layers import Conv2D, Conv3D, average_pool, average_pool_3d, upsample

# Named scopes of functions that are boxes of their own.
FUNCTIONS = ("upsample", "average_pool", "average_pool_time", "average_pool_3d", "phi", "sample_frames")
# Primitives that are boxes of their own, by the name of their kind.
_STEPS = {"add": "add", "add_any": "add", "mul": "mul", "tanh": "tanh", "concatenate": "concat", "slice": "slice"}
_STEPS |= {"reduce_sum": "sum", "dot_general": "product"}


@dataclass(frozen=True)
class Node:
    """A box. `kind` is "input", "output", a module's class, a function of `FUNCTIONS`, or a step ("add", "relu", ...)."""

    number: int
    kind: str
    name: str  # the module's path ("block_0_1/conv_1"), or the name of an input or output
    module: nn.Module | None = None  # unbound, with the fields it has in the model
    settings: dict[str, Any] = field(default_factory=dict)  # of a step or a function


@dataclass(frozen=True)
class Edge:
    """An array on its way: from one node to another, the argument it becomes there, and its shape on arrival."""

    source: int
    target: int
    role: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """Boxes in the order in which they are computed, and lines between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def find(self, kind: str, name: str | None = None) -> list[Node]:
        """The nodes of a kind, and of that name if one is given."""
        return [node for node in self.nodes if node.kind == kind and name in (None, node.name)]

    def into(self, node: Node) -> list[Edge]:
        """The lines that end there."""
        return [edge for edge in self.edges if edge.target == node.number]

    def out_of(self, node: Node) -> list[Edge]:
        """The lines that start there."""
        return [edge for edge in self.edges if edge.source == node.number]


# --- Tracing ----------------------------------------------------------------------------------------------------------

_box = Primitive("module")  # stands for a whole submodule: its equations, no longer needed for a result, fall away
_box.multiple_results = True
_box.def_abstract_eval(lambda *arrays, outputs, **_: [jax.core.ShapedArray(*output) for output in outputs])


def one_frame(
    next_method: Callable[..., Any], args: tuple, kwargs: dict[str, Any], context: nn.module.InterceptorContext
) -> Any:
    """An interceptor that unrolls a ConvGRU for its first frame only: the other frames of its output have the same shape.

    The CPU's form of the recurrence writes out every frame; 48 of them take a minute to trace.
    """
    if not (isinstance(context.module, ConvGRU) and context.method_name == "__call__"):
        return next_method(*args, **kwargs)
    call = inspect.signature(ConvGRU.__call__).bind(context.module, *args, **kwargs)
    x, num_frames = call.arguments["x"], call.arguments["num_frames"]
    h = next_method(x[:, :1], 1, call.arguments.get("initial"))
    return jnp.broadcast_to(h, (h.shape[0], num_frames, *h.shape[2:]))


def _boxes(opened: tuple[str, ...]) -> Callable[..., Any]:
    def interceptor(
        next_method: Callable[..., Any], args: tuple, kwargs: dict[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        module = context.module
        outputs = next_method(*args, **kwargs)
        if context.method_name != "__call__" or not module.path or module.path[-1] in opened:
            return outputs
        call = inspect.signature(type(module).__call__).bind(module, *args, **kwargs)
        arrays = {name: value for name, value in call.arguments.items() if isinstance(value, jax.Array)}
        pool = None
        if isinstance(module, Conv2D | Conv3D):  # drawn without the upsampling or pooling that it may do on its way
            if getattr(module, "up", False):
                arrays["x"] = upsample(arrays["x"])
            if module.down:
                pool = average_pool if isinstance(module, Conv2D) else average_pool_3d
            outputs = jnp.zeros((*arrays["x"].shape[:-1], module.features), outputs.dtype)
        flat, tree = jax.tree.flatten(outputs)
        traced = _box.bind(
            *arrays.values(),
            roles=tuple(arrays),
            outputs=tuple((array.shape, array.dtype) for array in flat),
            path="/".join(module.path),
            module=module.clone(parent=None, name=None),
        )
        return pool(*traced) if pool else jax.tree.unflatten(tree, traced)

    return interceptor


def dataflow(
    function: Callable[..., Any], params: Any = None, opened: Iterable[str] = (), **inputs: jax.ShapeDtypeStruct
) -> Graph:
    """Traces a function of Linen modules into a graph.

    Args:
      function: (params, **inputs) -> arrays.
      params: abstract parameters, as `jax.eval_shape` gives them; they are not drawn.
      opened: names of submodules that are drawn by their own submodules, instead of as one box.
      **inputs: abstract arrays by the names they are drawn with.

    Returns:
      The graph of all that the outputs depend on.
    """

    def traced(params: Any, inputs: dict[str, jax.Array]) -> Any:
        with nn.intercept_methods(_boxes(tuple(opened))), nn.intercept_methods(one_frame):
            return function(params, **inputs)

    closed, outputs = jax.make_jaxpr(traced, return_shape=True)(params, inputs)
    walk = _Walk()
    given = [walk.node("input", name) for name in sorted(inputs)]  # a dict's leaves come in this order
    values = [None] * len(jax.tree.leaves(params)) + given
    results = walk.run(closed.jaxpr, values, "")
    for (path, _), variable, source in zip(
        jax.tree_util.tree_leaves_with_path(outputs), closed.jaxpr.outvars, results, strict=True
    ):
        end = walk.node("output", jax.tree_util.keystr(path, simple=True, separator="/"))
        walk.edge(source, end, "", variable.aval.shape)
    return walk.needed()


def module_dataflow(
    module: nn.Module, opened: Iterable[str] = (), fixed: dict[str, Any] | None = None, **inputs: jax.ShapeDtypeStruct
) -> Graph:
    """`dataflow` of one module, with abstract parameters of its own.

    Args:
      module: unbound.
      opened: as in `dataflow`.
      fixed: arguments of its call that are no inputs of the picture: flags, random keys.
      **inputs: its other arguments.
    """
    fixed = fixed or {}
    variables = abstract_variables(module, fixed, **inputs)
    return dataflow(lambda params, **arrays: module.apply(params, **arrays, **fixed), variables, opened, **inputs)


def abstract_variables(module: nn.Module, fixed: dict[str, Any] | None = None, **inputs: jax.ShapeDtypeStruct) -> Any:
    """Shapes of a module's parameters for a call with these arguments; nothing is computed."""
    with nn.intercept_methods(one_frame):
        made = jax.eval_shape(lambda inputs: module.init(jax.random.key(0), **inputs, **(fixed or {})), inputs)
    return {"params": made["params"]}


class _Walk:
    """Follows values through a jaxpr: `None` for what doesn't depend on the inputs, else the node that made it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: dict[tuple, Edge] = {}
        self.calls: dict[tuple, int] = {}

    def node(self, kind: str, name: str, module: nn.Module | None = None, **settings: Any) -> int:
        self.nodes.append(Node(len(self.nodes), kind, name, module, settings))
        return self.nodes[-1].number

    def edge(self, source: int | None, target: int, role: str, shape: tuple[int, ...]) -> None:
        if source is not None and source != target:
            self.edges.setdefault((source, target, role), Edge(source, target, role, tuple(shape)))

    def run(self, jaxpr: Any, values: list[int | None], above: str) -> list[int | None]:
        """Walks through the equations with these sources of the inputs; `above` is the scope of the call."""
        sources = dict(zip(jaxpr.invars, values, strict=True))
        read = lambda variable: None if isinstance(variable, Literal) else sources.get(variable)  # noqa: E731
        for equation in jaxpr.eqns:
            scope = "/".join(part for part in (above, str(equation.source_info.name_stack)) if part)
            arguments = [read(variable) for variable in equation.invars]
            results = self.equation(equation, arguments, scope)
            sources.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def equation(self, equation: Any, arguments: list[int | None], scope: str) -> list[int | None]:
        """The sources of an equation's outputs."""
        primitive, params = equation.primitive.name, equation.params
        known = {argument for argument in arguments if argument is not None}
        inner = next((params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params), None)
        roles = [""] * len(arguments)
        if not known:
            return [None] * len(equation.outvars)
        if primitive == "module":
            roles = list(params["roles"])
            made = self.node(type(params["module"]).__name__, params["path"], params["module"])
        elif params.get("name") == "relu":
            made = self.node("relu", "")
        elif inner is not None and primitive not in ("scan", "while", "cond"):
            return self.run(getattr(inner, "jaxpr", inner), arguments, scope)
        elif function := next((part for part in scope.split("/") if part in FUNCTIONS), None):
            made = self.function(function, scope[: scope.index(function)], known)
        elif primitive in _STEPS and (len(known) > 1 or primitive in ("tanh", "slice", "reduce_sum")):
            shapes = [variable.aval.shape for variable in (equation.invars[0], equation.outvars[0])]
            made = self.node(_STEPS[primitive], "", shapes=shapes, starts=params.get("start_indices"))
        elif len(known) > 1:
            made = self.node(primitive, "")
        else:
            [number] = known
            if primitive == "div" and self.nodes[number].kind == "sum":  # to JAX a mean is a sum and a division
                self.nodes[number] = replace(self.nodes[number], kind="mean")
            return [number] * len(equation.outvars)
        for argument, role, variable in zip(arguments, roles, equation.invars, strict=True):
            self.edge(argument, made, role, variable.aval.shape)
        return [made] * len(equation.outvars)

    def function(self, name: str, scope: str, known: set[int]) -> int:
        """The node of a function's call: its equations follow on each other, or start from the same array."""
        for number in known:
            if self.nodes[number].kind == name and self.nodes[number].settings["scope"] == scope:
                return number
        call = (name, scope, min(known))
        if call not in self.calls:
            self.calls[call] = self.node(name, "", scope=scope)
        return self.calls[call]

    def needed(self) -> Graph:
        """What the outputs depend on, numbered anew."""
        waiting, kept = [node.number for node in self.nodes if node.kind == "output"], set()
        while waiting:
            if (number := waiting.pop()) not in kept:
                kept.add(number)
                waiting += [edge.source for edge in self.edges.values() if edge.target == number]
        new = {old: number for number, old in enumerate(sorted(kept))}
        nodes = tuple(replace(self.nodes[old], number=number) for old, number in new.items())
        edges = [edge for edge in self.edges.values() if edge.source in new and edge.target in new]
        return Graph(nodes, tuple(replace(edge, source=new[edge.source], target=new[edge.target]) for edge in edges))
