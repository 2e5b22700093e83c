"""The official `replicate` client, unchanged, against the simulator."""

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from tests.eventually import eventually
from tests.lab.simulator.servers import Receiver, RunningSimulator

ZEROSCOPE = "anotherjesse/zeroscope-v2-xl:9f747673945c62801b13b84701c783929c0ee784e4748ec062204894dda1a351"

CONVERSATION = f"""
import json, replicate
from replicate.exceptions import ModelError, ReplicateError

said = {{}}
prediction = replicate.predictions.create(
    version="{ZEROSCOPE.partition(":")[2]}", input={{"prompt": "a reef [sim: latency=600ms]"}}
)
said["created"] = [prediction.status, prediction.model, prediction.output]
prediction.reload()
said["reloaded"] = prediction.status
prediction.wait()
said["waited"] = [prediction.status, len(prediction.output), prediction.metrics]
said["logs"] = prediction.logs.count("\\n")

official = replicate.models.predictions.create("bytedance/seedance-1-lite", input={{"prompt": "a fox"}}, wait=True)
said["official"] = [official.status, official.output, official.version]

stopped = replicate.predictions.create(
    version="{ZEROSCOPE}", input={{"prompt": "[sim: latency=30s]"}}
)
stopped.cancel()
said["canceled"] = stopped.status

listed = replicate.predictions.list()
said["listed"] = [[each.id, each.input["prompt"]] for each in listed.results]
said["ids"] = [stopped.id, official.id, prediction.id]

ran = replicate.run("{ZEROSCOPE}", input={{"prompt": "a lake"}})
said["ran"] = [str(each) for each in ran]
said["pictures"] = len(replicate.run("black-forest-labs/flux-schnell", input={{"prompt": "a lake", "num_outputs": 3}}))
said["voice"] = str(replicate.run("minimax/speech-02-turbo", input={{"text": "hello"}}))

try:
    replicate.run("bytedance/seedance-1-lite", input={{"prompt": "x", "duration": 99}})
except ReplicateError as error:
    said["invalid"] = [error.status, error.title]
try:
    replicate.run("bytedance/seedance-1-lite", input={{"prompt": "[sim: fail=500]"}})
except ModelError as error:
    said["failed"] = error.prediction.status
said["own"] = str(replicate.run("bytedance/seedance-1-lite", input={{"prompt": "a lake [sim: output=api]"}}))
said["secret"] = replicate.webhooks.default.secret().key
print(json.dumps(said))
"""


async def run_client(simulator: RunningSimulator, program: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "ignore",
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "REPLICATE_BASE_URL": simulator.url,
            "REPLICATE_API_TOKEN": "r8_test",
            "REPLICATE_POLL_INTERVAL": "0.05",
        },
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def test_the_official_client_works_unchanged(simulator: RunningSimulator) -> None:
    said = json.loads(await run_client(simulator, CONVERSATION))
    totals = (await simulator.stats())["totals"]

    assert said["created"] == ["starting", ZEROSCOPE.partition(":")[0], None]
    assert said["reloaded"] in ("starting", "processing")
    assert said["waited"] == ["succeeded", 1, {"predict_time": 0.45}]
    assert said["logs"] == 5
    status, url, version = said["official"]
    assert (status, version) == ("succeeded", "hidden")
    assert url.startswith(f"{simulator.url}/xezq/")
    assert said["canceled"] == "canceled"
    assert [each[0] for each in said["listed"]] == said["ids"]
    assert all(prompt for _, prompt in said["listed"])
    assert [address.rpartition(".")[2] for address in said["ran"]] == ["mp4"]
    assert said["pictures"] == 3
    assert said["voice"].endswith(".wav")
    assert said["invalid"] == [422, "Input validation failed"]
    assert said["failed"] == "failed"
    bearer = {"authorization": "Bearer r8_test"}
    assert (await simulator.http.get(said["own"])).status_code == 401
    assert (await simulator.http.get(said["own"], headers=bearer)).headers["content-type"] == "video/mp4"
    assert said["secret"].startswith("whsec_")
    assert (totals["accepted"], totals["billed"], totals["refused"]) == (8, 6, {"422": 1})


VALIDATED = """
import json, sys, replicate
from replicate.webhook import Webhooks, WebhookSigningSecret
headers, body, key = json.loads(sys.stdin.read())
Webhooks.validate(headers=headers, body=body, secret=WebhookSigningSecret(key=key), tolerance=300)
"""


async def test_webhooks_are_those_that_the_official_client_validates(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    body = {"input": {"prompt": "a reef"}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
    bearer = {"authorization": "Bearer r8_test"}
    created = await simulator.http.post("/v1/models/bytedance/seedance-1-lite/predictions", json=body, headers=bearer)
    assert created.status_code == 201
    (received,) = await receiver.wait_for(1)
    key = (await simulator.http.get("/v1/webhooks/default/secret", headers=bearer)).json()["key"]

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", VALIDATED, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate(json.dumps([received.headers, received.body.decode(), key]).encode())
    assert process.returncode == 0, errors.decode()
    assert json.loads(received.body)["status"] == "succeeded"
    assert json.loads(received.body)["id"] == created.json()["id"]


@pytest.mark.parametrize("answers", [[500, 503, 200], [404] * 10])
async def test_the_end_is_reported_until_it_is_acknowledged_or_a_minute_has_passed(
    simulator: RunningSimulator, receiver: Receiver, answers: list[int]
) -> None:
    receiver.answers.extend(answers)
    bearer = {"authorization": "Bearer r8_test"}
    body = {"input": {"prompt": "a reef"}, "webhook": receiver.url}
    path = "/v1/models/bytedance/seedance-1-lite/predictions"
    created = (await simulator.http.post(path, json=body, headers=bearer)).json()
    expected = min(len(answers), 6)
    received = await receiver.wait_for(expected)

    async def settled() -> dict[str, Any]:
        request = await simulator.seen(created["id"])
        assert request["webhook_settled"]
        return request

    seen = await eventually(settled)

    assert len(seen["deliveries"]) == len(received) == expected
    assert len({each.headers["webhook-id"] for each in received}) == 1
    assert len({each.body for each in received}) == 1


async def test_data_is_removed_after_an_hour(simulator: RunningSimulator) -> None:
    bearer = {"authorization": "Bearer r8_test"}
    path = "/v1/models/bytedance/seedance-1-lite/predictions"
    wait = bearer | {"prefer": "wait"}
    created = (await simulator.http.post(path, json={"input": {"prompt": "a reef"}}, headers=wait)).json()
    assert created["output"]
    await simulator.skip(3601)
    removed = (await simulator.http.get(created["urls"]["get"], headers=bearer)).json()

    assert removed["status"] == "succeeded"
    assert (removed["data_removed"], removed["output"], removed["input"], removed["logs"]) == (True, None, {}, "")


@pytest.mark.parametrize(("deadline", "end", "billed"), [("5s", "canceled", True), ("0s", "aborted", False)])
async def test_a_deadline_ends_what_runs_or_waits(
    simulator: RunningSimulator, deadline: str, end: str, billed: bool
) -> None:
    headers = {"authorization": "Bearer r8_test", "cancel-after": deadline}
    body = {"input": {"prompt": "[sim: latency=30s]"}}
    path = "/v1/models/bytedance/seedance-1-lite/predictions"
    created = (await simulator.http.post(path, json=body, headers=headers)).json()
    await simulator.skip(6)

    assert (await simulator.http.get(created["urls"]["get"], headers=headers)).json()["status"] == end
    assert (await simulator.seen(created["id"]))["billed"] is billed
