"""The list of an account's requests, as cautious as fal's documentation of it."""

from typing import Any

from tests.lab.simulator.servers import VEO, RunningSimulator


async def listing(simulator: RunningSimulator, **query: Any) -> dict[str, Any]:
    response = await simulator.http.get("/v1/models/requests/by-endpoint", params={"endpoint_id": VEO, **query})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_an_ended_request_is_listed_with_its_input(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a reef", webhook="http://127.0.0.1:9/?job=j1&token=t")
    await simulator.ended(accepted)

    (item,) = (await listing(simulator, expand="payloads"))["items"]
    assert (item["request_id"], item["endpoint_id"], item["status_code"]) == (accepted["request_id"], VEO, 200)
    assert item["json_input"] == {"prompt": "a reef"}
    assert "token" not in str(item)
    (bare,) = (await listing(simulator))["items"]
    assert "json_input" not in bare


async def test_a_request_is_not_listed_before_its_end(simulator: RunningSimulator) -> None:
    await simulator.submit("[sim: latency=60s]")
    assert (await listing(simulator))["items"] == []

    await simulator.skip(60)
    assert len((await listing(simulator))["items"]) == 1


async def test_a_list_can_be_late_incomplete_or_without_inputs(simulator: RunningSimulator) -> None:
    for fault in ("late:30s", "lost", "no-input"):
        await simulator.ended(await simulator.submit(f"[sim: listing={fault}]"))

    (item,) = (await listing(simulator, expand="payloads"))["items"]
    assert "json_input" not in item
    await simulator.skip(30)
    assert len((await listing(simulator))["items"]) == 2


async def test_pages_follow_each_other_latest_end_first(simulator: RunningSimulator) -> None:
    accepted = [await simulator.submit(f"number {number}") for number in range(3)]
    await simulator.ended(accepted[-1])

    first = await listing(simulator, limit=2)
    assert first["has_more"]
    second = await listing(simulator, limit=2, cursor=first["next_cursor"])
    assert (second["has_more"], second["next_cursor"]) == (False, None)
    ids = [item["request_id"] for item in first["items"] + second["items"]]
    assert ids == [each["request_id"] for each in reversed(accepted)]


async def test_a_list_needs_a_key_and_an_endpoint(simulator: RunningSimulator) -> None:
    path = "/v1/models/requests/by-endpoint"
    assert (await simulator.http.get(path)).status_code == 422
    keyless = await simulator.http.get(path, params={"endpoint_id": VEO}, headers={"authorization": ""})
    assert keyless.status_code == 401


async def test_payloads_are_deleted_once_a_request_has_ended(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a reef [sim: latency=60s]")
    path = f"/v1/models/requests/{accepted['request_id']}/payloads"
    assert (await simulator.http.delete(path)).status_code == 404
    await simulator.skip(60)
    assert (await simulator.http.delete(path)).status_code == 200
    assert (await simulator.http.delete(path)).status_code == 200

    (item,) = (await listing(simulator, expand="payloads"))["items"]
    assert "json_input" not in item
    assert (await simulator.http.get(accepted["response_url"])).status_code == 404
