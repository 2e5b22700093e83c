"""The page about backups, walked from a running service to one that was restored from nothing but the backup."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from lab.devstack.postgres import binary
from reelay.db.migrate import migrate
from tests.integration.service.reconciling import reconcile
from tests.paths import ROOT
from tests.running import running_service
from tests.servers import Postgres, Servers, temporal_server

PAGE = (ROOT / "docs" / "backup.md").read_text()


HASTY = """update generation_jobs set timing = timing || '{"adoption_window": "PT2S"}' where id = :id"""


def commands(heading: str) -> list[str]:
    """Of the shell, below a heading and above the next."""
    below = PAGE.partition(f"\n{heading}\n")[2]
    section = re.split(r"^#", below, flags=re.MULTILINE)[0]
    return "".join(re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)).splitlines()


def run(command: str, **variables: str) -> None:
    path = os.pathsep.join([str(binary("pg_dump").parent), os.environ["PATH"]])
    done = subprocess.run(
        ("bash", "-euc", command), env={"PATH": path, **variables}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


async def lose(postgres: Postgres, url: str) -> None:
    """The database, and all that is connected to it."""
    await as_administrator(postgres, f"drop database {make_url(url).database} with (force)")


async def as_administrator(postgres: Postgres, statement: str) -> None:
    superuser = await asyncpg.connect(postgres.server.superuser_url)
    await superuser.execute(statement)
    await superuser.close()


@pytest.mark.fault("O34")
async def test_all_is_lost_and_restored_and_nothing_is_bought_again(servers: Servers, tmp_path: Path) -> None:
    database = await servers.postgres.copy()
    variables = {"DATABASE_ADMIN_URL": database.admin_url, "BACKUP": str(tmp_path)}
    dump, copy = commands("## Back up")
    async with running_service(servers, database=database, webhook_patience=60) as service:
        variables["ARCHIVE"] = str(service.settings.data_dir / "archive")
        headers = dict(service.client.headers)
        finished, running = await service.create(), await service.create("a while [sim: latency=10m]")
        lost = await service.create("lost [sim: submit=drop, webhook=lost, listing=lost]")
        await service.until(finished, "completed")
        await service.until_accepted(running)
        await service.until(lost, "uncertain")
        async with service.sessions.begin() as session:  # whoever resumes it need not wait for long
            await session.execute(text(HASTY), {"id": lost})
        held = (await service.client.get("/api/credits")).json()["heldCents"]
        run(dump, **variables)
        run(copy, **variables)
        later = await service.create()
        await service.until(later, "completed")

    await lose(servers.postgres, database.admin_url)
    shutil.rmtree(service.settings.data_dir)

    name = make_url(database.admin_url).database
    await as_administrator(servers.postgres, f"create database {name} owner reelay_owner")
    restore, migration = commands("### 1. Postgres")
    run(restore, **variables)
    assert migration == "reelay migrate"
    await migrate(database.admin_url, database.app_url, database.service_url)
    (service.settings.data_dir / "archive").mkdir(parents=True)
    (copy_back,) = commands("### 2. The bucket")
    run(copy_back, **variables)

    folder = servers.folder / uuid4().hex
    folder.mkdir()
    async with temporal_server(folder) as empty:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TEMPORAL_ADDRESS", empty.address)
            data_dir = service.settings.data_dir
            async with running_service(servers, database=database, webhook_patience=60, data_dir=data_dir) as restored:
                restored.client.headers.update(headers)
                assert (await restored.client.get("/api/credits")).json()["heldCents"] == held
                assert (await reconcile(restored)).resumed == 2
                await servers.end_at_provider(running)
                assert (await restored.until(running, "completed"))["files"]
                assert (await restored.until(lost, "failed"))["errorCode"] == "unknown_outcome"

                job = await restored.job(finished)
                assert (await restored.client.get(job["resultUrl"])).status_code == 200
                assert (await restored.client.get(f"/api/jobs/{later}")).status_code == 404
                for job_id in (finished, running, lost, later):
                    assert (await restored.simulated(job_id))["accepted"] == 1
