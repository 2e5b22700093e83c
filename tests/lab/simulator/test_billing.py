"""The account's bill: what cost money, once, for as long as the platform tells it."""

from typing import Any

import httpx

from tests.lab.simulator.servers import VEO, RunningSimulator

PATH = "/v1/models/billing-events"


async def bill(simulator: RunningSimulator, **query: Any) -> dict[str, Any]:
    response = await simulator.http.get(PATH, params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_what_cost_money_is_billed_by_the_price_that_is_published(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a reef", duration="8s")
    await simulator.submit("it runs [sim: latency=60s]")
    await simulator.ended(await simulator.submit("[sim: fail=500]"))
    await simulator.ended(accepted)
    price = (await simulator.http.get("/v1/models/pricing", params={"endpoint_id": VEO})).json()["prices"][0]

    (event,) = (await bill(simulator))["billing_events"]
    assert (event["request_id"], event["endpoint_id"]) == (accepted["request_id"], VEO)
    assert (event["output_units"], event["unit_price"]) == (8, price["unit_price"])
    assert event["cost_total"] == 8 * price["unit_price"]
    assert event["cost_estimate_nano_usd"] == round(event["cost_total"] * 1e9)


async def test_the_bill_comes_in_pages_the_oldest_first(simulator: RunningSimulator) -> None:
    accepted = [await simulator.submit(f"number {number}") for number in range(3)]
    await simulator.ended(accepted[-1])

    first = await bill(simulator, limit=2)
    assert first["has_more"]
    second = await bill(simulator, limit=2, cursor=first["next_cursor"])
    assert (second["has_more"], second["next_cursor"]) == (False, None)
    ids = [event["request_id"] for event in first["billing_events"] + second["billing_events"]]
    assert ids == [each["request_id"] for each in accepted]


async def test_what_is_asked_for_is_told(simulator: RunningSimulator) -> None:
    one, other = [await simulator.submit(prompt) for prompt in ("a reef", "a boat")]
    await simulator.ended(other)
    (event,) = (await bill(simulator, request_id=one["request_id"]))["billing_events"]
    assert event["request_id"] == one["request_id"]
    assert (await bill(simulator, endpoint_id="fal-ai/flux/dev"))["billing_events"] == []
    # `end` itself is left out.
    assert (await bill(simulator, end=event["timestamp"], request_id=one["request_id"]))["billing_events"] == []
    assert len((await bill(simulator, start=event["timestamp"], request_id=one["request_id"]))["billing_events"]) == 1


async def test_what_the_platform_does_not_tell_is_refused(simulator: RunningSimulator) -> None:
    async def status(**query: Any) -> int:
        return (await simulator.http.get(PATH, params=query)).status_code

    assert await status(start="2026-01-01T00:00:00Z", end="2026-06-01T00:00:00Z") == 400
    assert await status(request_id=[str(number) for number in range(51)]) == 400
    async with httpx.AsyncClient(base_url=simulator.url) as keyless:
        assert (await keyless.get(PATH)).status_code == 401
