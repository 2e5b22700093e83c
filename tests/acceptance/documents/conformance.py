"""The five documents, line by line: what each says, whether Reelay does it, and the test that shows it.

The lines stand in the TOML files beside this module; `make conformance` makes a page of them.
"""

import tomllib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tests.paths import ROOT

TABLE = ROOT / "tests" / "artefacts" / "conformance.md"
FILES = sorted(Path(__file__).parent.glob("*.toml"))
HEAD = """\
# Conformance

What the five documents say, line by line, and whether Reelay does it. literal: the document's own words work unchanged.
better: deliberately different, with the reason. Anything else is a gap, with the reason.
"""


class Verdict(StrEnum):
    LITERAL = "literal"
    BETTER = "better"
    SPELLING = "spelling"
    """The same under another name or in another shape."""
    DIFFERS = "differs"
    """Accepted, with another result than the document says."""
    MISSING = "missing"

    @property
    def conforms(self) -> bool:
        return self in (Verdict.LITERAL, Verdict.BETTER)


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    item: str
    says: str
    """What the document says."""
    verdict: Verdict
    reason: str = ""
    """Why it is not literal, or what the line comes to."""
    test: str = ""
    """The pytest node id, `file::name`, of the test that shows it; none where there is nothing to run."""


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    title: str
    line: list[Line]


def documents() -> list[Document]:
    read = (tomllib.loads(path.read_text(encoding="utf-8")) | {"name": path.stem} for path in FILES)
    return TypeAdapter(list[Document]).validate_python(list(read))


def table(found: list[Document]) -> str:
    return "\n".join([HEAD, *_summary(found), *(line for document in found for line in _section(document))])


def _summary(found: list[Document]) -> list[str]:
    head = ["document", "lines", *Verdict]
    lines = {document.name: document.line for document in found}
    lines["all"] = [line for document in found for line in document.line]
    return [_row(head), _row(["---"] * len(head)), *(_row([name, *_counts(of)]) for name, of in lines.items())]


def _counts(lines: list[Line]) -> list[int]:
    verdicts = [line.verdict for line in lines]
    return [len(lines), *map(verdicts.count, Verdict)]


def _section(document: Document) -> list[str]:
    rows = [[line.item, line.says, line.verdict, line.reason, line.test and f"`{line.test}`"] for line in document.line]
    head = ["item", "document says", "verdict", "reason", "test"]
    return [f"\n## {document.title}\n", _row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
