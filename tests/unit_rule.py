"""A rule for pytest: where only unit tests run, none of them can start a program."""

import sys

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.items and all("unit" in item.path.parts for item in session.items):
        sys.addaudithook(_refuse_programs)


def _refuse_programs(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"):
        raise RuntimeError(f"not a unit test: it starts {arguments[0] if arguments else 'a program'}")
