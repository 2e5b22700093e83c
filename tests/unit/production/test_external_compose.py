"""docker-compose.external.yml against the code, and beside docker-compose.yml."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from reelay.settings import Settings
from tests.paths import ROOT
from tests.unit.production import checks
from tests.unit.production.files import Compose, Unset, container_environment, read_compose, resolved
from tests.unit.production.variables import settings_variables

FILE = "docker-compose.external.yml"
DATABASE = "postgresql://{role}:mostsecret@db.example.com:5432/reelay?sslmode=require"
FILLED_IN = {
    "DATABASE_URL": DATABASE.format(role="reelay_app"),
    "DATABASE_SERVICE_URL": DATABASE.format(role="reelay_service"),
    "DATABASE_ADMIN_URL": DATABASE.format(role="reelay_owner"),
    "TEMPORAL_ADDRESS": "temporal.example.com:7233",
    "ARCHIVE_URL": "s3://media/reelay",
    "FAL_KEY": "0b0e:of-fal-long-enough",
    "API_KEY_PEPPER": "of-the-pepper-long-enough",
    "FAL_WEBHOOK_SECRET": "of-the-webhooks-long-enough",
    "OUTGOING_WEBHOOK_SECRET": "of-the-endpoints-long-enough",
}
OWN = re.compile(r"DATABASE_\w*URL|TEMPORAL_|AWS_|GOOGLE_|AZURE_|ARCHIVE_URL")
"""What leads to the services, which are others."""


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read_compose(FILE)


@pytest.mark.parametrize("check", checks.COMMON, ids=lambda check: check.__name__)
def test_nothing_is_wrong(check: Callable[[Compose], list[str]], compose: Compose) -> None:
    assert check(compose) == []


def test_it_runs_our_processes_and_nobody_elses(compose: Compose) -> None:
    assert {*compose["services"]} == {"api", "worker", "migrate"} == {name for name, _ in checks.ours(compose)}


def test_the_guide_names_what_it_demands(compose: Compose) -> None:
    resolved(compose, FILLED_IN)
    guide = (ROOT / "docs" / "deploy.md").read_text()
    for name in FILLED_IN:
        assert re.search(rf"(?m)^{name}=", guide), name
        with pytest.raises(Unset, match=name):
            resolved(compose, {other: value for other, value in FILLED_IN.items() if other != name})


@pytest.mark.parametrize("service", ["api", "worker", "migrate"])
def test_its_processes_are_those_of_the_other_file(service: str, compose: Compose) -> None:
    def shape(file: Compose) -> dict[str, Any]:
        return {name: value for name, value in file["services"][service].items() if name not in DIFFERENT}

    other = read_compose()
    assert shape(compose) == shape(other)
    assert told(compose, service) == told(other, service)


DIFFERENT = ("environment", "depends_on", "volumes")


def told(file: Compose, service: str) -> dict[str, str | None]:
    """But for what leads to the services, and for how it is demanded."""
    return {
        name: re.sub(r":\?[^}]*", ":?", value) if value else value
        for name, value in file["services"][service]["environment"].items()
        if not OWN.match(name)
    }


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_containers_have_valid_production_settings(
    service: str, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in settings_variables().values():
        monkeypatch.delenv(name, raising=False)
    for name, value in container_environment(compose, service, FILLED_IN).items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert settings.unfit_for_production(checks.PROCESSES[service]) == []
    assert settings.archive_location == "s3://media/reelay"
    assert settings.service_url == FILLED_IN["DATABASE_SERVICE_URL"]


def test_certificates_are_where_every_process_reads_them(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert "./certificates:/certificates:ro" in service["volumes"], name
