"""One version: of the wheel, the commands, the API's document, the clients, the image and the changelog."""

import json
import re
import tomllib
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from api.app import create_app
from reelay.cli.main import app as command_line
from reelay.settings import Environment, Settings
from tests.paths import ROOT
from tests.unit.production.files import read_compose

VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("folder", ["lab", "clients/python"])
def test_distributions_have_the_version(folder: str) -> None:
    assert tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("distribution", ["reelay", "reelay-lab", "reelay-client"])
def test_what_is_installed_has_the_version(distribution: str) -> None:
    assert version(distribution) == VERSION


@pytest.mark.parametrize("file", ["package.json", "package-lock.json"])
def test_javascript_package_has_the_version(file: str) -> None:
    assert json.loads((ROOT / "clients/js" / file).read_text())["version"] == VERSION


def test_commands_and_api_tell_it() -> None:
    assert CliRunner().invoke(command_line, ["--version"]).stdout == f"{VERSION}\n"
    assert (
        create_app(Settings(environment=Environment.PRODUCTION, _env_file=None)).openapi()["info"]["version"] == VERSION
    )


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.external.yml"])
def test_image_is_named_by_it(file: str) -> None:
    images = {service["image"] for service in read_compose(file)["services"].values()}
    assert {image for image in images if image.startswith("reelay:")} == {f"reelay:{VERSION}"}


def test_changelog_begins_with_it() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == VERSION
