"""What a result says of where it comes from."""

import subprocess

import jax

from dvdgan_lib import provenance


def test_versions_are_those_that_run():
    said = provenance.versions()
    assert said["jax"] == jax.__version__
    assert {"python", "flax", "optax", "orbax-checkpoint", "grain"} <= said.keys()


def test_a_checkout_is_dirty_where_code_differs_but_not_by_new_figures(tmp_path, monkeypatch):
    for name in ("dvdgan_lib/provenance.py", "figures/figure_04.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("committed")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "dvdgan_lib" / "provenance.py"))
    (tmp_path / "figures" / "figure_04.png").write_text("drawn again")
    commit, dirty = provenance.git_commit()
    assert len(commit) == 40
    assert not dirty
    (tmp_path / "dvdgan_lib" / "provenance.py").write_text("changed")
    assert provenance.git_commit() == (commit, True)
