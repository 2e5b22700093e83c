"""The embedded Postgres keeps its data and its promises wherever it lives."""

import os
import signal
from pathlib import Path

import asyncpg
import psutil
import pytest

from lab.devstack.ports import free_ports
from lab.devstack.postgres import EmbeddedPostgres
from lab.devstack.processes import running
from reelay.cli.secrets import Secrets, keep_secrets
from tests.lab.devstack.watched import Watched

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can close a folder to the server's user")


def server(folder: Path) -> EmbeddedPostgres:
    (port,) = free_ports(1)
    return EmbeddedPostgres(folder=folder / "postgres", port=port, secrets=keep_secrets(folder / "secrets.json"))


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.fault("O3")
async def test_a_killed_server_comes_back_with_its_data(tmp_path: Path) -> None:
    postgres = server(tmp_path)
    watched = Watched(postgres.program(tmp_path / "postgres.log"))

    async def kill_it() -> None:
        await watched.supervisor.all_answer()
        await ask(postgres.admin_url, "create table kept as select 42 as answer")
        idle = await asyncpg.connect(postgres.admin_url)
        pid = watched.supervisor.pids["postgres"]
        os.kill(pid, signal.SIGKILL)
        await watched.replaced("postgres", pid)
        idle.terminate()
        assert await ask(postgres.admin_url, "select answer from kept") == 42

    await watched.supervisor.run(kill_it())
    deaths = [line for line in watched.said if "died" in line]
    assert deaths == ["postgres died (killed by SIGKILL). Its last lines:"]


async def test_it_lives_under_a_very_long_path(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a folder with a long name and spaces in it"] * 12)
    folder.mkdir(parents=True)
    postgres = server(folder)
    async with running(postgres.program(folder / "postgres.log")):
        assert await ask(postgres.app_url, "select current_database()") == "reelay"


@as_root
async def test_under_root_a_closed_home_stays_closed_and_the_server_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    home.chmod(0o700)
    before = [(path.stat().st_mode, path.stat().st_uid) for path in (home, home / "data")]
    postgres = server(home / "data")
    async with running(postgres.program(home / "data" / "postgres.log")) as child:
        assert await ask(postgres.admin_url, "select 1") == 1
        assert psutil.Process(child.pid).uids().real != 0
    assert [(path.stat().st_mode, path.stat().st_uid) for path in (home, home / "data")] == before


async def test_a_folder_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    half_made = tmp_path / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18")
    postgres = server(tmp_path)
    async with running(postgres.program(tmp_path / "postgres.log")):
        assert await ask(postgres.admin_url, "select 1") == 1


async def test_a_pid_file_that_names_somebody_else_does_not_stop_the_start(tmp_path: Path) -> None:
    postgres = server(tmp_path)
    await postgres.make_folder()
    (postgres.folder / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.folder}\n")
    async with running(postgres.program(tmp_path / "postgres.log")):
        assert await ask(postgres.admin_url, "select 1") == 1


async def test_the_roles_own_what_they_should_survive_a_restart_and_let_nobody_else_in(tmp_path: Path) -> None:
    postgres = server(tmp_path)
    stranger = EmbeddedPostgres(folder=postgres.folder, port=postgres.port, secrets=Secrets())
    async with running(postgres.program(tmp_path / "postgres.log")):
        owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'reelay'"
        assert await ask(postgres.app_url, owner) == "reelay_owner"
        powers = "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls from pg_roles where rolname = "
        for role in ("reelay_owner", "reelay_service", "reelay_app"):
            assert await ask(postgres.app_url, f"{powers}'{role}'") is False
    async with running(postgres.program(tmp_path / "postgres.log")):
        assert await ask(postgres.admin_url, "select current_setting('fsync')") == "on"
        for url in (stranger.superuser_url, stranger.admin_url, stranger.service_url, stranger.app_url):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await ask(url, "select 1")
