"""What tests install beside the virtual environment, each by a lock file of its own."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tests.paths import ROOT

MARKER = ".installed"
"""In the folder: the sha256 of the lock file that was installed."""


@contextmanager
def installed(lock: Path, folder: Path) -> Iterator[bool]:
    """Whether the folder is what the lock says; where not, the block installs it. Processes wait for each other."""
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wanted, marker = sha256(file.read()).hexdigest(), folder / MARKER
        is_there = marker.exists() and marker.read_text() == wanted
        if not is_there:
            print(f"Installing what {lock.relative_to(ROOT)} says ...", file=sys.stderr)  # noqa: T201
        yield is_there
        if not is_there:
            marker.write_text(wanted)
