"""The Dockerfile against the code, and what its build would find."""

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from subprocess import run
from typing import Any
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from reelay.cli.main import app as command_line
from tests.paths import ROOT
from tests.unit.production.checks import PINNED, is_asked_rightly
from tests.unit.production.files import last, locked, read_compose, read_dockerfile

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WHEEL: dict[str, Any] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


def context() -> set[str]:
    """What .dockerignore lets into the build: it shuts out everything, and then lets in some."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    return {rule.removeprefix("!") for rule in rules if rule.startswith("!")}


def pins(lock: str) -> dict[str, str]:
    """Package to all that a lock file says of it."""
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n?", "", (ROOT / lock).read_text()).strip())
    return {re.split(r"==", entry)[0] + marker(entry): entry for entry in entries}


def marker(entry: str) -> str:
    return "".join(re.findall(r";[^\\]*", entry.splitlines()[0])).strip()


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in requirements}


def test_the_base_image_is_pinned_and_one() -> None:
    bases = {each.value.split()[0] for each in read_dockerfile() if each.name == "FROM"}
    assert len(bases) == 1
    assert PINNED.fullmatch(bases.pop())


def test_it_does_not_run_as_root() -> None:
    user = last("USER").split(":")[0]
    assert int(user) > 0
    assert any(f"--uid {user}" in each.value for each in read_dockerfile() if each.name == "RUN")


def test_every_package_is_checked_by_its_hash() -> None:
    installs = [each.value for each in read_dockerfile() if "pip install" in each.value]
    assert all("--require-hashes" in each or "--no-deps --no-build-isolation" in each for each in installs)
    assert all("--hash=sha256:" in entry for entry in pins("requirements-runtime.lock").values())


def test_it_runs_the_command_of_the_package() -> None:
    (command,) = json.loads(last("ENTRYPOINT"))
    assert command in PROJECT["project"]["scripts"]
    assert CliRunner().invoke(command_line, [*json.loads(last("CMD")), "--help"]).exit_code == 0


def test_its_health_check_asks_a_route_of_the_default_command() -> None:
    command = json.loads(last("CMD"))
    assert is_asked_rightly({"command": command})
    assert command[command.index("--port") + 1] == last("EXPOSE")
    assert not is_asked_rightly({"command": ["api", "--port", "8001"]})


def test_the_tag_is_the_version() -> None:
    tags = {each["image"] for each in read_compose()["services"].values() if "build" in each}
    assert tags == {f"reelay:{PROJECT['project']['version']}"}


def test_the_build_sees_the_wheel_s_sources_and_nothing_else() -> None:
    sources = {*WHEEL["only-include"], *WHEEL["force-include"], "clients/python"}
    assert context() == sources | {"pyproject.toml", "README.md", "LICENSE", "requirements-runtime.lock"}


def test_the_wheel_installs_nothing_beside_reelay_but_the_names_of_the_card() -> None:
    targets = {*WHEEL["only-include"], *WHEEL["force-include"].values()}
    assert {Path(target).parts[0] for target in targets} == {"activities", "api", "reelay", "worker.py", "workflows"}


def test_the_wheel_builds_from_what_the_build_sees(tmp_path: Path) -> None:
    for name in context():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with ZipFile(wheel) as files:
        packed = {Path(name) for name in files.namelist()}
    seen = [path for name in context() for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    data = (path.relative_to(ROOT) for path in seen if path.suffix in DATA and path.name != "pyproject.toml")
    needed = {packed_as(path) for path in data}
    assert needed
    assert needed <= packed


def packed_as(path: Path) -> Path:
    """Where the wheel has a file of the tree."""
    for source, target in WHEEL["force-include"].items():
        if path.is_relative_to(source):
            return Path(target) / path.relative_to(source)
    return path


DATA = {".toml", ".mako", ".html", ".css", ".js", ".svg"}
"""What the code reads beside Python."""


@pytest.mark.parametrize("extra", ["dev", "embedded"])
def test_the_image_has_nothing_that_only_development_needs(extra: str) -> None:
    assert not names(EXTRAS[extra]) & locked("requirements-runtime.lock").keys()


def test_the_image_has_what_the_project_depends_on() -> None:
    needed = names(PROJECT["project"]["dependencies"]) | names(EXTRAS["build"])
    assert needed <= locked("requirements-runtime.lock").keys()


def test_the_image_has_the_packages_that_were_tested() -> None:
    assert pins("requirements-runtime.lock").items() <= pins("requirements.lock").items()
