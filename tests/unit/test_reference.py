"""The reference pages against the code: what stands there is what there is."""

import ast
import importlib
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from http import HTTPMethod
from pathlib import Path
from typing import Any

import pytest
import typer.main
from prometheus_client import Counter

from activities import metrics, outgoing
from activities.catalog_watch import DRIFTED_MODELS
from api.http.problem_handlers import CODES
from api.http.problems import Problem
from api.metrics import Metrics
from lab.simulator.faults import Fault
from reelay.catalog.loader import DIRECTORY, load_catalog
from reelay.cli.exit_codes import Exit
from reelay.cli.main import app
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Stage, Status, WaitingFor
from reelay.domain.verdict import Verdict
from reelay.process_secrets import SECRETS, Process
from tests.document import openapi_document
from tests.paths import ROOT
from tests.unit.production.files import read_example

DOCS = ROOT / "docs"
LOGGING = ("activities", "api", "reelay", "workflows")
LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})
OF_WORKERS = {
    f"{metrics.ENDED}_total": {"provider", "model", "outcome"},
    metrics.ACTIVITY_SECONDS: {"activity", "provider"},
    f"{metrics.ATTEMPTS}_total": {"activity", "provider", "result"},
    f"{metrics.ARCHIVED_BYTES}_total": {"provider"},
    f"{outgoing.ATTEMPTS}_total": {"outcome"},
    outgoing.SECONDS_TO_DELIVERY: set[str](),
    f"{metrics.TASK_FAILURES}_total": {"task"},
    DRIFTED_MODELS: set(),
}

MAKES_METRIC = re.compile(r"\.create_(?:counter|gauge|histogram|histogram_float)\(\s*(\w+)")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    _, _, below = f"\n{(DOCS / page).read_text(encoding='utf-8')}".partition(f"\n{heading}\n")
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
    for name, labels in OF_WORKERS.items():
        expected[name] = (labels, "API, worker" if name in of_the_api else "worker")
    assert described == expected


def test_every_metric_that_a_worker_makes_is_among_those() -> None:
    made = {
        str(getattr(importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)), constant))
        for folder in ("activities", "workflows")
        for file in (ROOT / folder).rglob("*.py")
        for constant in MAKES_METRIC.findall(file.read_text(encoding="utf-8"))
    }
    assert made == {name.removesuffix("_total") for name in OF_WORKERS}


def test_every_status_stage_and_reason_of_a_failure_is_described() -> None:
    assert [code(status)[0] for status, _ in rows("api.md", "## A job")] == [*Status]
    stages = (DOCS / "api.md").read_text(encoding="utf-8").partition("| `stage` |")[2].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", stages, re.MULTILINE) == [*Stage]
    assert [code(reason)[0] for reason, *_ in rows("api.md", "### Why a job failed")] == [*FailureCode, "other"]
    waits = (DOCS / "api.md").read_text(encoding="utf-8").partition("| `waitingFor` |")[2].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", waits, re.MULTILINE) == [*WaitingFor]


def test_every_error_code_is_described_with_its_status() -> None:
    kinds: list[type[Problem]] = [Problem, *Problem.__subclasses__()]
    problems = {kind.code: kind.status for kind in kinds}
    by_status = {name: status for status, name in CODES.items()}
    described = {code(name)[0]: int(status) for name, status, *_ in rows("api.md", "## Errors")}
    expected = {name: int(status) for name, status in (problems | by_status).items()}
    assert described == expected | {"METHOD_NOT_ALLOWED": 405}


def test_every_verdict_is_described_with_its_answer() -> None:
    described = {
        code(verdict)[0]: int(answer) for verdict, answer, _ in rows("observability.md", "### Verdicts of webhooks")
    }
    assert described == {verdict.value: int(verdict.status) for verdict in Verdict}


def test_every_call_is_described() -> None:
    paths: Mapping[str, Mapping[str, object]] = openapi_document()["paths"]
    methods = {method.lower() for method in HTTPMethod}
    calls = {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in methods}
    described = [call for cell, _ in rows("api.md", "## Calls") for call in code(cell)]
    assert sorted(described) == sorted(calls)


def commands_of(command: Any, name: str) -> Iterator[str]:
    """Of a command, or of a group of them; the kinds of `generate` stand in its own line."""
    if name == "reelay generate" or not hasattr(command, "commands"):
        yield name
    else:
        for word, below in command.commands.items():
            yield from commands_of(below, f"{name} {word}")


def test_every_command_and_exit_code_is_described() -> None:
    described = [code(name)[0] for name, _ in rows("cli.md", "## Commands")]
    assert sorted(described) == sorted(commands_of(typer.main.get_command(app), "reelay"))
    assert {int(number) for number, _ in rows("cli.md", "## Exit codes")} == {0, *Exit}


def test_every_fault_is_described() -> None:
    described = [code(directive)[0] for directive, _ in rows("failures.md", "# Simulate failures")]
    assert sorted(described) == sorted(["latency=8s", *Fault])


def test_configuration_shows_what_is_required_and_common_as_the_example_does() -> None:
    for section in ("Required in production", "Common"):
        described = {
            code(name)[0]: code(default)[0] if default else ""
            for name, default, _, _ in rows("configuration.md", f"## {section}")
        }
        assert described == {line.name: line.value for line in read_example() if line.section == section}


def test_configuration_says_which_process_needs_which_secret() -> None:
    described = {code(name)[0]: marks for name, *marks in rows("configuration.md", "## Secrets")}
    assert described == {
        variable: ["yes" if process in needed_by else "" for process in Process]
        for variable, needed_by in SECRETS.items()
    }


@pytest.mark.parametrize("section", ["Required in production", "Common"])
def test_configuration_says_who_needs_each_variable(section: str) -> None:
    words = {
        "API": {Process.API},
        "workers": {Process.GENERATIONS, Process.TRANSFERS, Process.WEBHOOKS},
        "generations": {Process.GENERATIONS},
        "transfers": {Process.TRANSFERS},
        "webhooks": {Process.WEBHOOKS},
        "migrate": {Process.MIGRATION},
        "commands": set[Process](),
        "compose": set[Process](),
    }
    for name, _, _, needed_by in rows("configuration.md", f"## {section}"):
        described = set[Process]().union(*(words[word] for word in needed_by.split(", ")))
        (variable,) = code(name)
        assert SECRETS.get(variable, described) == described, variable


def test_the_model_of_the_page_can_be_added(tmp_path: Path) -> None:
    page = (DOCS / "add-a-model.md").read_text(encoding="utf-8")
    shutil.copytree(DIRECTORY, tmp_path, ignore=shutil.ignore_patterns("*.py"), dirs_exist_ok=True)
    (tmp_path / "models" / "mine.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    assert load_catalog(tmp_path).find("my-model").price_cents({"prompt": "a harbour", "duration": 10}) == 100


def said() -> Iterator[str]:
    """The texts of commands, API and Makefile, one a line: what is a placeholder there is `...` here."""
    for folder in ("reelay", "lab", "api", "workflows"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.JoinedStr(values=parts):
                        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts)
                    case ast.Constant(value=str(text)):
                        yield text
    for file in (ROOT / "reelay" / "domain" / "messages").glob("*.toml"):
        sentences = tomllib.loads(file.read_text(encoding="utf-8")).values()
        yield from (re.sub(r"\{\w+\}", "...", sentence["en"]) for sentence in sentences)
    yield re.sub(r"\$\(\w+\)", "...", (ROOT / "Makefile").read_text(encoding="utf-8"))


@pytest.mark.parametrize("section", ["## Starting", "## Calling the API"])
def test_messages_of_troubleshooting_are_those_that_are_said(section: str) -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^### (.+)$", page.partition(f"{section}\n")[2].partition("\n## ")[0], re.MULTILINE)
    texts = "\n".join(said())
    assert messages
    assert [message for message in messages if not all(part in texts for part in message.split("..."))] == []
