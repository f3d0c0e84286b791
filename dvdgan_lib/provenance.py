"""Where a result comes from: the commit of the code and the versions of what it stands on."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path


def versions() -> dict[str, str]:
    """Of Python and of the packages that a run's numbers and files depend on."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def git_commit() -> tuple[str, bool]:
    """(commit of the checkout that this library lies in, whether files differ from it); ("unknown", True) outside git.

    What is in figures/ doesn't count: the batch itself replaces it, one by one.
    """
    root = Path(__file__).resolve().parent.parent
    run = lambda *args: subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True).stdout  # noqa: E731
    try:
        changed = run("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)figures")
        return run("rev-parse", "HEAD").strip(), bool(changed.strip())
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True
