"""Keys and the schema from the command line, on a database that the environment names."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer import BadParameter

from cli import duration
from db.engine import make_engine, make_sessions
from db.keys import find_key_owner, hash_key
from db.tables import Scope
from devstack.ports import free_ports
from devstack.postgres import EmbeddedPostgres
from devstack.processes import running
from devstack.secrets import Secrets
from tests.devstack.commands import ENVIRONMENT, reelay

PEPPER = "a pepper for tests"


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    (port,) = free_ports(1)
    server = EmbeddedPostgres(folder=tmp_path / "postgres", port=port, secrets=Secrets(), settings={"fsync": "off"})
    async with running(server.program(tmp_path / "postgres.log")):
        yield server


async def owner_of(key: str, postgres: EmbeddedPostgres) -> Scope | None:
    engine = make_engine(postgres.admin_url, pool_size=1)
    try:
        async with make_sessions(engine)() as session:
            found = await find_key_owner(session, hash_key(key, PEPPER.encode()))
    finally:
        await engine.dispose()
    return found[1] if found else None


async def test_keys_are_created_listed_and_revoked(postgres: EmbeddedPostgres) -> None:
    environment = {
        **ENVIRONMENT,
        "DATABASE_ADMIN_URL": postgres.admin_url,
        "DATABASE_URL": postgres.app_url,
        "API_KEY_PEPPER": PEPPER,
    }
    for _ in range(2):
        assert await reelay("migrate", environment=environment) == (0, "")
    code, output = await reelay("keys", "create", "ann", "--scope", "admin", environment=environment)
    key = output.removesuffix("\n")
    assert (code, key.startswith("rk_"), key.split()) == (0, True, [key])
    assert await owner_of(key, postgres) is Scope.ADMIN
    code, output = await reelay("keys", "list", "--json", environment=environment)
    (listed,) = json.loads(output)
    assert (listed["user"], listed["scope"], listed["revokedAt"]) == ("ann", "admin", None)
    assert key not in output
    assert await reelay("keys", "revoke", listed["prefix"], environment=environment) == (0, "")
    assert await owner_of(key, postgres) is None
    code, output = await reelay("keys", "revoke", listed["prefix"], environment=environment)
    assert (code, "no living key" in output) == (1, True)
    code, output = await reelay("keys", "create", "ann", "--expires", "30d", environment=environment)
    assert await owner_of(output.strip(), postgres) is Scope.USER
    code, output = await reelay("keys", "list", "--json", environment=environment)
    newest = json.loads(output)[0]
    lifetime = datetime.fromisoformat(newest["expiresAt"]) - datetime.fromisoformat(newest["createdAt"])
    assert lifetime == timedelta(days=30)

    code, output = await reelay("users", "list", "--json", environment=environment)
    (ann,) = json.loads(output)
    assert (ann["name"], ann["keys"], ann["jobs"], ann["disabledAt"]) == ("ann", 1, 0, None)
    assert await reelay("users", "disable", ann["id"], environment=environment) == (0, "")
    code, output = await reelay("users", "show", "ann", "--json", environment=environment)
    assert json.loads(output)["disabledAt"]
    assert await reelay("users", "enable", "ann", environment=environment) == (0, "")
    assert await reelay("users", "disable", "bob", environment=environment) == (1, "reelay: there is no user bob\n")


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5d", "1y", "1D", "99999d", "9999999999s"])
def test_a_lifetime_is_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(BadParameter, match="is not a duration"):
        duration(text)


async def test_no_key_is_made_that_the_api_could_not_read(postgres: EmbeddedPostgres) -> None:
    environment = {**ENVIRONMENT, "DATABASE_ADMIN_URL": postgres.admin_url}
    code, output = await reelay("keys", "create", "ann", environment=environment)
    assert code == 1
    assert "API_KEY_PEPPER is not set" in output
