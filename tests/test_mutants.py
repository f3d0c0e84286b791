"""The list of mutants fits the sources; `make mutants` runs it."""

import re
from pathlib import Path

import mutants
import pytest

TESTS = Path(__file__).resolve().parent
LIBRARY = TESTS.parent / "dvdgan_lib"


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_its_text_is_there_once_and_its_tests_exist(mutant):
    source = (LIBRARY / mutant.file).read_text(encoding="utf-8")
    assert source.count(mutant.old) == 1
    assert mutant.old != mutant.new
    compile(source.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert mutant.tests
    for test in mutant.tests:
        file, _, function = test.partition("::")
        name = function.partition("[")[0]
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), test


def test_names_are_unique():
    names = [mutant.name for mutant in mutants.MUTANTS]
    assert len(set(names)) == len(names)
