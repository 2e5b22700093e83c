"""Bugs to plant into a test process, and the checks that have to notice them. Nothing of this is in the product."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import asyncpg
import httpx
import pytest

SUM_THEN_INSERT = """
create or replace function hold_credits(
    job uuid, out is_held boolean, out available bigint, out monthly_budget bigint, out spent_this_month bigint
) language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    owner uuid;
    price bigint;
begin
    select user_id, estimated_cost_cents into strict owner, price from generation_jobs where id = job;
    select coalesce(sum(available_cents), 0) into available from credit_entries where user_id = owner;
    perform pg_sleep(0.01);  -- the time that a real service takes between the two
    is_held := available >= price;
    if is_held then
        insert into credit_entries (user_id, job_id, phase, available_cents, held_cents)
        values (owner, job, 'hold', -price, price);
    end if;
end
$$
"""
NO_FORCE = """
do $$ declare forced regclass; begin
    for forced in select oid::regclass from pg_class where relforcerowsecurity loop
        execute format('alter table %s no force row level security', forced);
    end loop;
end $$
"""
MAX_FAL_CLIENT_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class Plant:
    bug: str
    """What is done wrong, in one line."""
    check: str
    """The test that has to fail of it."""
    apply: Callable[[pytest.MonkeyPatch], None]


def replace(patch: pytest.MonkeyPatch, original: object, planted: object) -> None:
    """Wherever a module has taken the original by its name."""
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if value is original:
                patch.setattr(module, name, planted)


def skip_the_timestamp(patch: pytest.MonkeyPatch) -> None:
    import reelay.providers.fal_webhook

    patch.setattr(reelay.providers.fal_webhook, "TOLERANCE", timedelta(days=1_000_000))


def skip_the_user_id(patch: pytest.MonkeyPatch) -> None:
    from reelay.providers.fal_webhook import SignedNotice, check_claims

    def lenient(notice: SignedNotice, *, now: datetime, user_id: str | None) -> None:
        check_claims(notice, now=now, user_id=None)

    replace(patch, check_claims, lenient)


def allow_a_second_run(patch: pytest.MonkeyPatch) -> None:
    from temporalio.common import WorkflowIDReusePolicy

    from reelay.db.tables import GenerationJob
    from workflows.runs import GenerationRuns

    async def again(self: GenerationRuns, job: GenerationJob) -> None:
        await self._start(job, reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE)

    patch.setattr(GenerationRuns, "start", again)


def send_again_as_fal_client_does(patch: pytest.MonkeyPatch) -> None:
    """fal-client 1.0.3 sends a POST whose answer was lost up to ten times."""
    from reelay.providers.exchange import Answer
    from reelay.providers.keyed_api import KeyedApi

    once = KeyedApi._exchange

    async def again(self: KeyedApi, *call: Any, **limits: Any) -> Answer:
        for _ in range(MAX_FAL_CLIENT_TRIES - 1):
            try:
                return await once(self, *call, **limits)
            except httpx.TransportError:
                continue
        return await once(self, *call, **limits)

    patch.setattr(KeyedApi, "_exchange", again)


def forget_that_ends_are_for_ever(patch: pytest.MonkeyPatch) -> None:
    import reelay.db.generations
    from reelay.db.statuses import quoted
    from reelay.domain.generation import Status

    patch.setattr(reelay.db.generations, "ACTIVE_STATUSES", quoted(Status))


def settle_before_the_upload(patch: pytest.MonkeyPatch) -> None:
    from activities.archive import ArchiveActivities
    from reelay.db.generations import complete_generation
    from reelay.domain.generation import Generation, Result
    from reelay.domain.money import Charge

    note = ArchiveActivities._record_result

    async def settled(self: ArchiveActivities, generation: Generation, result: Result) -> None:
        await note(self, generation, result)
        async with self._sessions.begin() as session:
            charge = Charge(cost_cents=generation.held_cents, charged_cents=generation.held_cents)
            await complete_generation(session, generation.id, files=(), result_url=None, charge=charge)

    patch.setattr(ArchiveActivities, "_record_result", settled)


def migrate_and_then(patch: pytest.MonkeyPatch, *statements: str) -> None:
    from reelay.db.migrate import migrate

    async def planted(admin_url: str, app_url: str, service_url: str | None = None) -> None:
        await migrate(admin_url, app_url, service_url)
        connection = await asyncpg.connect(admin_url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    replace(patch, migrate, planted)


def do_not_force_row_level_security(patch: pytest.MonkeyPatch) -> None:
    migrate_and_then(patch, NO_FORCE)


def sum_the_entries_then_hold(patch: pytest.MonkeyPatch) -> None:
    migrate_and_then(patch, SUM_THEN_INSERT)


def keep_the_identity_in_the_connection(patch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import text

    import reelay.db.engine

    patch.setattr(reelay.db.engine, "text", lambda sql: text(sql.replace(":user_id, true)", ":user_id, false)")))


def follow_redirects(patch: pytest.MonkeyPatch) -> None:
    send = httpx.AsyncClient.send

    async def followed(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        return await send(self, request, **options | {"follow_redirects": True})

    patch.setattr(httpx.AsyncClient, "send", followed)


def parse_before_verifying(patch: pytest.MonkeyPatch) -> None:
    from reelay.providers.errors import Malformed
    from reelay.providers.fal_webhook import SignedNotice, verify
    from reelay.providers.provider import WebhookNotice
    from reelay.providers.strict_json import parse_json

    def hasty(notice: SignedNotice, keys: Any) -> WebhookNotice:
        try:
            parse_json(notice.body)
        except ValueError as error:
            raise Malformed("the body is not JSON") from error
        return verify(notice, keys)

    replace(patch, verify, hasty)


def share_idempotency_keys(patch: pytest.MonkeyPatch) -> None:
    from api.http.idempotency import id_for

    def everybodys(key: str | None) -> UUID:
        return uuid5(NAMESPACE_URL, key.partition(":")[2]) if key else uuid4()

    replace(patch, id_for, everybodys)


def count_no_bytes(patch: pytest.MonkeyPatch) -> None:
    import reelay.media.download

    save: Callable[..., Awaitable[reelay.media.download.Downloaded]] = reelay.media.download._save

    async def unlimited(response: httpx.Response, to: Any, _: int, on_bytes: Any) -> reelay.media.download.Downloaded:
        return await save(response, to, sys.maxsize, on_bytes)

    patch.setattr(reelay.media.download, "_save", unlimited)


def say_200_though_nothing_was_kept(patch: pytest.MonkeyPatch) -> None:
    from api.webhooks.inbox import Inbox

    store = Inbox.store

    async def careless(self: Inbox, delivery: Any) -> bool:
        await store(self, delivery)
        return True

    patch.setattr(Inbox, "store", careless)


PLANTS = {
    "M1": Plant(
        bug="the timestamp of a webhook is not checked",
        check="tests/unit/providers/test_fal_webhook.py::test_beyond_five_minutes_is_stale",
        apply=skip_the_timestamp,
    ),
    "M2": Plant(
        bug="webhooks for another account are taken",
        check="tests/integration/api/test_webhooks.py::test_forged_and_stale_webhooks_are_refused_and_logged",
        apply=skip_the_user_id,
    ),
    "M3": Plant(
        bug="a workflow id may be used again after its end",
        check="tests/integration/service/test_generation.py::test_finished_generation_is_not_started_again",
        apply=allow_a_second_run,
    ),
    "M4": Plant(
        bug="the POST is sent again when its answer is lost, as fal-client does",
        check="tests/integration/service/test_adoption.py::test_lost_answer_is_adopted_by_its_webhook",
        apply=send_again_as_fal_client_does,
    ),
    "M5": Plant(
        bug="a job that has ended can change",
        check="tests/integration/db/test_generations.py::test_the_first_end_is_for_ever",
        apply=forget_that_ends_are_for_ever,
    ),
    "M6": Plant(
        bug="the job is completed and settled before its media is archived",
        check="tests/integration/service/test_archive_trouble.py::test_lasting_trouble_fails_the_job_and_publishes_nothing",
        apply=settle_before_the_upload,
    ),
    "M7": Plant(
        bug="row-level security is not forced upon the tables' owner",
        check="tests/integration/db/test_row_security.py::test_the_owner_of_the_tables_too_is_under_the_policies",
        apply=do_not_force_row_level_security,
    ),
    "M8": Plant(
        bug="the identity stays in the pooled connection",
        check="tests/integration/db/test_row_security.py::test_a_forgotten_where_shows_nobody_elses_rows",
        apply=keep_the_identity_in_the_connection,
    ),
    "M9": Plant(
        bug="the balance is summed up, and then the hold is inserted",
        check="tests/integration/db/test_credits.py::test_forty_holds_at_once_with_credits_for_ten_are_ten",
        apply=sum_the_entries_then_hold,
    ),
    "M10": Plant(
        bug="redirects are followed",
        check="tests/unit/media/test_download.py::test_a_redirect_does_not_leave_the_allowed_hosts",
        apply=follow_redirects,
    ),
    "M11": Plant(
        bug="a webhook is parsed before it is verified",
        check="tests/unit/providers/test_fal_webhook.py::test_the_signature_is_checked_before_the_body_is_read",
        apply=parse_before_verifying,
    ),
    "M12": Plant(
        bug="idempotency keys are shared between users",
        check="tests/integration/api/test_creation.py::test_keys_of_two_users_have_nothing_to_do_with_each_other",
        apply=share_idempotency_keys,
    ),
    "M13": Plant(
        bug="the bytes of a download are not counted",
        check="tests/unit/media/test_download.py::test_an_announced_giant_is_refused_before_its_first_byte",
        apply=count_no_bytes,
    ),
    "M14": Plant(
        bug="a webhook is answered 200 although it could not be kept",
        check="tests/integration/service/test_outages.py::test_webhook_while_both_are_away_is_sent_again_by_the_provider",
        apply=say_200_though_nothing_was_kept,
    ),
}
