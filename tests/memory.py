"""Where the servers of the tests keep their data, which nobody reads afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage, rmtree

import psutil

MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3
"""Bytes. The servers of one process use some 200 MiB. A container's own has 64 MiB."""
PREFIX = "reelay-tests-"


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder that is gone after the block; `otherwise` where there is no room in memory.

    On a disk, a copy of the database takes ten times the CPU: it has four hundred files.
    """
    if not MEMORY.is_dir() or disk_usage(MEMORY).free < ROOM:
        yield otherwise
        return
    _remove_what_killed_processes_left()
    folder = MEMORY / f"{PREFIX}{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        rmtree(folder)


def _remove_what_killed_processes_left() -> None:
    for folder in MEMORY.glob(f"{PREFIX}*"):
        if not psutil.pid_exists(int(folder.name.removeprefix(PREFIX))):
            rmtree(folder, ignore_errors=True)
