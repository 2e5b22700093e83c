"""The linter forbids what would not replay, in the folder of the workflows."""

import json
import subprocess
import sys

import pytest

from tests.paths import ROOT

LINT = (sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251", "--output-format", "json")
ALLOWED = "import asyncio, datetime\n"
PLANTED = """
from pathlib import Path
from random import random
from threading import Thread
from time import time
from uuid import uuid4
asyncio.to_thread(print)
datetime.datetime.now()
"""


def forbidden(*arguments: str, code: str | None = None) -> set[int]:
    """The lines that break the rule."""
    said = subprocess.run([*LINT, *arguments], input=code, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert said.returncode in (0, 1), said.stderr
    return {each["location"]["row"] for each in json.loads(said.stdout)}


def test_workflows_keep_the_rules() -> None:
    assert forbidden("workflows") == set()


@pytest.mark.parametrize(("file", "is_caught"), [("workflows/planted.py", True), ("activities/planted.py", False)])
def test_clock_chance_threads_and_files_are_for_activities(file: str, is_caught: bool) -> None:
    planted = range(2, 2 + PLANTED.strip().count("\n") + 1)

    caught = forbidden("--stdin-filename", file, "-", code=ALLOWED + PLANTED.lstrip())
    assert caught == (set(planted) if is_caught else set())
