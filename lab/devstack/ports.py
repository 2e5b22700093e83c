"""Which ports are free, and who holds the others. All of the stack listens on 127.0.0.1 alone."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import psutil

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now. They are not reserved: use them soon."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


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
