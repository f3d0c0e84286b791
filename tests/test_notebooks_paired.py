"""Each notebook's .py (the source) and .ipynb (what Colab opens, what the batch runs) are in step: `make notebooks`."""

from pathlib import Path

import jupytext
import nbformat

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
