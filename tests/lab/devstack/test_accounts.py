"""Keys and the schema from the command line, on a database that the environment names."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer import BadParameter
from typer.testing import CliRunner

from lab.devstack.ports import free_ports
from lab.devstack.postgres import EmbeddedPostgres
from lab.devstack.processes import running
from reelay.cli.errors import StackError
from reelay.cli.keys import duration
from reelay.cli.main import app as command_line
from reelay.cli.operations import parse_cents
from reelay.cli.secrets import Secrets
from reelay.db.engine import make_engine, make_sessions
from reelay.db.keys import find_key_owner, hash_key
from reelay.db.schema_check import known_revisions
from reelay.db.tables import Scope
from tests.lab.devstack.commands import ENVIRONMENT, reelay

PEPPER = "a pepper for tests"


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    (port,) = free_ports(1)
    server = EmbeddedPostgres(folder=tmp_path / "postgres", port=port, secrets=Secrets(), settings={"fsync": "off"})
    async with running(server.program(tmp_path / "postgres.log")):
        yield server


async def owner_of(key: str, empty: EmbeddedPostgres) -> Scope | None:
    engine = make_engine(empty.admin_url, pool_size=1)
    try:
        async with make_sessions(engine)() as session:
            found = await find_key_owner(session, hash_key(key, PEPPER.encode()))
    finally:
        await engine.dispose()
    return found.scope if found else None


async def test_keys_are_created_listed_and_revoked(empty: EmbeddedPostgres) -> None:
    environment = {
        **ENVIRONMENT,
        "DATABASE_ADMIN_URL": empty.admin_url,
        "DATABASE_URL": empty.app_url,
        "API_KEY_PEPPER": PEPPER,
    }
    newest = known_revisions()[0]
    for said in (f"had no schema, and is at revision {newest}", f"is at revision {newest}, as it was before"):
        assert await reelay("migrate", environment=environment) == (0, f"The database {said}.\n")
    code, output = await reelay("keys", "create", "ann", "--scope", "admin", environment=environment)
    key = output.removesuffix("\n")
    assert (code, key.startswith("rk_"), key.split()) == (0, True, [key])
    assert await owner_of(key, empty) is Scope.ADMIN
    code, output = await reelay("keys", "list", "--json", environment=environment)
    (listed,) = json.loads(output)
    assert (listed["user"], listed["scope"], listed["revokedAt"]) == ("ann", "admin", None)
    assert key not in output
    assert await reelay("keys", "revoke", listed["prefix"], environment=environment) == (0, "")
    assert await owner_of(key, empty) is None
    code, output = await reelay("keys", "revoke", listed["prefix"], environment=environment)
    assert (code, "no active key" in output) == (1, True)
    await shut_out_and_let_in(empty, environment)
    await credits_are_added_shown_and_corrected(environment)


async def shut_out_and_let_in(empty: EmbeddedPostgres, environment: dict[str, str]) -> None:
    """In this process, which has loaded everything already."""

    async def done(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, command_line, words, env=environment)
        assert result.exit_code == 0, result.output
        return result.stdout

    key = (await done("keys", "create", "ann", "--expires", "30d", "--budget-cents", "500")).strip()
    newest = json.loads(await done("keys", "list", "--json"))[0]
    assert (newest["budgetCents"], newest["spentCents"], newest["leftCents"]) == (500, 0, 500)
    lifetime = datetime.fromisoformat(newest["expiresAt"]) - datetime.fromisoformat(newest["createdAt"])
    assert lifetime == timedelta(days=30)
    (ann,) = json.loads(await done("users", "list", "--json"))
    assert (ann["name"], ann["keys"], ann["jobs"], ann["disabledAt"]) == ("ann", 1, 0, None)
    assert await owner_of(key, empty) is Scope.USER
    await done("users", "disable", ann["id"])
    assert await owner_of(key, empty) is None
    assert json.loads(await done("users", "show", "ann", "--json"))["disabledAt"]
    await done("users", "enable", "ann")
    assert await owner_of(key, empty) is Scope.USER
    await done("users", "sign-out", "ann")
    with pytest.raises(AssertionError, match="there is no user bob"):
        await done("users", "disable", "bob")
    made = json.loads(await done("users", "create", "carol", "--budget", "900", "--json"))
    assert (made["name"], made["monthlyBudgetCents"], made["keys"]) == ("carol", 900, 0)
    with pytest.raises(AssertionError, match="there is a user carol already"):
        await done("users", "create", "carol")
    await done("keys", "create", "eve")
    with pytest.raises(AssertionError, match="Aborted"):
        await done("users", "delete", "eve")
    await done("users", "delete", "eve", "--yes")
    with pytest.raises(AssertionError, match="eve is being deleted"):
        await done("users", "enable", "eve")


async def credits_are_added_shown_and_corrected(environment: dict[str, str]) -> None:
    async def ask(*words: str) -> tuple[int | None, str]:
        return await reelay(*words, environment=environment)

    code, output = await ask("credits", "add", "bob", "500")
    assert (code, "there is no user bob" in output) == (1, True)
    assert (await ask("keys", "create", "bob"))[0] == 0
    added = await ask("credits", "add", "bob", "500", "--reference", "payment 1")
    assert added == (0, "bob  500 cents available, 0 held, 500 in all\n")
    refusals = await asyncio.gather(
        ask("credits", "add", "bob", "-5"), ask("credits", "add", "bob", "1.5"), ask("credits", "show", "nobody")
    )
    assert [code for code, _ in refusals] == [1, 1, 1]
    assert ["whole" in output for _, output in refusals] == [True, True, False]
    assert (await ask("credits", "adjust", "bob", "-50", "--reason", "a mistake"))[0] == 0
    assert await ask("users", "budget", "bob", "100") == (0, "")
    code, output = await ask("credits", "show", "bob", "--json")
    cents = {"balanceCents": 450, "heldCents": 0, "availableCents": 450, "monthlyBudgetCents": 100}
    shown = json.loads(output)
    assert (code, {name: shown[name] for name in cents}, shown["user"]) == (0, cents, "bob")
    code, output = await ask("audit", "--subject", "bob", "--json")
    entries = [(entry["action"], entry["actor"], entry["details"].get("cents")) for entry in json.loads(output)]
    assert (code, entries) == (
        0,
        [
            ("user.budget_set", "command line", 100),
            ("credits.adjusted", "command line", -50),
            ("credits.added", "command line", 500),
            ("key.created", "command line", None),
            ("user.created", "command line", None),
        ],
    )
    code, output = await ask("audit", "--action", "bogus")
    assert (code, "there is no action bogus" in output) == (1, True)


@pytest.mark.parametrize("words", ["1.5", "1e3", "ten", "", "0x10", "nan", "١٢", "1_000"])
def test_only_whole_numbers_are_amounts(words: str) -> None:
    with pytest.raises(StackError, match="whole number"):
        parse_cents(words)


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5d", "1y", "1D", "99999d", "9999999999s"])
def test_a_lifetime_is_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(BadParameter, match="is not a duration"):
        duration(text)


async def test_no_key_is_made_that_the_api_could_not_read(empty: EmbeddedPostgres) -> None:
    environment = {**ENVIRONMENT, "DATABASE_ADMIN_URL": empty.admin_url}
    code, output = await reelay("keys", "create", "ann", environment=environment)
    assert code == 1
    assert "API_KEY_PEPPER is not set" in output
