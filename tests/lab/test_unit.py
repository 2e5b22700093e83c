"""The rule that keeps unit tests what they are, on tests of a run of their own."""

import sys
from pathlib import Path
from subprocess import run

import pytest

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
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "--rootdir", str(tmp_path)]
    command += ["-p", "tests.conftest", str(file)]
    done = run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert says in done.stdout
