"""Readers of event streams in a process of their own: `python -m lab.bench.studies.reading_streams API_URL`.

Takes two lines of JSON: the API keys, one per stream, and once it has answered with the number of open streams, how
often each job's completion is expected. Prints the moments at which each was seen, by job, and ends. The moments are
of the machine's monotonic clock.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

OPENING_AT_ONCE = 20
PATIENCE_SECONDS = 120
LONGEST_LINE = 1024 * 1024
COMPLETED = b'"status":"completed"'

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Readers:
    def __init__(self, api_url: str) -> None:
        address = urlsplit(api_url)
        assert address.hostname is not None
        self._host, self._port = address.hostname, address.port
        self._slots = asyncio.Semaphore(OPENING_AT_ONCE)
        self._more = asyncio.Event()
        self.seen: defaultdict[str, list[float]] = defaultdict(list)

    async def open(self, key: str) -> Connection:
        """A stream whose headers have come. Without its writer it would be closed."""
        async with self._slots:
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=LONGEST_LINE)
            lines = ("GET /api/events HTTP/1.1", f"host: {self._host}", f"authorization: Bearer {key}", "", "")
            writer.write("\r\n".join(lines).encode())
            head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a stream was not opened: {head.splitlines()[0].decode()}")
        return reader, writer

    async def read(self, connection: Connection) -> None:
        reader, _ = connection
        async for line in reader:
            if line.startswith(b"data: ") and COMPLETED in line:
                self.seen[json.loads(line.removeprefix(b"data: "))["id"]].append(time.monotonic())
                self._more.set()
        raise RuntimeError("a stream ended")

    async def have_seen(self, expected: Mapping[str, int]) -> None:
        """Raises: RuntimeError when some are not told within `PATIENCE_SECONDS`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._missing(expected):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            missing, wanted = self._missing(expected), sum(expected.values())
            raise RuntimeError(f"{missing} of {wanted} ends were not told within {PATIENCE_SECONDS} s") from None

    def _missing(self, expected: Mapping[str, int]) -> int:
        return sum(max(0, times - len(self.seen[job])) for job, times in expected.items())


async def read_streams(api_url: str) -> None:
    readers = Readers(api_url)
    keys: Sequence[str] = await asyncio.to_thread(take)
    async with asyncio.TaskGroup() as group:
        opened = [await each for each in [group.create_task(readers.open(key)) for key in keys]]
        reading = [group.create_task(readers.read(each)) for each in opened]
        say(len(reading))
        await readers.have_seen(await asyncio.to_thread(take))
        say(readers.seen)
        for each in reading:
            each.cancel()


def take() -> Any:
    return json.loads(sys.stdin.readline())


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(read_streams(sys.argv[1]))
