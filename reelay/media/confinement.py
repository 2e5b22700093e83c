"""What a process that parses media of strangers takes away from itself, before the first file."""

import ctypes
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

MAX_OPEN_FILES = 128
MAX_TRACEBACK_CHARACTERS = 8_000
PR_SET_PDEATHSIG = 1


def confine(memory_bytes: int, *, written_bytes: int) -> None:
    """From now on: so much memory, files of at most so many bytes, and no life beyond that of the parent."""
    # Who stops the worker often signals its children as well, but it still waits for them.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _die_with_parent()
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: written_bytes,
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


def say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _die_with_parent() -> None:
    """On Linux at once. Elsewhere after the file under way, when the standard input has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
