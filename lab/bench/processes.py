"""CPU time and memory by process."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

MIB = 1024 * 1024


def cpu_seconds(processes: Mapping[str, int]) -> dict[str, float]:
    """User and system time so far, children included: the living ones and those that have ended.

    Of this process its own time alone: all the others are its children.
    Raises: psutil.NoSuchProcess when one of the processes has died.
    """
    return {
        name: time.process_time() if pid == os.getpid() else _of_tree(psutil.Process(pid))
        for name, pid in processes.items()
    }


def _of_tree(root: psutil.Process) -> float:
    while True:
        try:
            return sum(_of_one(process) for process in (root, *root.children(recursive=True)))
        except psutil.NoSuchProcess:
            if not root.is_running():
                raise
            # A child ended while we counted: its time is now its parent's, so count again.


def _of_one(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def memory(pid: int) -> float:
    """Resident MiB now, children not included."""
    return float(psutil.Process(pid).memory_info().rss / MIB)


def peak_memory(pid: int) -> float:
    """The most that it was; where the system keeps no peak, what it is now."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else memory(pid)
