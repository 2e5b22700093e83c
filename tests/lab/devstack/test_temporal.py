"""The embedded Temporal server forgets nothing."""

import os
import signal
import stat
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from lab.devstack.ports import free_ports
from lab.devstack.processes import running
from lab.devstack.temporal import EmbeddedTemporal
from tests.lab.devstack.watched import Watched


@pytest.mark.fault("O1")
async def test_a_killed_server_comes_back_with_its_runs(tmp_path: Path) -> None:
    port, ui_port = free_ports(2)
    temporal = EmbeddedTemporal(
        database_file=tmp_path / "temporal.db", port=port, ui_port=ui_port, search_attributes={"ReelayUser": "Keyword"}
    )
    watched = Watched(temporal.program(tmp_path / "temporal.log"))
    run = str(uuid4())

    async def kill_it() -> None:
        await watched.supervisor.all_answer()
        client = await Client.connect(temporal.address)
        await client.start_workflow("Waiting", id=run, task_queue="nobody polls this")
        pid = watched.supervisor.pids["temporal"]
        os.kill(pid, signal.SIGKILL)
        await watched.replaced("temporal", pid)
        client = await Client.connect(temporal.address)
        assert (await client.get_workflow_handle(run).describe()).status is WorkflowExecutionStatus.RUNNING

    await watched.supervisor.run(kill_it())


async def test_nobody_else_on_the_machine_reads_the_histories(tmp_path: Path) -> None:
    port, ui_port = free_ports(2)
    temporal = EmbeddedTemporal(database_file=tmp_path / "temporal.db", port=port, ui_port=ui_port)

    def modes() -> set[int]:
        return {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("temporal.db*")}

    async with running(temporal.program(tmp_path / "temporal.log")):
        assert modes() == {0o600}
    temporal.database_file.chmod(0o644)  # as earlier versions left it
    async with running(temporal.program(tmp_path / "temporal.log")):
        assert modes() == {0o600}
