"""What the wire does when a submission goes wrong, and whether the request was bought all the same."""

import asyncio
import json
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest

from lab.simulator.settings import SimulatorSettings
from tests.eventually import PATIENCE
from tests.lab.simulator.servers import KEY, VEO, Receiver, RunningSimulator, running


async def test_a_dropped_submission_gets_no_byte_but_runs(simulator: RunningSimulator, receiver: Receiver) -> None:
    body = json.dumps({"prompt": "[sim: submit=drop]"}).encode()
    head = (
        f"POST /{VEO}?fal_webhook={receiver.url}?job=j1 HTTP/1.1\r\nHost: sim\r\nAuthorization: Key id:secret\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(head.encode() + body)
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    webhook = json.loads((await receiver.wait_for(1))[0].body)
    job = (await simulator.stats())["jobs"]["j1"]
    assert (webhook["status"], job["requests"]) == ("OK", [webhook["request_id"]])
    assert (job["accepted"], job["billed"]) == (1, 1)


async def test_a_dropped_submission_that_is_sent_again_is_bought_twice(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    webhook = f"{receiver.url}?job=j2"
    with pytest.raises(httpx.RemoteProtocolError):
        await simulator.post("[sim: submit=drop]", webhook=webhook)
    await simulator.submit("[sim: submit=drop]", webhook=webhook)
    await receiver.wait_for(2)
    job = (await simulator.stats())["jobs"]["j2"]
    assert (job["accepted"], job["billed"]) == (2, 2)


async def test_a_submission_can_be_dropped_more_than_once(simulator: RunningSimulator) -> None:
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            await simulator.post("[sim: submit=drop:2]")
    await simulator.submit("[sim: submit=drop:2]")
    assert (await simulator.stats())["totals"]["accepted"] == 3


async def test_a_submission_that_is_never_answered_was_accepted(simulator: RunningSimulator) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await simulator.http.post(f"/{VEO}", json={"prompt": "[sim: submit=timeout]"}, timeout=0.2)
    assert (await simulator.stats())["totals"]["accepted"] == 1


async def test_a_simulator_that_stops_leaves_the_answer_unsaid(settings: SimulatorSettings) -> None:
    async with httpx.AsyncClient(headers=KEY, timeout=PATIENCE) as http:
        async with running(settings.model_copy(update={"submit_timeout": timedelta(minutes=1)})) as simulator:
            waiting = asyncio.create_task(http.post(f"{simulator.url}/{VEO}", json={"prompt": "[sim: submit=timeout]"}))
            while not (await simulator.stats())["totals"]["accepted"]:
                assert not waiting.done()
        with pytest.raises(httpx.RemoteProtocolError):
            await waiting


async def test_a_patient_client_is_cut_off_in_the_end(simulator: RunningSimulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await simulator.post("[sim: submit=timeout]")


@pytest.mark.parametrize(
    ("fault", "status_code", "words"),
    [("429", 429, "Too many requests"), ("500", 500, "Internal Server Error"), ("403-locked", 403, "User is locked")],
)
async def test_a_refused_submission_buys_nothing_and_the_next_one_passes(
    simulator: RunningSimulator, receiver: Receiver, fault: str, status_code: int, words: str
) -> None:
    webhook = f"{receiver.url}?job=j3"
    refused = await simulator.post(f"[sim: submit={fault}]", webhook=webhook)
    assert refused.status_code == status_code
    assert words in refused.json()["detail"]
    assert (await simulator.stats())["totals"]["accepted"] == 0
    await simulator.submit(f"[sim: submit={fault}]", webhook=webhook)
    job = (await simulator.stats())["jobs"]["j3"]
    assert (job["accepted"], job["refused"]) == (1, {str(status_code): 1})


async def test_throttling_says_when_to_come_back_as_often_as_asked(simulator: RunningSimulator) -> None:
    answers = [await simulator.post("[sim: submit=429:2]") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "1"


async def test_the_webhook_can_overtake_a_slow_answer(simulator: RunningSimulator, receiver: Receiver) -> None:
    posting = asyncio.create_task(simulator.submit("[sim: submit=slow:2s, webhook=early]", webhook=receiver.url))
    webhook = json.loads((await receiver.wait_for(1))[0].body)
    assert not posting.done()
    assert (await posting)["request_id"] == webhook["request_id"]
