"""The catalogue of faults: its lines, and which tests say that they prove them."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.paths import TESTS

CATALOGUE = Path(__file__).with_name("catalogue.toml")
DOCUMENT = TESTS.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- the table is made by `make faults` -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Catalogue:
    lines: Mapping[str, tuple[str, str]]
    """What is injected and what must come of it, by the line's id."""
    cannot_apply: Mapping[str, str]
    open: frozenset[str]
    """Not proven yet."""

    @classmethod
    def read(cls) -> "Catalogue":
        told = tomllib.loads(CATALOGUE.read_text())
        lines = {name: (injected, outcome) for name, (injected, outcome) in told["lines"].items()}
        return cls(lines, told["cannot_apply"], frozenset(told["open"]))


@dataclass(frozen=True, order=True)
class Proof:
    """A test, and a line that it proves."""

    file: Path
    test: str
    line: str


def proofs() -> list[Proof]:
    """By the source, so that no test has to be run or even imported for it."""
    return sorted(proof for file in sorted(TESTS.rglob("test_*.py")) for proof in _proofs_in(file))


def _proofs_in(file: Path) -> Iterator[Proof]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for line in _marked(node):
                yield Proof(file.relative_to(TESTS), node.name, line)


def _marked(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def table(catalogue: Catalogue, found: list[Proof]) -> str:
    """The lines with their proofs, as Markdown."""
    head = ["| | fault | outcome | proven by |", "| --- | --- | --- | --- |"]
    rows = [
        f"| {name} | {injected} | {outcome} | {_evidence(catalogue, name, found)} |"
        for name, (injected, outcome) in catalogue.lines.items()
    ]
    return "\n".join([*head, *rows])


def _evidence(catalogue: Catalogue, line: str, found: list[Proof]) -> str:
    tests = [f"[{proof.test}](../tests/{proof.file})" for proof in found if proof.line == line]
    reason = catalogue.cannot_apply.get(line, "")
    return "<br>".join(tests) or reason or "open"


def with_table(document: str, new: str) -> str:
    """The document with the table in its place. Raises: ValueError, when it has no place for one."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the table in {DOCUMENT.name}")
    return f"{before}{BEGIN}\n\n{new}\n\n{END}{after}"
