"""Imports run one way: api -> workflows -> activities -> reelay -> reelay.domain. Nobody imports lab or tests."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.paths import ROOT

# Who may import whom, beside themselves and libraries. What stands here for a package holds for all its modules.
ALLOWED = {
    "reelay.domain": set[str](),
    "reelay.content_credentials": {"reelay.domain"},
    "reelay.catalog": {"reelay.domain", "reelay.settings"},
    "reelay.db": {"reelay.domain"},
    "reelay.media": {
        "reelay.content_credentials",
        "reelay.domain",
        "reelay.outbound",
        "reelay.settings",
        "reelay.tls",
        "reelay.tracing",
    },
    "reelay.outgoing": {"reelay.domain", "reelay.media", "reelay.outbound", "reelay.settings"},
    "reelay.outbound": {"reelay.settings", "reelay.tls"},
    "reelay.providers": {"reelay.domain", "reelay.outbound", "reelay.settings", "reelay.tracing"},
    "reelay.tracing": {"reelay.domain"},
    "activities": {"reelay"},
    "workflows": {"activities", "reelay"},
    "api": {"workflows", "activities", "reelay"},
    "reelay.cli": {"api", "worker", "workflows", "reelay", "reelay_client"},
    # A webhook shows a job as the API does.
    "worker": {"api.notifications", "workflows", "activities", "reelay"},
    "reelay_client": set[str](),
    "lab": {"api", "worker", "workflows", "activities", "reelay", "reelay_client"},
}
OURS = ("activities", "api", "lab", "reelay", "reelay_client", "tests", "worker", "workflows")
FOLDERS = {"reelay_client": ROOT / "clients" / "python" / "reelay_client"}


def imports(package: str) -> Iterator[tuple[str, str]]:
    """Each module of the package with each module of ours that it imports."""
    folder = FOLDERS.get(package, ROOT / package.replace(".", "/"))
    for path in [folder.with_suffix(".py")] if folder.with_suffix(".py").exists() else folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name and name.partition(".")[0] in OURS:
                    yield str(path.relative_to(ROOT)), name


def is_under(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_what_lies_below_it(package: str) -> None:
    allowed = ALLOWED[package] | {package}
    assert not {(path, module) for path, module in imports(package) if not is_under(module, allowed)}


# Who starts, signals, queries, cancels or describes a workflow. Schedules have a place of their own.
HANDLES = re.compile(r"\.(get_workflow_handle\w*|start_workflow|execute_workflow|describe_workflow_execution)\b")
PRODUCT = ("activities", "api", "reelay", "workflows")


def test_one_module_touches_workflow_handles() -> None:
    paths = [ROOT / "worker.py", *(path for package in PRODUCT for path in (ROOT / package).rglob("*.py"))]
    assert [path.relative_to(ROOT) for path in paths if HANDLES.search(path.read_text())] == [Path("workflows/runs.py")]


def test_only_the_command_that_migrates_loads_alembic() -> None:
    """5 MiB of each process that serves."""
    assert {
        path for package in (*PRODUCT, "worker") for path, module in imports(package) if module == "reelay.db.migrate"
    } == {"reelay/cli/migration.py"}


# Each takes a tenth of a process's start or more, and most processes need none of them, or a process of its own does.
LOADED_WHEN_NEEDED = {
    "alembic",
    "av",
    "c2pa",
    "mcp",
    "mcp_types",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "rich",
}


@pytest.mark.parametrize("process", ["api.app", "api.server", "worker"])
def test_a_process_that_serves_loads_at_its_start_what_it_always_needs(process: str) -> None:
    assert not {module for module in loaded_with(process) if is_under(module, LOADED_WHEN_NEEDED)}


def loaded_with(process: str) -> set[str]:
    """The modules that importing this one of ours imports, libraries' own imports aside."""
    found, left = set[str](), [process]
    while left:
        module = left.pop()
        if module in found:
            continue
        found.add(module)
        path = ROOT / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if module.partition(".")[0] in OURS and path.exists():
            left += [module.rpartition(".")[0], *imported_at_once(ast.parse(path.read_text()).body)]
    return found


def imported_at_once(body: Sequence[ast.stmt]) -> Iterator[str]:
    """By the statements of a module itself, not of its functions, nor for the checker of types alone."""
    for node in body:
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module, *(f"{module}.{each.name}" for each in names))
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.If() | ast.With() | ast.Try():
                yield from imported_at_once(node.body)
