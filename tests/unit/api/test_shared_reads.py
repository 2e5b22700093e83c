"""Streams that want the same at once have one read made for them."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from api.events.changes import Changes
from api.events.reads import shared
from reelay.db.changes import Batch


@dataclass
class Source:
    """Gives each read its number, once it is opened."""

    reads: int = 0
    begins: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, *_: object) -> Batch:
        self.reads += 1
        number = self.reads
        self.begins.put_nowait(number)
        await self.is_open.wait()
        return Batch([], number)

    async def begun(self) -> None:
        """The next read has begun."""
        await self.begins.get()


@pytest.fixture
def source() -> Source:
    return Source()


async def test_all_who_ask_meanwhile_share_and_who_asks_later_reads_anew(source: Source) -> None:
    read = shared(source.read)
    asking = [asyncio.create_task(read("alice")) for _ in range(20)]
    await source.begun()
    asking.append(asyncio.create_task(read("alice")))
    source.is_open.set()

    assert [each.upto for each in await asyncio.gather(*asking)] == [1] * 21
    await asyncio.sleep(0)  # a turn of the loop
    assert (await read("alice")).upto == 2


async def test_another_s_rows_are_another_read(source: Source) -> None:
    read = shared(source.read)
    source.is_open.set()
    found = await asyncio.gather(*(read(who) for who in ("alice", "bob", "alice")))

    assert [each.upto for each in found] == [1, 2, 1]


async def test_who_goes_away_does_not_take_the_read_from_the_others(source: Source) -> None:
    read = shared(source.read)
    gone, left = (asyncio.create_task(read("alice")) for _ in range(2))
    await source.begun()
    gone.cancel()
    source.is_open.set()

    assert (await left).upto == 1
    assert gone.cancelled()


async def test_failure_is_everybodys_and_not_kept() -> None:
    calls: list[str] = []

    @shared
    async def read(who: str) -> int:
        calls.append(who)
        if len(calls) == 1:
            raise ConnectionError
        return len(calls)

    found = await asyncio.gather(*(read("alice") for _ in range(3)), return_exceptions=True)

    assert [type(each) for each in found] == [ConnectionError] * 3
    assert await read("alice") == 2


@pytest.mark.parametrize("told", [UUID(int=1), UUID(int=2)], ids=["its own news", "news of another"])
async def test_news_since_a_read_began_make_another_one(source: Source, told: UUID) -> None:
    changes, read, job = Changes(), shared(source.read), UUID(int=1)
    early = asyncio.create_task(read(job, changes.notified))
    await source.begun()
    changes.notify(told)
    late = asyncio.create_task(read(job, changes.notified))
    await source.begun()
    source.is_open.set()

    assert ((await early).upto, (await late).upto) == (1, 2)
