"""pyproject.toml, the locks, environment.yml and .python-version say the same."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = ["requirements.lock", "requirements-tpu.lock", "requirements-cuda.lock", "requirements-colab.lock"]


def read_lock(name: str) -> dict[str, list[tuple[Version, list[str]]]]:
    """Package -> its pins (one a platform, where they differ), each with its hashes."""
    pins: dict[str, list[tuple[Version, list[str]]]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", line):
            pins.setdefault(canonicalize_name(pin[1]), []).append((Version(pin[2]), hashes := []))
        elif found := re.match(r"\s+--hash=(sha256:[0-9a-f]{64})", line):
            hashes.append(found[1])
        else:
            assert re.match(r"\s*#|\s*$", line), f"{name} has a line that pins nothing: {line}"
    return pins


def requirements(lock: str) -> list[Requirement]:
    extra = lock.removeprefix("requirements").removesuffix(".lock").removeprefix("-")
    return [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"].get(extra, [])]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_to_a_version_it_admits(lock):
    pins = read_lock(lock)
    for requirement in requirements(lock):
        versions = [version for version, _ in pins.get(canonicalize_name(requirement.name), [])]
        assert versions, f"{lock} does not pin {requirement.name}: run `make lock`"
        for version in versions:
            assert version in requirement.specifier, f"{lock} pins {requirement.name} {version}, not {requirement}"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock):
    assert [name for name, pins in read_lock(lock).items() if not all(hashes for _, hashes in pins)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_address(lock):
    """Neither an index nor a file: everyone installs from the index they have."""
    assert re.findall(r"\w+://\S+|--(?:extra-)?index-url.*|--find-links.*| @ .*", (ROOT / lock).read_text()) == []


@pytest.mark.parametrize("lock", LOCKS[1:3])
def test_locks_for_accelerators_differ_only_by_what_they_add(lock):
    base, other = read_lock("requirements.lock"), read_lock(lock)
    assert {name: other.get(name) for name in base} == base


def test_the_lock_for_colab_has_colabs_versions():
    pins = read_lock("requirements-colab.lock")
    colab = [line for line in (ROOT / "colab-versions.txt").read_text().splitlines() if not line.startswith("#")]
    assert {name.partition("==")[0] for name in colab} >= {"jax", "jaxlib", "flax", "orbax-checkpoint", "grain"}
    for line in colab:
        name, _, version = line.partition("==")
        assert [str(pinned) for pinned, _ in pins[name]] == [version], f"{line} is not in the lock: run `make lock`"


def test_python_versions_agree():
    """.python-version and conda name one Python, the oldest that pyproject.toml admits."""
    version = (ROOT / ".python-version").read_text().strip()
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert f"python={version}" in environment["dependencies"]
    assert Version(version) in SpecifierSet(PROJECT["requires-python"])
    assert f">={version}" == PROJECT["requires-python"]
    assert f"--python-version {version}" in (ROOT / "Makefile").read_text()


def test_conda_takes_the_same_pins():
    """environment.yml pins nothing of its own besides Python: all comes from the lock."""
    *packages, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert pip == {"pip": ["-r requirements.lock"]}
    assert {package.partition("=")[0] for package in packages} == {"python", "pip", "make"}


def test_every_import_is_a_declared_dependency():
    """What comes only because another package wants it may go with that package's next version."""
    names = {"yaml": "pyyaml"}  # not in the metadata of every installation
    for name, distributions in packages_distributions().items():
        names[name] = canonicalize_name(distributions[0])
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    sources = [*(ROOT / "dvdgan_lib").rglob("*.py"), *(ROOT / "notebooks").glob("*.py")]
    imported = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"dvdgan_lib"}
    assert {"jax", "av", "matplotlib"} <= foreign
    assert {names.get(name, name) for name in foreign} - declared == set()


def test_the_repositorys_address_is_the_same_everywhere():
    """It stands in pyproject.toml; badges, set-up cells and the README repeat it."""
    address = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    for file in [ROOT / "README.md", *(ROOT / "notebooks").glob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]:
        found = re.findall(r"github(?:\.com)?/([\w.-]+/dvdgan[\w-]*)", file.read_text())
        assert set(found) == {address}, file.name
