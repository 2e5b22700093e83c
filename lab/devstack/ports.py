"""Which ports are free, and who holds the others. All of the stack listens on 127.0.0.1 alone."""

import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from random import SystemRandom

import psutil

HOST = "127.0.0.1"
NEVER_EPHEMERAL = range(20_000, 32_000)
"""Systems draw the ports of outgoing connections from higher ones."""
_NAMES: list[socket.socket] = []
"""Of Linux's abstract namespace, which hold the ports that were drawn."""


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now, and no outgoing connection takes. On Linux each is drawn once by all
    processes that draw here, until the one that did ends: many stacks begin at the same time."""
    drawn = SystemRandom().sample(NEVER_EPHEMERAL, len(NEVER_EPHEMERAL))
    return list(islice((port for port in drawn if is_free(port) and _is_ours(port)), count))


def _is_ours(port: int) -> bool:
    if sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0reelay-port-{port}")
    except OSError:
        name.close()
        return False
    _NAMES.append(name)
    return True


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, so that connections of an earlier run in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on the port, in words: name and pid where the system lets us see them."""
    for process in _listeners(port):
        with suppress(psutil.Error):
            return f"{process.name()} (pid {process.pid})"
    return "a process that this user may not see"


def _listeners(port: int) -> Sequence[psutil.Process]:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS shows other processes' sockets to root only
        return []
    pids = {
        each.pid for each in connections if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    }
    return [psutil.Process(pid) for pid in pids if pid and psutil.pid_exists(pid)]
