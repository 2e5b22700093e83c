"""The rule that tells unit tests from the others, on tests of a run of their own."""

import sys
from pathlib import Path
from subprocess import run

import pytest

from tests.production.files import ROOT

pytestmark = pytest.mark.programs

STARTS_ONE = """
import subprocess, sys

def test_it():
    subprocess.run([sys.executable, "-c", ""], check=True)
"""
MARKED = """
import pytest

pytestmark = pytest.mark.programs
"""
BY_A_FIXTURE = """
def test_it(postgres):
    raise AssertionError("no unit test")
"""


@pytest.mark.parametrize(
    ("code", "code_of_pytest", "says"),
    [
        (STARTS_ONE, pytest.ExitCode.TESTS_FAILED, "Mark it `programs`"),
        (MARKED + STARTS_ONE, pytest.ExitCode.NO_TESTS_COLLECTED, "1 deselected"),
        (BY_A_FIXTURE, pytest.ExitCode.NO_TESTS_COLLECTED, "1 deselected"),
    ],
)
def test_a_unit_test_starts_no_program(code: str, code_of_pytest: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-p", "tests.conftest"]
    done = run([*command, "-m", "not programs", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code_of_pytest, done.stdout + done.stderr
    assert says in done.stdout
