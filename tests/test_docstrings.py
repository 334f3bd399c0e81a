"""The examples in docstrings run, and say what they print."""

import doctest
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mien

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(mien.__path__, "mien.")
    if not module.name.endswith("__main__")
)
# What an example may ask for that a test has not: a recording, a table, a file of the reader's.
NEEDS_A_FILE = re.compile(r"""["'][\w/*{}-]+\.\w+["']|^signals\b""")
RUN = """
import doctest, importlib, io, json, sys
failures = {}
for name in json.load(sys.stdin):
    said = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(test, out=said.write)
    if runner.failures:
        failures[name] = said.getvalue()
print(json.dumps(failures))
"""


def find_examples(name: str) -> list[doctest.Example]:
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module)
    return [example for test in found for example in test.examples]


@pytest.fixture(scope="module")
def failures():
    """By module, what doctest says; in a process of its own, since examples register things."""
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(MODULES),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


WITH_EXAMPLES = [
    name for name in MODULES if ">>> " in Path(importlib.util.find_spec(name).origin).read_text()
]


def test_there_are_examples():
    assert len(WITH_EXAMPLES) > 20


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_run(name, failures):
    if name == "mien.trained" and "default" not in mien.list_trained():
        pytest.skip("the trained model default is not in this copy of mien yet")
    assert failures.get(name, "") == ""


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_only_an_example_that_needs_a_file_is_skipped(name):
    skipped = [e.source for e in find_examples(name) if e.options.get(doctest.SKIP)]
    assert [source for source in skipped if not NEEDS_A_FILE.search(source)] == []
