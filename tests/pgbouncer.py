"""PgBouncer in transaction mode before the tests' Postgres; as a program (`python -m ...`) gets Debian's.

Without installing anything: its packages are unpacked into the virtual environment.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from lab.devstack.ports import HOST, free_ports
from lab.devstack.postgres import EmbeddedPostgres
from lab.devstack.processes import Program, running

UNPACKED = Path(sys.prefix) / "pgbouncer"
PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
DOWNLOAD_SECONDS = 300
MISSING = (
    "NO PGBOUNCER: the tests of a transaction pooler are left out. Install it (Debian: apt-get install pgbouncer; "
    "macOS: brew install pgbouncer), or name one by PGBOUNCER=/path/to/it."
)
SESSIONS = 6
"""Of one role in one database: fewer than its clients."""
CONFIGURATION = """
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
auth_type = scram-sha-256
auth_file = {folder}/users.txt
"""


def find_pgbouncer() -> str | None:
    """The one that `PGBOUNCER` names, else the machine's, else the one that was unpacked."""
    places = (
        os.environ.get("PGBOUNCER"),
        shutil.which("pgbouncer"),
        "/usr/sbin/pgbouncer",
        UNPACKED / "usr/sbin/pgbouncer",
    )
    return next((str(place) for place in places if place and Path(place).exists()), None)


@asynccontextmanager
async def transaction_pooler(server: EmbeddedPostgres, folder: Path) -> AsyncIterator[int]:
    """Its port."""
    (port,) = free_ports(1)
    write_configuration(server, folder, port)
    executable = find_pgbouncer()
    assert executable is not None
    libraries = {path.parent for path in UNPACKED.rglob("*.so*")}

    async def answers(pid: int) -> bool:
        with suppress(OSError, asyncpg.PostgresError, TimeoutError):
            url = make_url(server.app_url).set(port=port, database="postgres").render_as_string(hide_password=False)
            await (await asyncpg.connect(url, timeout=5)).close()
            return True
        return False

    # It refuses to be root.
    program = Program(
        name="pgbouncer",
        command=(executable, str(folder / "pgbouncer.ini")),
        environment={"PATH": os.defpath, "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))},
        log_file=folder / "pgbouncer.log",
        answers=answers,
        privileges=server.privileges,
    )
    async with running(program):
        yield port


def write_configuration(server: EmbeddedPostgres, folder: Path, port: int) -> None:
    folder.mkdir()
    users = [make_url(url) for url in (server.app_url, server.service_url, server.admin_url)]
    (folder / "users.txt").write_text("".join(f'"{each.username}" "{each.password}"\n' for each in users))
    values = {"host": HOST, "port": port, "server_port": server.port, "sessions": SESSIONS, "folder": folder}
    (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(**values))


def unpack() -> bool:
    """Debian's, by apt. False where that cannot be done."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    shutil.rmtree(UNPACKED, ignore_errors=True)
    UNPACKED.mkdir()
    commands: list[tuple[str, ...]] = [("apt-get", "download", "--quiet=2", *PACKAGES)]
    if os.geteuid() == 0:
        commands.insert(0, ("apt-get", "update", "--quiet=2"))
    for command in commands:
        done = subprocess.run(command, cwd=UNPACKED, timeout=DOWNLOAD_SECONDS, stdout=sys.stderr)
        if done.returncode:
            return False
    for package in UNPACKED.glob("*.deb"):
        subprocess.run(("dpkg-deb", "-x", package, UNPACKED), check=True)
        package.unlink()
    return True


def main() -> int:
    """Never fails: who has no Debian and no PgBouncer tests the rest."""
    if find_pgbouncer() is None and not (unpack() and find_pgbouncer()):
        print(MISSING, file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
