"""fal's bill: what of it is money, and what a bill has to be to say anything."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from reelay.domain.bill import BilledRequest
from reelay.providers import fal_bill
from reelay.providers.errors import Unauthorized, Unavailable
from reelay.providers.fal_bill import FalBill
from tests.unit.providers.scripted_server import Behaviour, ScriptedServer, answer, json_answer, reset

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)


def event(request_id: str | None = "request-1", **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "endpoint_id": "fal-ai/flux/dev",
        "timestamp": "2026-11-21T12:00:31Z",
        "output_units": 2,
        "unit_price": 0.025,
        "percent_discount": 10,
        "cost_subtotal": 0.05,
        "cost_discount": 0.005,
        "cost_total": 0.045,
        "cost_estimate_nano_usd": 45_000_000,
    } | changes


def page(*events: Any, cursor: str | None = None) -> Behaviour:
    return json_answer(200, {"billing_events": list(events), "has_more": cursor is not None, "next_cursor": cursor})


async def billed(server: ScriptedServer, client: httpx.AsyncClient) -> list[BilledRequest]:
    bill = FalBill(client, admin_key=SecretStr("admin:secret"), base=f"{server.url}/v1", timeout=timedelta(seconds=30))
    return [found async for events in bill.pages(START, END) for found in events]


async def test_it_reads_every_page_with_the_admin_key(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    server.script = [page(event(), cursor="more"), page(event("request-2"))]

    first, second = await billed(server, client)

    assert first == BilledRequest(
        request_id="request-1",
        endpoint="fal-ai/flux/dev",
        billed_at=datetime(2026, 11, 21, 12, 0, 31, tzinfo=UTC),
        units=Decimal(2),
        nano_usd=Decimal(45_000_000),
    )
    assert second.request_id == "request-2"
    targets = [urlsplit(call.target) for call in server.seen]
    assert {(call.method, call.headers["authorization"]) for call in server.seen} == {("GET", "Key admin:secret")}
    assert {target.path for target in targets} == {"/v1/models/billing-events"}
    query = {"start": [START.isoformat()], "end": [END.isoformat()], "limit": ["5000"]}
    assert [parse_qs(target.query) for target in targets] == [query, query | {"cursor": ["more"]}]


@pytest.mark.parametrize(
    ("changes", "nano_usd"),
    [
        ({"cost_total": 0.0000001}, Decimal(100)),
        ({"cost_total": None}, Decimal(45_000_000)),
        ({"cost_total": 0, "cost_estimate_nano_usd": 7}, Decimal(0)),
        ({"cost_total": -0.5}, Decimal(-500_000_000)),
        ({"output_units": None}, Decimal(45_000_000)),
    ],
)
async def test_the_cost_is_exact(
    changes: dict[str, Any], nano_usd: Decimal, server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [page(event(**changes))]
    (found,) = await billed(server, client)
    assert found.nano_usd == nano_usd


@pytest.mark.parametrize(
    "wrong",
    [
        "not an event",
        event(request_id=None),
        event(request_id="a request/../"),
        event(endpoint_id=7),
        event(timestamp="yesterday"),
        event(cost_total=None, cost_estimate_nano_usd=None),
        event(cost_total=True, cost_estimate_nano_usd="much"),
    ],
)
async def test_what_cannot_be_read_may_be_money(wrong: Any, server: ScriptedServer, client: httpx.AsyncClient) -> None:
    server.script = [page(event(), wrong)]
    with pytest.raises(Unavailable):
        await billed(server, client)


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (answer(401), Unauthorized),
        (answer(403), Unauthorized),
        (answer(429, Retry_After="7"), Unavailable),
        (answer(500), Unavailable),
        (answer(200, b"<html>"), Unavailable),
        (json_answer(200, {"items": []}), Unavailable),
        (json_answer(200, {"billing_events": [], "has_more": True, "next_cursor": None}), Unavailable),
        (reset, Unavailable),
    ],
)
async def test_a_bill_that_is_not_whole_is_none(
    trouble: Behaviour, error: type[Exception], server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [trouble]
    with pytest.raises(error) as raised:
        await billed(server, client)
    if error is Unauthorized:
        assert "FAL_ADMIN_KEY" in str(raised.value)


async def test_a_bill_without_an_end_is_given_up(
    server: ScriptedServer, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_bill, "MAX_PAGES", 3)
    server.always = page(event(), cursor="again")
    with pytest.raises(Unavailable):
        await billed(server, client)
    assert len(server.seen) == 3
