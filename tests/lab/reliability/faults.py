"""The list of faults: its lines, and which tests say that they prove them."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.paths import TESTS

LIST = Path(__file__).with_name("faults.toml")
TABLE = TESTS / "artefacts" / "faults.md"


@dataclass(frozen=True)
class Faults:
    lines: Mapping[str, tuple[str, str]]
    """What is injected and what must come of it, by the line's id."""
    cannot_apply: Mapping[str, str]
    open: frozenset[str]
    """Not proven yet."""

    @classmethod
    def read(cls) -> "Faults":
        told = tomllib.loads(LIST.read_text())
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


def table(faults: Faults, found: list[Proof]) -> str:
    """The lines with their proofs, as Markdown for a reader of `TABLE`."""
    head = ["| | fault | outcome | proven by |", "| --- | --- | --- | --- |"]
    rows = [
        f"| {name} | {injected} | {outcome} | {_evidence(faults, name, found)} |"
        for name, (injected, outcome) in faults.lines.items()
    ]
    return "\n".join([*head, *rows])


def _evidence(faults: Faults, line: str, found: list[Proof]) -> str:
    tests = [f"[{proof.test}](../{proof.file})" for proof in found if proof.line == line]
    reason = faults.cannot_apply.get(line, "")
    return "<br>".join(tests) or reason or "open"
