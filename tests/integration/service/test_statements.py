"""How often a generation asks Postgres: counts, which no busy machine changes."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from asyncpg import Connection
from asyncpg.connection import LoggedQuery
from sqlalchemy import Engine, Pool, event
from structlog.contextvars import get_contextvars
from temporalio import activity

from tests.running import Service
from workflows.ids import workflow_id

COMMIT = "COMMIT;"
OF_ALL_JOBS = "slot_limits"
"""The worker reads it once, for all jobs."""
OF_SLOW_DOWNLOADS = "pg_notify"
"""Written once a second."""
OF_ALL_CALLS = "caller_by_key"
"""A key is looked up again after two seconds."""

Statements = defaultdict[str, list[str]]
"""By the id of the workflow whose activity, or of the request that made them: each is a round trip."""


@contextmanager
def recording_statements() -> Iterator[Statements]:
    statements: Statements = defaultdict(list)
    connections = set[Connection]()

    def record(statement: str) -> None:
        by = activity.info().workflow_id if activity.in_activity() else get_contextvars().get("request_id")
        statements[str(by)].append(" ".join(statement.split()))

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        record(statement)

    def logged(query: LoggedQuery) -> None:
        """By its COMMIT, which is the driver's own, a transaction of several statements shows. BEGIN and ROLLBACK come
        with a look at whether an idle connection lives, too."""
        if query.query == COMMIT:
            record(query.query)

    def checked_out(connection: Any, *_: Any) -> None:
        if connection.driver_connection not in connections:
            connections.add(connection.driver_connection)
            connection.driver_connection.add_query_logger(logged)

    listeners = ((Engine, "before_cursor_execute", executed), (Pool, "checkout", checked_out))
    for listener in listeners:
        event.listen(*listener)
    try:
        yield statements
    finally:
        for listener in listeners:
            event.remove(*listener)
        for connection in connections:
            connection.remove_query_logger(logged)


async def test_generation_takes_one_round_trip_for_each_of_its_transitions(patient_service: Service) -> None:
    with recording_statements() as statements:
        job_id = await patient_service.create()
        await patient_service.until(job_id, "completed")
    made = [
        statement
        for statement in statements[workflow_id(UUID(job_id))]
        if OF_ALL_JOBS not in statement and OF_SLOW_DOWNLOADS not in statement
    ]
    assert len(made) == 4, made
    opened, accepted, fetched, completed = made
    assert "insert into submission_attempts" in opened
    assert "set state = 'accepted'" in accepted
    assert "result_data" in fetched
    assert "insert into video_files" in completed


async def test_creation_is_one_statement(patient_service: Service) -> None:
    """Its quota and its credits included: three round trips, with BEGIN and COMMIT."""
    await patient_service.create()  # takes this user's share of the requests for a while
    with recording_statements() as statements:
        answer = await patient_service.client.post("/api/generate/voice", json={"text": "Two round trips less."})
    assert answer.status_code == 202
    made = [statement for statement in statements[answer.headers["x-request-id"]] if OF_ALL_CALLS not in statement]
    assert len(made) == 2, made
    inserted, committed = made
    assert "INSERT INTO generation_jobs" in inserted
    assert "admit_creation" in inserted
    assert committed == COMMIT


async def test_batch_takes_its_quota_and_its_credits_by_one_statement(patient_service: Service) -> None:
    jobs = [{"model": "eleven-v3", "text": f"Line {number}."} for number in range(3)]
    with recording_statements() as statements:
        answer = await patient_service.client.post("/api/batches", json={"jobs": jobs})
    assert answer.status_code == 202
    made = statements[answer.headers["x-request-id"]]
    assert len([statement for statement in made if "admit_creation" in statement]) == 1, made
