"""The processes that make films: children of the worker, which runs in the test's process."""

import psutil


def mixers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_mixer(child)]


def _is_mixer(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE and any("mixer_process" in each for each in process.cmdline())
