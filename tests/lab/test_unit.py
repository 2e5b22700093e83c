"""The rule that keeps unit tests what they are, on tests of a run of their own."""

import os
import sys
from pathlib import Path
from subprocess import run

import pytest

from tests import conftest, unit_rule
from tests.paths import ROOT

STARTS_A_PROGRAM = """
import subprocess, sys

def test_it():
    subprocess.run([sys.executable, "-c", ""], check=True)
"""
STARTS_NONE = """
def test_it():
    pass
"""


@pytest.mark.parametrize(
    ("folder", "code", "exit_code", "says"),
    [
        ("unit", STARTS_A_PROGRAM, pytest.ExitCode.TESTS_FAILED, "not a unit test: it starts"),
        ("unit", STARTS_NONE, pytest.ExitCode.OK, "1 passed"),
        ("integration", STARTS_A_PROGRAM, pytest.ExitCode.OK, "1 passed"),
    ],
)
def test_a_unit_test_starts_no_program(folder: str, code: str, exit_code: int, says: str, tmp_path: Path) -> None:
    file = tmp_path / folder / "test_it.py"
    file.parent.mkdir()
    file.write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "tests.unit_rule", str(file)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what other plugins need takes seconds
    done = run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert says in done.stdout


def test_the_rule_holds_for_every_run_of_these_tests() -> None:
    assert conftest.pytest_collection_finish is unit_rule.pytest_collection_finish
