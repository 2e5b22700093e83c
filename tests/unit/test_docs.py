"""What the documents say of the tests."""

import ast
import re

import pytest

from tests.paths import ROOT

TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
CLAIMS = [(path.name, *claim) for path in (ROOT / "docs").rglob("*.md") for claim in TEST.findall(path.read_text())]


def names_in(file: str) -> set[str]:
    found = ast.walk(ast.parse((ROOT / file).read_text()))
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("file", sorted({file for _, file, _ in CLAIMS}))
def test_every_test_that_a_document_names_is_there(file: str) -> None:
    assert {name for _, claimed, name in CLAIMS if claimed == file} <= names_in(file)


def test_security_names_a_test_for_each_of_the_ten_risks() -> None:
    lines = (ROOT / "docs" / "security.md").read_text().splitlines()
    risks = {int(risk[1]): line for line in lines if (risk := re.match(r"\| API(\d+) ", line))}
    assert risks.keys() == set(range(1, 11))
    assert all(TEST.search(line) for line in risks.values())
