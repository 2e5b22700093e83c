"""A process that looks into media files for the worker: `python -I -m reelay.media.decoder_process MEMORY CPU`.

It reads a request a line from its standard input and answers by a line to its standard output (`inspection.py`). At
`MEMORY` bytes, or `CPU` seconds for one file, it dies, whatever the file does to it; and with the process that started
it.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from reelay.media.errors import BadMedia
from reelay.media.inspection import OUT_OF_MEMORY, READY, TAKEN, Answer, Request
from reelay.media.probe import inspect

MAX_WRITTEN_BYTES = 16 * 1024 * 1024
"""Of a poster."""
MAX_OPEN_FILES = 32
MAX_TRACEBACK_CHARACTERS = 8_000
PR_SET_PDEATHSIG = 1


def main(memory_bytes: int, cpu_seconds: float) -> None:
    # Who stops the worker often signals its children as well, but it still waits for them.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _die_with_parent()
    _limit(memory_bytes)
    _say(READY)
    for line in sys.stdin.buffer:
        _say(TAKEN)
        # Its signal, SIGPROF, ends a process that has no handler for it.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        answer = _answer(Request(**json.loads(line)))
        signal.setitimer(signal.ITIMER_PROF, 0)
        _say(json.dumps(asdict(answer)).encode() + b"\n")


def _answer(request: Request) -> Answer:
    poster = Path(request.poster) if request.poster else None
    try:
        return Answer(inspection=inspect(Path(request.path), poster=poster, check_end=request.check_end))
    except BadMedia as error:
        return Answer(bad_media=str(error))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception:
        return Answer(bug=traceback.format_exc()[-MAX_TRACEBACK_CHARACTERS:])


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _limit(memory_bytes: int) -> None:
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: MAX_WRITTEN_BYTES,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for which, limit in limits.items():
        with suppress(ValueError, OSError):  # macOS refuses a limit of the address space
            resource.setrlimit(which, (limit, limit))
    if sys.platform == "linux":
        # When the machine or the container has no memory left, the kernel takes this process and not the worker.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")


def _die_with_parent() -> None:
    """On Linux at once. Elsewhere after the file under way, when the standard input has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
