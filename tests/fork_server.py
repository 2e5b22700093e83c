"""Starts `reelay ...` for the tests: a program that has imported all of it once, and forks.

A process that imports everything by itself takes one to three seconds of CPU before it does anything; there are more
than a hundred in a test run. `tests/reelay_process.py` asks for them.
"""

import gc
import json
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from selectors import EVENT_READ, DefaultSelector

import reelay.cli.main
from tests.reelay_process import SIZE_BYTES, Request, received

OF_ALL_COMMANDS = ("api.app", "api.server", "worker")


def main(descriptor: int) -> None:
    for name in (*OF_ALL_COMMANDS, *(f"reelay.cli.{each.name}" for each in pkgutil.iter_modules(reelay.cli.__path__))):
        import_module(name)
    gc.collect()
    gc.freeze()  # what the processes share stays shared
    if asked := serve(socket.socket(fileno=descriptor)):
        become(*asked)


def serve(tests: socket.socket) -> tuple[Request, Sequence[int]] | None:
    """Returns in each process that was started: what is asked of it, and its standard streams. In the server itself,
    when nobody holds the other end of the socket any more; what still runs is killed."""
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    running = set[int]()
    with tests, woken, wakes, DefaultSelector() as selector:
        for each in (tests, woken):
            selector.register(each, EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                for pid, status in ended(running):
                    tell(tests, ended=pid, code=os.waitstatus_to_exitcode(status))
            if tests in ready:
                size, streams, *_ = socket.recv_fds(tests, SIZE_BYTES, 3)
                if not size:
                    break
                request: Request = json.loads(received(tests, int.from_bytes(size)))
                if (pid := os.fork()) == 0:
                    return request, streams
                running.add(pid)
                tell(tests, started=pid)
                for stream in streams:
                    os.close(stream)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return None


def tell(tests: socket.socket, **news: int) -> None:
    tests.sendall(f"{json.dumps(news)}\n".encode())


def ended(running: set[int]) -> list[tuple[int, int]]:
    """Of those, which have: their ids and statuses."""
    found = []
    for pid in tuple(running):
        waited = os.waitpid(pid, os.WNOHANG)
        if waited[0]:
            running.remove(pid)
            found.append(waited)
    return found


def become(request: Request, streams: Sequence[int]) -> None:
    """What was asked for. Ends with its exit code."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["reelay", *request["words"]]
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - by lines: a process may be killed
    reelay.cli.main.app(prog_name="reelay")


if __name__ == "__main__":
    main(int(sys.argv[1]))
