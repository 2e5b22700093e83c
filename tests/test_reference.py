"""The reference pages against the code: what stands there is what there is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Counter

from activities import measuring
from api.operators.metrics import Metrics
from tests.production.files import ROOT

DOCS = ROOT / "docs"
LOGGING = ("activities", "api", "reelay", "workflows")
LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})
OF_WORKERS = {
    f"{measuring.ENDED}_total": {"provider", "model", "outcome"},
    measuring.ACTIVITY_SECONDS: {"activity", "provider"},
    f"{measuring.ATTEMPTS}_total": {"activity", "provider", "result"},
    f"{measuring.ARCHIVED_BYTES}_total": {"provider"},
}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    _, _, below = (DOCS / page).read_text(encoding="utf-8").partition(f"\n{heading}\n")
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table, f"{page} has no table below {heading}"
    lines = table[0].splitlines()[2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def logged(file: Path) -> Iterator[tuple[str, str]]:
    """Each event that a file logs, with its level."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[ast.Constant(value=str(event)), *_]
            ) if level in LEVELS:
                yield event, level


def test_every_log_event_is_described() -> None:
    files = [ROOT / "worker.py", *(file for folder in LOGGING for file in (ROOT / folder).rglob("*.py"))]
    events = {found for file in files for found in logged(file)}
    described = [(code(event)[0], level) for event, level, _ in rows("observability.md", "## Log events")]
    assert sorted(described) == sorted(events)


def test_every_metric_is_described_with_its_labels() -> None:
    of_the_api = {
        f"{metric._name}_total" if isinstance(metric, Counter) else metric._name: set(metric._labelnames)
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_labelnames")
    }
    described = {
        code(name)[0]: (set(code(labels)), process)
        for name, labels, process, _ in rows("observability.md", "## Metrics")
    }
    expected = {name: (labels, "API") for name, labels in of_the_api.items()}
    assert described == expected | {name: (labels, "worker") for name, labels in OF_WORKERS.items()}
