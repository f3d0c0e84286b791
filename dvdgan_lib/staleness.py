"""What a notebook's results depend on in the code: a hash that changes when they could.

Snakemake keeps it among the parameters of its jobs, and runs a notebook again when it differs.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from pathlib import Path

from dvdgan_lib.batch import ROOT, BatchError


def _code(path: Path) -> str:
    """The text of a module, or of a notebook's code cells without IPython's magics."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        text = "\n".join("pass" if line.startswith(("%", "!")) else line for line in "\n".join(cells).splitlines())
    return text


def _parse(code: str, where: str) -> ast.Module:
    """The code without comments, layout and docstrings: what changes only there changes no result."""
    try:
        tree = ast.parse(code, where)
    except SyntaxError:  # more of IPython's syntax, or a mistake that the run will show: take it as it stands
        return ast.parse(repr(code))
    for node in ast.walk(tree):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _imported(tree: ast.Module, package: str) -> set[str]:
    """Dotted names in dvdgan_lib that the code imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == "dvdgan_lib"}


@functools.cache
def _read(code: str, where: str, package: str) -> tuple[str, frozenset[str]]:
    """What a code says, and what it imports of dvdgan_lib. Kept, since each notebook asks for much the same modules."""
    tree = _parse(code, where)
    return ast.dump(tree), frozenset(_imported(tree, package))


def fingerprint(notebook: str, root: Path = ROOT) -> str:
    """A hash of a notebook's code and of all of dvdgan_lib that it imports, directly or not.

    Snakemake runs a notebook again when this changes. `experiments.py` is left out: what a notebook depends on there
    are the settings of its own runs. `batch.py` computes nothing.
    """
    waiting, seen = [root / "notebooks" / f"{notebook}.ipynb"], {}
    modules = set((root / "dvdgan_lib").rglob("*.py"))
    if not waiting[0].is_file():
        raise BatchError(f"The notebook {waiting[0].name} is missing; `make notebooks` makes it from its .py file.")
    while waiting:
        path = waiting.pop()
        seen[path], names = _read(_code(path), str(path), ".".join(path.relative_to(root).parent.parts))
        for name in names:
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                base = root.joinpath(*parts[:depth])
                for file in (base.with_suffix(".py"), base / "__init__.py"):
                    if file in modules and file not in seen and file.name not in ("experiments.py", "batch.py"):
                        seen[file] = ""
                        waiting.append(file)
    joined = "\n".join(f"{path.relative_to(root)} {seen[path]}" for path in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
