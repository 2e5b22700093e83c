"""What the code of the workflows must not do: what would not replay, and what would not hear of a cancellation."""

import ast
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


HEARS_OF_CANCELLATION = {"unless_canceled", "stopped", "finish_despite_cancel"}
"""Of `workflows/cancellation.py`."""
AFTER_A_CANCELLATION = {"found_by", "stop", "stop_request", "leave"}
"""What is done all the same once the run is canceled, or its media is there."""
OURS = {"self", "work", "other", "failed"}
"""Whose methods keep the rule themselves."""


def awaits_of_others(file: str) -> list[str]:
    """What a file awaits neither by those nor of its own."""
    others = []
    for function in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(function, ast.AsyncFunctionDef) and function.name not in AFTER_A_CANCELLATION:
            awaited = [node.value for node in ast.walk(function) if isinstance(node, ast.Await)]
            called = [ast.unparse(each.func if isinstance(each, ast.Call) else each) for each in awaited]
            others += [name for name in called if name not in HEARS_OF_CANCELLATION and name.split(".")[0] not in OURS]
    return others


@pytest.mark.parametrize("file", ["workflows/generation.py", "workflows/model_work.py", "workflows/lost_submission.py"])
def test_whatever_a_generation_awaits_hears_of_its_cancellation(file: str) -> None:
    assert awaits_of_others(file) == []
