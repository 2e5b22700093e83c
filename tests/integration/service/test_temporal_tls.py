"""A Temporal that speaks TLS and asks for a client's certificate, as Temporal Cloud does."""

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.health import readiness
from api.metrics import Metrics
from api.services import open_services
from reelay.cli.checks import Finding, State, check_temporal
from tests.certificates import Authority, Certificate
from tests.running import PATIENT, Service, running_service
from tests.servers import Servers
from tests.tcp_lines import Line, open_line

NAME = "temporal.example"


@dataclass(frozen=True)
class Secured:
    line: Line
    authority: Authority
    client: Certificate
    stranger: Authority

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "TEMPORAL_ADDRESS": self.line.address,
            "TEMPORAL_TLS_SERVER_NAME": NAME,
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(self.authority.file),
            "TEMPORAL_TLS_CLIENT_CERT_PATH": str(self.client.file),
            "TEMPORAL_TLS_CLIENT_KEY_PATH": str(self.client.key_file),
        }


@pytest.fixture(scope="module")
async def secured(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder, "ours")
    server = authority.issue(NAME)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.file, server.key_file)
    context.set_alpn_protocols(["h2"])
    async with open_line(servers.temporal.port, tls=context) as line:
        yield Secured(line, authority, authority.issue("reelay"), Authority(folder, "stranger"))


def in_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


async def doctor_says() -> Finding:
    return await check_temporal(None, search_attributes=True)


async def test_a_generation_runs_by_mutual_tls(
    servers: Servers, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_environment(monkeypatch, secured.environment)
    async with running_service(servers, webhook_patience=60) as service:
        await service.until(await service.create(), "completed")
        assert (await service.client.get("/readyz")).json()["parts"]["temporal"] == "ok"
        assert (await doctor_says()).state is State.OK


async def refused(service: Service) -> Finding:
    """What doctor says of a server that an API is not connected with."""
    async with open_services(service.settings, Metrics(), PATIENT) as services:
        assert (await readiness(services))["parts"]["temporal"] == "does not answer"
    found = await doctor_says()
    assert found.state is State.WRONG
    return found


async def test_a_server_of_another_authority_is_refused(
    patient_service: Service, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(secured.stranger.file)}
    in_environment(monkeypatch, {**secured.environment, **other})
    found = await refused(patient_service)
    assert "has a certificate that is not trusted (UnknownIssuer)" in found.found
    assert "TEMPORAL_TLS_SERVER_CA_CERT_PATH" in found.advice


async def test_a_server_of_another_name_is_refused(
    patient_service: Service, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_environment(monkeypatch, {**secured.environment, "TEMPORAL_TLS_SERVER_NAME": "other.example"})
    found = await refused(patient_service)
    assert "has a certificate that is not trusted (NotValidForName" in found.found
    assert "TEMPORAL_TLS_SERVER_NAME" in found.advice


async def test_who_has_no_certificate_of_the_servers_authority_is_refused(
    patient_service: Service, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = secured.stranger.issue("reelay-elsewhere")
    theirs = {
        "TEMPORAL_TLS_CLIENT_CERT_PATH": str(stranger.file),
        "TEMPORAL_TLS_CLIENT_KEY_PATH": str(stranger.key_file),
    }
    in_environment(monkeypatch, {**secured.environment, **theirs})
    found = await refused(patient_service)
    assert "closes the connection" in found.found
    assert "TEMPORAL_TLS_CLIENT_CERT_PATH" in found.advice


async def test_a_certificate_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(tmp_path / "ca.pem"))
    found = await doctor_says()
    assert found.state is State.WRONG
    assert found.found == f"TEMPORAL_TLS_SERVER_CA_CERT_PATH: there is no file {tmp_path / 'ca.pem'} that can be read"
