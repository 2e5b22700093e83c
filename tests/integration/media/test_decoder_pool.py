"""Files that cost, hang or kill: they cost only so much, and nobody but themselves."""

import asyncio
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from reelay.media.decoder_pool import PATIENT, QUICK, QUICK_PROCESSES, DecoderPool
from reelay.media.download import download, open_download_client
from reelay.media.errors import BadMedia, DecoderUnavailable, MediaError, OutOfTime, TooCostly
from reelay.media.guard import DownloadPolicy
from reelay.media.inspection import Inspection
from tests.eventually import PATIENCE, eventually
from tests.unit.media.samples import make_giant_frames, make_promise_of_samples
from tests.unit.media.server import ScriptedServer

MIB = 1024 * 1024
NEVER = timedelta(days=1)
PATIENT_FOR_EVER = replace(PATIENT, wall=NEVER)
# A file that never comes leaves the quick line at once.
BRISK = replace(QUICK, wall=timedelta(seconds=0.2))


@pytest.fixture
def never(tmp_path: Path) -> Path:
    """A file that nobody writes: whoever opens it waits."""
    path = tmp_path / "never.mp4"
    os.mkfifo(path)
    return path


@pytest.fixture(scope="module")
def giant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_giant_frames(tmp_path_factory.mktemp("giant") / "giant.mov")


EARLIER: set[psutil.Process] = set()
"""Of services that other tests share with each other."""


@pytest.fixture(autouse=True)
def earlier() -> Iterator[None]:
    EARLIER.update(decoders())
    yield
    EARLIER.clear()


def decoders() -> list[psutil.Process]:
    """The test's own, without those that have just died."""
    children = psutil.Process().children()
    living = [child for child in children if child.status() != psutil.STATUS_ZOMBIE and _is_decoder(child)]
    return [child for child in living if child not in EARLIER]


def _is_decoder(process: psutil.Process) -> bool:
    return any("decoder_process" in argument for argument in process.cmdline())


async def until_decoders(count: int) -> None:
    async def are_there() -> bool:
        return len(decoders()) == count

    await eventually(are_there)


@asynccontextmanager
async def under_way(pool: DecoderPool, paths: Sequence[Path]) -> AsyncIterator[list[asyncio.Task[Inspection]]]:
    """All of them at once, given up at the end of the block."""
    tasks = [asyncio.create_task(pool.inspect(path)) for path in paths]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_process_looks_into_one_file_after_the_other(samples: dict[str, Path], tmp_path: Path) -> None:
    poster = tmp_path / "poster.jpg"
    async with DecoderPool() as pool:
        first = await pool.inspect(samples["mp4"], poster=poster)
        (process,) = decoders()
        for path in samples.values():
            await pool.inspect(path)
        assert decoders() == [process]
    assert (first.has_poster, first.width, poster.read_bytes()[:2]) == (True, 320, b"\xff\xd8")
    assert decoders() == []


@pytest.mark.fault("D25")
async def test_fifty_million_promised_samples_cost_half_a_gibibyte_and_ten_seconds(tmp_path: Path) -> None:
    bomb = make_promise_of_samples(tmp_path / "bomb.mp4", 50_000_000)
    assert bomb.stat().st_size < 2_600
    async with DecoderPool() as pool:
        with suppress(MediaError):
            await pool.inspect(bomb, poster=tmp_path / "poster.jpg", check_end=True)
        for process in decoders():
            spent = process.cpu_times()
            assert spent.user + spent.system < 10
            assert peak(process) <= 512 * MIB


def peak(process: psutil.Process) -> int:
    """Bytes of memory that it has ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.fault("D25")
async def test_a_file_that_takes_all_memory_is_its_own_fault(samples: dict[str, Path], tmp_path: Path) -> None:
    """One sample of 600 MiB, in a file of so many zeros that takes no disk."""
    bomb = make_promise_of_samples(tmp_path / "bomb.mp4", 1, size=600 * MIB)
    os.truncate(bomb, 700 * MIB)
    async with DecoderPool() as pool:
        with pytest.raises(TooCostly, match="512 MiB"):
            await pool.inspect(bomb, check_end=True)
        assert (await pool.inspect(samples["mp4"])).width == 320


@pytest.mark.fault("D26")
async def test_a_file_that_takes_all_cpu_is_its_own_fault(
    giant: Path, samples: dict[str, Path], tmp_path: Path
) -> None:
    brief = replace(PATIENT, cpu=timedelta(seconds=0.3))
    async with DecoderPool(quick=brief, patient=brief) as pool:
        with pytest.raises(OutOfTime, match="CPU"):
            await pool.inspect(giant, poster=tmp_path / "poster.jpg")
        assert decoders() == []
        assert (await pool.inspect(samples["mp4"])).width == 320


@pytest.mark.fault("D26")
async def test_a_disk_that_hangs_ends_at_the_wall_time(never: Path) -> None:
    async with DecoderPool(quick=BRISK, patient=BRISK) as pool:
        with pytest.raises(OutOfTime):
            await pool.inspect(never)
        assert decoders() == []


@pytest.mark.fault("D26")
async def test_seven_that_never_end_delay_nobody(never: Path, samples: dict[str, Path]) -> None:
    enough = replace(BRISK, wall=timedelta(seconds=1))  # for good files on a busy machine
    async with DecoderPool(quick=enough, patient=PATIENT_FOR_EVER) as pool, under_way(pool, [never] * 7) as stuck:
        async with asyncio.timeout(PATIENCE):
            for path in samples.values():
                await pool.inspect(path)
        assert not any(task.done() for task in stuck)


@pytest.mark.fault("D26")
async def test_seven_videos_of_giant_frames_are_overtaken(
    giant: Path, samples: dict[str, Path], tmp_path: Path
) -> None:
    order: list[str] = []

    async def look(pool: DecoderPool, name: str, path: Path) -> None:
        await pool.inspect(path, poster=tmp_path / f"{name}.jpg")
        order.append(name)

    async with DecoderPool(quick=replace(QUICK, cpu=timedelta(seconds=0.3))) as pool, asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(look(pool, f"giant {number}", giant))
        group.create_task(look(pool, "innocent", samples["mp4"]))
    assert len(order) == 8
    assert "innocent" in order[:3]


@pytest.mark.fault("D26")
async def test_downloads_and_names_wait_for_no_decoder(
    never: Path, server: ScriptedServer, policy: DownloadPolicy, tmp_path: Path
) -> None:
    url = server.sends("/file", b"body").replace("127.0.0.1", "localhost")
    slow = replace(QUICK, wall=NEVER)
    async with DecoderPool(quick=slow) as pool, under_way(pool, [never] * 40), open_download_client(policy) as client:
        await until_decoders(QUICK_PROCESSES)
        async with asyncio.timeout(PATIENCE):
            await download(client, url, to=tmp_path / "file", policy=policy, on_bytes=lambda received, total: None)


@pytest.mark.fault("D26")
async def test_downloads_wait_for_no_slow_name_server(
    server: ScriptedServer,
    client: httpx.AsyncClient,
    policy: DownloadPolicy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *name, **how: answers.wait() and [])

    async def fetch(url: str, name: str) -> None:
        await download(client, url, to=tmp_path / name, policy=policy, on_bytes=lambda received, total: None)

    waiting = [asyncio.create_task(fetch(f"http://{number}.example/", f"{number}")) for number in range(40)]
    try:
        async with asyncio.timeout(PATIENCE):
            await fetch(server.sends("/file", b"body"), "file")
    finally:
        answers.set()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.fault("D7")
async def test_cancelling_kills_the_process_that_looks(never: Path, samples: dict[str, Path]) -> None:
    async with DecoderPool(quick=replace(QUICK, wall=NEVER)) as pool:
        async with under_way(pool, [never]):
            await until_decoders(1)
        assert decoders() == []
        assert (await pool.inspect(samples["mp4"])).width == 320


@pytest.mark.fault("D25")
async def test_a_process_that_is_killed_is_the_files_fault_and_replaced(never: Path, samples: dict[str, Path]) -> None:
    """As the kernel does when the machine has no memory left."""
    async with DecoderPool(quick=replace(QUICK, wall=NEVER)) as pool, under_way(pool, [never]) as (task,):
        async with read_from(never):
            (process,) = decoders()
            process.kill()
            with pytest.raises(TooCostly, match="SIGKILL"):
                await task
        assert (await pool.inspect(samples["mp4"])).width == 320


async def test_a_process_that_died_while_idle_is_no_files_fault(samples: dict[str, Path]) -> None:
    async with DecoderPool() as pool:
        await pool.inspect(samples["mp4"])
        (idle,) = decoders()
        idle.kill()
        assert (await pool.inspect(samples["mp4"])).width == 320


@asynccontextmanager
async def read_from(path: Path) -> AsyncIterator[None]:
    """Entered once somebody has opened the FIFO to read it; they go on waiting, for what is never written."""

    async def opened_by_a_reader() -> int | None:
        with suppress(OSError):
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        return None

    writer = await eventually(opened_by_a_reader)
    assert writer
    try:
        yield
    finally:
        os.close(writer)


async def test_who_signals_the_workers_group_ends_no_inspection(samples: dict[str, Path]) -> None:
    async with DecoderPool() as pool:
        await pool.inspect(samples["mp4"])
        (process,) = decoders()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        await pool.inspect(samples["mp4"])
        assert decoders() == [process]


@pytest.mark.fault("D27")
async def test_the_process_knows_no_secret_and_holds_no_connection(
    samples: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "hush")
    with socket.socket() as inherited:
        inherited.set_inheritable(True)
        async with DecoderPool() as pool:
            await pool.inspect(samples["mp4"])
            (process,) = decoders()
            assert process.environ() == {}
            assert sorted(os.listdir(f"/proc/{process.pid}/fd")) == ["0", "1", "2"]


WORKER = """
import asyncio, pathlib, sys
from reelay.media.decoder_pool import DecoderPool

async def main():
    async with DecoderPool() as pool:
        await pool.inspect(pathlib.Path(sys.argv[1]))

asyncio.run(main())
"""


@pytest.mark.fault("D27")
async def test_the_process_dies_with_the_worker(never: Path) -> None:
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(never))
    async with read_from(never):
        (decoder,) = psutil.Process(worker.pid).children()
        worker.kill()
        await worker.wait()
        decoder.wait(PATIENCE)


@pytest.mark.parametrize("program", ["no such program", sys.executable])
async def test_a_process_that_does_not_start_is_not_the_files_fault(
    program: str, samples: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    monkeypatch.setattr("reelay.media.decoder_pool.PROGRAM", ("-c", ""))
    async with DecoderPool() as pool:
        with pytest.raises(DecoderUnavailable):
            await pool.inspect(samples["mp4"])


MUTANTS = int(os.environ.get("MUTANTS", "500"))
WORDS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"zzzz", b"encv", b"moov", b"trak", b"stsd", b"mdat")


def mutants(samples: dict[str, Path], folder: Path) -> Iterator[Path]:
    chance = random.Random(20261130)
    originals = [path.read_bytes() for path in samples.values()]
    for number in range(MUTANTS):
        content = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 2, 8, 64))):
            at = chance.randrange(min(len(content), chance.choice((64, 1024, len(content)))))
            _mutate(content, at, chance)
        path = folder / str(number)
        path.write_bytes(content)
        yield path


def _mutate(content: bytearray, at: int, chance: random.Random) -> None:
    match chance.randrange(4):
        case 0:
            content[at] = chance.randrange(256)
        case 1:
            content[at : at + 4] = chance.choice(WORDS)
        case 2:
            content[at:at] = content[: chance.randrange(64)]
        case 3 if len(content) > 128:
            del content[at : at + chance.randrange(64)]


@pytest.mark.fault("D25")
@pytest.mark.timeout(600)
async def test_mutants_are_media_or_bad_media(samples: dict[str, Path], tmp_path: Path) -> None:
    found = {True: 0, False: 0}
    unforeseen: list[BadMedia] = []

    async def look(pool: DecoderPool, path: Path) -> None:
        try:
            await pool.inspect(path, poster=tmp_path / f"{path.name}.jpg", check_end=True)
            found[True] += 1
        except BadMedia as error:
            found[False] += 1
            if type(error) is not BadMedia or str(error) == "the file cannot be read as media":
                unforeseen.append(error)

    async with DecoderPool() as pool, asyncio.TaskGroup() as group:
        for path in mutants(samples, tmp_path):
            group.create_task(look(pool, path))
    assert unforeseen == []
    assert found[True] + found[False] == MUTANTS
    assert all(count > MUTANTS / 10 for count in found.values())
