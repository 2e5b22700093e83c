"""`docs/coverage.md` leaves nothing open. That the tests it names exist is `test_docs.py`'s to say."""

import re

from typer.main import get_command

from api.app import create_app
from api.problems import Problem
from cli import app as command_line
from settings import Settings
from tests.production.files import ROOT
from tests.production.variables import settings_variables

TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
DOCUMENT = (ROOT / "docs" / "coverage.md").read_text()
LINES = DOCUMENT.splitlines()
HEADS = ("| shown by |", "| --- |")
ROWS = [line.split(" | ") for line in LINES if line.startswith("| ") and not line.endswith(HEADS)]


def test_every_feature_has_a_test_or_a_reason() -> None:
    assert len(ROWS) > 150
    for feature, *shown_by in ROWS:
        assert len(shown_by) == 1, feature
        assert TEST.search(shown_by[0]) or len(shown_by[0].split()) > 4, feature


def test_each_system_is_shown_end_to_end_by_a_file_of_its_own() -> None:
    files = {path.name for path in (ROOT / "tests" / "systems").glob("test_*.py")}
    named = {file.rpartition("/")[2] for line in LINES for file, _ in TEST.findall(line) if "/systems/" in file}
    assert files == named


def test_every_call_of_the_api_is_named() -> None:
    named = {re.sub(r"{\w+}", "{}", call) for call in re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", DOCUMENT, re.MULTILINE)}
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    calls = {f"{method.upper()} {re.sub(r'{.*?}', '{}', path)}" for path, item in paths.items() for method in item}
    assert calls <= named
    assert named - calls == {"GET /", "GET /admin", "GET /docs", "GET /openapi.json"}  # which the document leaves out


def test_every_error_code_variable_and_command_is_named() -> None:
    codes = {kind.code for kind in Problem.__subclasses__()}
    commands = {f"reelay {name}" for name in get_command(command_line).commands}  # type: ignore[attr-defined]
    for name in (*codes, *settings_variables().values(), *commands):
        assert re.search(rf"`{name}`| `{name} ", DOCUMENT), name
