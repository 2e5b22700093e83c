"""`docs/coverage.md` leaves nothing open. That the tests it names exist is `test_docs.py`'s to say."""

import re

from tests.production.files import ROOT

TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINES = (ROOT / "docs" / "coverage.md").read_text().splitlines()
ROWS = [line.split(" | ") for line in LINES if line.startswith("| ") and not line.startswith(("| feature", "| ---"))]


def test_every_feature_has_a_test_or_a_reason() -> None:
    assert len(ROWS) > 50
    for feature, *shown_by in ROWS:
        assert len(shown_by) == 1, feature
        assert TEST.search(shown_by[0]) or len(shown_by[0].split()) > 4, feature


def test_each_system_is_shown_end_to_end_by_a_file_of_its_own() -> None:
    files = {path.name for path in (ROOT / "tests" / "systems").glob("test_*.py")}
    named = {file.rpartition("/")[2] for line in LINES for file, _ in TEST.findall(line) if "/systems/" in file}
    assert files == named
