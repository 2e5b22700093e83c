"""The most memory that a process has held."""

from collections.abc import Mapping
from pathlib import Path

import psutil


def peak_memory(processes: Mapping[str, int]) -> dict[str, int]:
    """Resident bytes by process, its children not included; where the system keeps no peak, what it holds now."""
    return {name: _high_water(pid) or psutil.Process(pid).memory_info().rss for name, pid in processes.items()}


def _high_water(pid: int) -> int | None:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    lines = (line.split() for line in status.read_text().splitlines())
    return next((int(fields[1]) * 1024 for fields in lines if fields[0] == "VmHWM:"), None)
