"""What each exit code of a command means, and which error leads to it."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

import typer

from reelay.cli.errors import NotRunning, StackError
from reelay_client import NotReachable, ReelayError, Refused

T = TypeVar("T")


class Exit(IntEnum):
    FAILED = 1
    """The generation failed or was canceled, or the command could not do its work."""
    USAGE = 2
    NOT_REACHABLE = 3
    REFUSED = 4
    """By the API: the input, the key, the credits, the limits."""
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done; 1 the generation failed or was canceled, or the command could not do its work; 2 wrong usage; "
    "3 the service does not answer; 4 the service refuses (input, key, credits, limits); 130 interrupted."
)


def run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (NotRunning, NotReachable) as error:
        exit_with(str(error), Exit.NOT_REACHABLE)
    except Refused as error:
        exit_with(str(error), Exit.REFUSED)
    except (StackError, ReelayError) as error:
        exit_with(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def exit_with(reason: str, code: Exit = Exit.FAILED) -> NoReturn:
    typer.echo(f"reelay: {reason}", err=True)
    raise typer.Exit(code)


def exit_at_once(reason: str, code: Exit) -> NoReturn:
    """Without Python's own end, which a thread of Temporal's client that still runs would turn into an abort."""
    typer.echo(f"reelay: {reason}", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
