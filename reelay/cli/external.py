"""Rows of other backends, as an operator handles them from the command line."""

from pathlib import Path
from typing import Any
from uuid import UUID

from reelay.catalog.errors import CatalogError
from reelay.catalog.loader import load_catalog
from reelay.catalog.model import KINDS
from reelay.cli.access import find_database
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import StackError
from reelay.db.audit_log import Actor, AuditAction, record_act
from reelay.db.external import allow_submission
from reelay.db.generations import TARIFF, TIMING, find_anybodys_generation
from reelay.domain.generation import JobType


async def start(data_dir: DataDir, job_id: UUID) -> None:
    """Let a job that another backend wrote be submitted. Raises: StackError."""
    async with find_database(data_dir).transaction() as session:
        job = await find_anybodys_generation(session, job_id)
        if job is None:
            raise StackError(f"there is no job {job_id}")
        inputs: dict[str, Any] = {name: value for name, value in job.input_params.items() if value is not None}
        if (kind := KINDS.get(JobType(job.job_type))) is None:
            raise StackError(f"a job of the type {job.job_type} is created by `POST /api/jobs`")
        folder = user_environment().get("CATALOG_DIR")
        try:
            catalog = load_catalog(more=Path(folder) if folder else None)
        except ValueError as error:
            raise StackError(f"invalid configuration: CATALOG_DIR: {error}") from error
        model = catalog.closest(job.model, inputs, kind=kind)
        inputs.pop("quality", None)
        try:
            arguments = model.arguments(inputs)
        except CatalogError as wrong:
            raise StackError(f"its input is not one of {model.name}: {wrong}") from wrong
        allowed = await allow_submission(
            session,
            job,
            provider=model.provider,
            model=model.name,
            endpoint=model.endpoint,
            arguments=arguments,
            timing=TIMING.dump_python(model.timing, mode="json"),
            tariff=TARIFF.dump_python(model.tariff(arguments), mode="json"),
        )
        if not allowed:
            raise StackError("only an open job of another backend that names no provider's request can be started")
        action = AuditAction.JOB_STARTED
        await record_act(session, Actor.at_command_line(), action, str(job.id), user_id=job.user_id)
