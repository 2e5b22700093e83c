"""The parts that those contenders share which bring an API of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lab.bench.contenders.serving import HEALTH
from lab.bench.ground import Ground, part
from lab.bench.job import Place
from lab.bench.over_http import Creating
from lab.devstack.ports import HOST, free_ports
from lab.devstack.processes import running
from lab.devstack.temporal import answers_ok

CREATING = Creating(path="/jobs", body={"prompt": "..."}, id_field="id", status_path="/jobs/{job}")


@dataclass(frozen=True, kw_only=True)
class Served:
    place: Place
    pid: int


@asynccontextmanager
async def serving(ground: Ground, module: str, environment: dict[str, str] | None = None) -> AsyncIterator[Served]:
    """The contender's API as its own process, on the stack's Postgres."""
    folder = ground.data_dir.path / module
    folder.mkdir()
    (port,) = free_ports(1)
    place = Place(
        origin=f"http://{HOST}:{port}",
        provider=ground.provider_url,
        database=ground.stack.database_admin_url,
        folder=str(folder),
    )

    async def answers(pid: int, /) -> bool:
        return await answers_ok(f"{place.origin}{HEALTH}")

    program = part(
        ground.data_dir,
        f"contenders.{module}",
        *place.arguments(),
        environment=environment or {},
        answers=answers,
    )
    async with running(program) as child:
        assert child.pid is not None
        yield Served(place=place, pid=child.pid)
