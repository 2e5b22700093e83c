"""What a process must not start with: settings, and the files and folders that they name."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import ValidationError

from reelay.catalog.loader import load_catalog
from reelay.cli.exit_codes import exit_with
from reelay.media.errors import MediaError
from reelay.media.storage import open_storage
from reelay.process_secrets import Process
from reelay.settings import Settings, complaints
from reelay.temporal_config import UnusableConnection, connection_config

VARIABLE = re.compile(r"[A-Z_]+: ")
MOVES_MEDIA = frozenset({Process.API, Process.TRANSFERS})


def configured_settings(*processes: Process) -> Settings:
    """The environment's, if those may start with them. What is wrong names the variable, never its value."""
    try:
        configured = Settings()
        problems = [*configured.unfit_for_production(frozenset(processes)), *file_problems(configured, processes)]
    except ValidationError as error:
        problems = complaints(error)
    if problems:
        exit_with("\n  ".join(["invalid configuration:", *problems]))
    return configured.without_secrets_of_others(frozenset(processes))


def file_problems(settings: Settings, processes: Collection[Process]) -> Iterator[str]:
    """Files and folders that cannot be used, each with its variable's name."""
    try:
        load_catalog(more=settings.catalog_dir)
    except ValueError as error:
        yield f"CATALOG_DIR: {error}"
    try:
        connection_config()
    except UnusableConnection as error:
        yield str(error)
    if MOVES_MEDIA & set(processes):
        yield from _archive_problems(settings)


def _archive_problems(settings: Settings) -> Iterator[str]:
    scratch = settings.data_dir / "scratch"
    if not can_be_written(scratch):
        yield "REELAY_DATA_DIR: it is no folder that can be written"
        return
    try:
        open_storage(
            settings.archive_location,
            scratch=scratch,
            allow_http=settings.archive_allows_http,
            public_url=settings.archive_public_url,
        )
    except MediaError as error:
        yield str(error) if VARIABLE.match(str(error)) else f"ARCHIVE_URL: {error}"


def can_be_written(folder: Path) -> bool:
    """It is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
