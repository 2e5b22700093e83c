"""TLS to Postgres, before which stands a certificate for `localhost` by an authority of the test's own."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from reelay.cli.checks import check_notifications, check_postgres
from reelay.cli.data_dir import DataDir
from reelay.cli.importer import import_rows
from reelay.cli.migration import migrate_database
from reelay.db.engine import PostgresUnavailable, make_engine
from reelay.settings import Environment, Settings
from tests.certificates import Authority
from tests.integration.api.streams import opened
from tests.running import running_service
from tests.servers import Database, Postgres, Servers
from tests.tls_postgres import TlsFront, tls_front


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
async def front(postgres: Postgres, authority: Authority) -> AsyncIterator[TlsFront]:
    async with tls_front(postgres.server.port, authority.issue("localhost")) as front:
        yield front


@pytest.fixture(scope="module")
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


def behind(front: TlsFront, url: str, parameters: str, host: str = "localhost") -> str:
    return make_url(url).set(host=host, port=front.port).render_as_string(hide_password=False) + f"?{parameters}"


async def is_encrypted(front: TlsFront, url: str) -> bool:
    front.startups.clear()
    engine = make_engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            assert await connection.scalar(text("select 1"))
    finally:
        await engine.dispose()
    (startup,) = front.startups
    return startup.is_encrypted


@pytest.mark.parametrize(
    ("parameters", "encrypted"),
    [
        ("sslmode=disable", False),
        ("sslmode=allow", False),
        ("sslmode=prefer", True),
        ("", True),
        ("sslmode=require", True),
        ("sslmode=verify-ca&sslrootcert={authority}", True),
        ("sslmode=verify-full&sslrootcert={authority}", True),
        ("sslmode=require&sslrootcert={authority}", True),
        ("sslmode=require&channel_binding=prefer&ssl_min_protocol_version=TLSv1.3", True),
        ("sslmode=require&channel_binding=require&sslrootcert={authority}", True),
    ],
)
async def test_the_mode_is_what_is_done(
    front: TlsFront, database: Database, authority: Authority, parameters: str, encrypted: bool
) -> None:
    url = behind(front, database.app_url, parameters.format(authority=authority.file))
    assert await is_encrypted(front, url) is encrypted


@pytest.mark.parametrize("parameters", ["sslrootcert=system", "sslmode=require&channel_binding=require"])
async def test_the_systems_authorities_are_asked(
    front: TlsFront, database: Database, authority: Authority, parameters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = behind(front, database.app_url, parameters)
    with pytest.raises(PostgresUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await is_encrypted(front, url)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert await is_encrypted(front, url)


@pytest.mark.fault("O32")
@pytest.mark.parametrize("mode", ["verify-ca", "verify-full", "require"])
async def test_another_authoritys_certificate_is_refused(
    front: TlsFront, database: Database, mode: str, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    with pytest.raises(PostgresUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await is_encrypted(front, behind(front, database.app_url, f"sslmode={mode}&sslrootcert={other.file}"))


@pytest.mark.fault("O32")
async def test_a_certificate_for_another_host_is_refused_where_its_name_counts(
    front: TlsFront, database: Database, authority: Authority
) -> None:
    by_address = {
        mode: behind(front, database.app_url, f"sslmode={mode}&sslrootcert={authority.file}", host="127.0.0.1")
        for mode in ("verify-ca", "verify-full")
    }
    assert await is_encrypted(front, by_address["verify-ca"])
    with pytest.raises(PostgresUnavailable, match="IP address mismatch"):
        await is_encrypted(front, by_address["verify-full"])


async def test_a_certificate_of_ones_own_is_shown(front: TlsFront, database: Database, authority: Authority) -> None:
    own = authority.issue("reelay_app")
    front.context.load_verify_locations(authority.file)
    front.context.verify_mode = ssl.CERT_REQUIRED
    try:
        without = behind(front, database.app_url, "sslmode=require")
        assert await is_encrypted(front, f"{without}&sslcert={own.file}&sslkey={own.key_file}")
        with pytest.raises(PostgresUnavailable):
            await is_encrypted(front, without)
    finally:
        front.context.verify_mode = ssl.CERT_NONE


async def test_a_server_without_tls_is_refused(database: Database) -> None:
    engine = make_engine(f"{database.app_url}?sslmode=require", pool_size=1)
    with pytest.raises(PostgresUnavailable, match="rejected SSL upgrade"):
        async with engine.connect():
            pass


async def test_the_next_host_is_asked_when_one_does_not_answer(front: TlsFront, database: Database) -> None:
    url = make_url(behind(front, database.app_url, ""))
    login = f"{url.username}:{url.password}"
    several = f"postgresql://{login}@127.0.0.1:1,localhost:{front.port}/{url.database}?target_session_attrs"
    assert await is_encrypted(front, f"{several}=read-write")
    with pytest.raises(PostgresUnavailable, match="standby"):
        await is_encrypted(front, f"{several}=standby")
    engine = make_engine(f"{several}=prefer-standby", pool_size=1)
    async with engine.connect() as connection:
        assert await connection.scalar(text("select 1"))
    await engine.dispose()


@pytest.mark.fault("O32")
async def test_every_connection_is_made_as_the_address_says(
    servers: Servers,
    front: TlsFront,
    database: Database,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Of migrations, import, API, worker, listener and doctor alike."""
    parameters = f"sslmode=verify-full&sslrootcert={authority.file}&application_name=reelay-tls&connect_timeout=30"
    urls = (database.admin_url, database.service_url, database.app_url)
    secured = Database(*(behind(front, url, parameters) for url in urls))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEMPORAL_ADDRESS")
    monkeypatch.setenv("DATABASE_URL", secured.app_url)
    monkeypatch.setenv("DATABASE_SERVICE_URL", secured.service_url)
    monkeypatch.setenv("DATABASE_ADMIN_URL", secured.admin_url)
    (tmp_path / "users.jsonl").write_text(json.dumps({"id": "old"}))
    front.startups.clear()
    await migrate_database(DataDir(tmp_path))
    await import_rows(DataDir(tmp_path), str(tmp_path), apply=False)
    monkeypatch.setenv("TEMPORAL_ADDRESS", servers.temporal.address)
    async with running_service(servers, database=secured) as service:
        job_id = await service.create()
        async with opened(service.client, f"/api/jobs/{job_id}/events") as stream:
            await stream.until_status(job_id, "completed")
        for check in (check_postgres, check_notifications):
            assert (await check(service.settings)).state == "ok"
        ready = (await service.client.get("/readyz")).json()
        assert ready["parts"]["postgres"] == "ok"
    assert len(front.startups) > 8
    assert {each.is_encrypted for each in front.startups} == {True}
    assert all(b"application_name\0reelay-tls\0" in each.message for each in front.startups)


async def test_doctor_names_a_certificate_that_is_refused(front: TlsFront, database: Database, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    url = behind(front, database.app_url, f"sslmode=verify-full&sslrootcert={other.file}")
    settings = Settings(environment=Environment.DEVELOPMENT, database_url=url, database_service_url=url, _env_file=None)
    found = await check_postgres(settings)
    assert (found.state, "CERTIFICATE_VERIFY_FAILED" in found.found) == ("wrong", True)
