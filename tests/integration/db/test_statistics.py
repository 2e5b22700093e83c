"""The operators' figures are read by indexes, however many generations are stored."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import TextClause, text

from reelay.db import statistics
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.statistics import Window, read_window_figures
from tests.servers import Postgres

STORED = 20_000
FILL = (
    "insert into users (id, name) values (md5('ann')::uuid, 'ann')",
    f"""
    insert into generation_jobs (
        id, user_id, job_type, provider, model, endpoint, uncertain_submit_policy, status, stage, attempts,
        progress_percent, progress_message, estimated_cost_cents, charged_cents, error_code, created_at, completed_at
    )
    select
        md5(n::text)::uuid, md5('ann')::uuid, 'video', 'fal', 'model-' || n % 9, 'e/x', 'fail',
        case n % 50 when 0 then 'failed' else 'completed' end, 'done', 1, 100, '', 0, 0,
        case n % 50 when 0 then 'provider_error' end, now() - make_interval(mins => n), now() - make_interval(mins => n)
    from generate_series(1, {STORED}) as n
    """,
    """
    insert into submission_attempts (job_id, number, user_id, provider, state, webhook_expected, sent_at, answer)
    select id, 1, user_id, provider, 'accepted', true, created_at, case model when 'model-1' then 'lost' end
    from generation_jobs
    """,
    """
    insert into webhook_deliveries (
        id, provider, job_id, verdict, status_code, detail, verified, body, received_at, took_ms
    )
    select id, provider, id, 'accepted', 200, '', true, '', completed_at, 5 from generation_jobs
    """,
    "analyze",
)
STATEMENTS = {name: found for name, found in vars(statistics).items() if isinstance(found, TextClause)}
SMALL = ("PARKED", "CREDITS")
"""They read tables that hold a row for each account."""


@pytest.fixture(scope="module")
async def stored(postgres: Postgres) -> AsyncIterator[Sessions]:
    engine = make_engine((await postgres.copy()).admin_url)
    sessions = make_sessions(engine)
    async with sessions.begin() as session:
        for statement in FILL:
            await session.execute(text(statement))
    yield sessions
    await engine.dispose()


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - set(SMALL)))
async def test_no_figure_reads_a_whole_table(stored: Sessions, name: str) -> None:
    window = Window(timedelta(days=1), timedelta(hours=1), datetime.now(UTC))
    words = {"begins": window.begins, "ends": window.ends, "slice": window.slice, "at_most": 100}
    statement = STATEMENTS[name].text
    needed = {key: value for key, value in words.items() if f":{key}" in statement}

    async with stored() as session:
        plan = "\n".join((await session.execute(text(f"explain {statement}"), needed)).scalars())

    assert not re.search(r"Seq Scan on (generation_jobs|submission_attempts|webhook_deliveries)", plan), plan


async def test_a_window_is_whole_slices(stored: Sessions) -> None:
    window = Window(timedelta(days=1), timedelta(hours=1), datetime(2026, 5, 4, 10, 20, tzinfo=UTC))

    assert (len(window.slices), window.slices[0], window.slices[-1]) == (
        24,
        datetime(2026, 5, 3, 11, tzinfo=UTC),
        datetime(2026, 5, 4, 10, tzinfo=UTC),
    )
    async with stored() as session:
        now = Window(timedelta(days=7), timedelta(hours=6), datetime.now(UTC))
        happened = await read_window_figures(session, now)
    assert {row.at for row in happened.course} <= set(now.slices)
    assert sum(row.completed + row.failed for row in happened.ended) == sum(row.jobs for row in happened.course)
