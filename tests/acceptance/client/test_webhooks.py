"""Webhooks by the clients and the command line, received by the official libraries' and our own verifiers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from reelay_client import AsyncReelay, InvalidWebhook, Reelay, verify_webhook
from tests.acceptance.client.test_client import key_of
from tests.acceptance.commands.test_commands import Terminal, terminal
from tests.eventually import eventually
from tests.node import run_node
from tests.running import Service
from tests.webhook_receiver import WebhookReceiver, webhook_receiver

__all__ = ["terminal"]

OFFICIAL = """
import { Webhook } from "standardwebhooks";
import { Webhook as Svix } from "svix";
import { verifyWebhook } from "reelay-client/webhooks";

const { body, headers, secret } = MESSAGE;
const found = [new Webhook(secret).verify(body, headers), new Svix(secret).verify(body, headers)];
found.push(await verifyWebhook(body, headers, secret));
console.log(JSON.stringify(found.map((event) => event.type)));
"""
CALLS = """
import * as webhooks from "reelay-client/webhooks";
import { configureReelay } from "reelay-client";

configureReelay({ baseUrl: process.env.ORIGIN, apiKey: process.env.KEY });
const made = await webhooks.createWebhookEndpoint({ url: process.env.RECEIVER, events: ["job.failed"] });
await webhooks.changeWebhookEndpoint(made.id, { description: "mine" });
const rotated = await webhooks.rotateWebhookSecret(made.id);
await webhooks.testWebhookEndpoint(made.id);
const { data } = await webhooks.webhookDeliveries(made.id, { limit: "1" });
await webhooks.redeliverWebhook(made.id, data[0].id);
const { count } = await webhooks.redeliverWebhooks(made.id, new Date(0));
const log = [];
for await (const event of webhooks.eventLog()) log.push(event.type);
const [listed] = await webhooks.webhookEndpoints();
await webhooks.deleteWebhookEndpoint(made.id);
const left = await webhooks.webhookEndpoints();
const secret = await webhooks.webhookSigningSecret();
console.log(JSON.stringify({ count, log, description: listed.description, left: left.length,
  secrets: new Set([made.secret, rotated.secret, secret]).size }));
"""


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as running:
        yield running


async def test_every_verifier_takes_what_arrives(patient_service: Service, receiver: WebhookReceiver) -> None:
    async with AsyncReelay(patient_service.origin, key_of(patient_service)) as reelay:
        secret = await reelay.webhook_signing_secret()
        created = await reelay.create("video", prompt="un phare 🌊 [sim: fail=422]", webhookUrl=receiver.url())
        (failed,) = await receiver.requests(1, type="job.failed")

    event = verify_webhook(failed.body, failed.headers, secret)
    assert failed.verified(secret)["type"] == event.type == "job.failed"
    assert (event.job.id, event.job.status, str(event.id)) == (created.job_id, "failed", failed.id)
    with pytest.raises(InvalidWebhook):
        verify_webhook(failed.body + b" ", failed.headers, secret)
    said = await asyncio.to_thread(verified_in_node, failed.body.decode(), failed.headers, secret)
    assert said == ["job.failed"] * 3


def verified_in_node(body: str, headers: dict[str, str], secret: str) -> list[str]:
    script = OFFICIAL.replace("MESSAGE", json.dumps({"body": body, "headers": headers, "secret": secret}))
    found: list[str] = json.loads(run_node("node", "--input-type=module", "--eval", script))
    return found


async def test_the_python_client_works_with_endpoints(patient_service: Service, receiver: WebhookReceiver) -> None:
    async with AsyncReelay(patient_service.origin, key_of(patient_service)) as reelay:
        endpoint = await reelay.create_webhook_endpoint(receiver.url(), events=["job.failed"])
        assert endpoint.secret
        assert (await reelay.webhook_endpoint(endpoint.id)).secret is None
        await eventually(lambda: is_enabled(reelay))
        await reelay.create("video", prompt="[sim: fail=422]")
        (failed,) = await receiver.requests(1, type="job.failed")
        assert verify_webhook(failed.body, failed.headers, endpoint.secret).sequence > 1
        (logged,) = [event async for event in reelay.event_log()]
        assert (str(logged.id), logged.job.status) == (failed.id, "failed")
        assert [event async for event in reelay.event_log(after=logged.sequence)] == []

        (delivery,) = [each async for each in reelay.webhook_deliveries(endpoint.id, type="job.failed")]
        assert (await reelay.redeliver_webhook(endpoint.id, delivery.id)).state == "pending"
        assert await reelay.redeliver_webhooks(endpoint.id, logged.timestamp) == 1
        rotated = await reelay.rotate_webhook_secret(endpoint.id)
        assert rotated.secret != endpoint.secret
        changed = await reelay.change_webhook_endpoint(endpoint.id, status="disabled")
        assert (changed.status, changed.disabled_reason) == ("disabled", "requested")
        assert (await reelay.test_webhook_endpoint(endpoint.id)).id == endpoint.id
        await reelay.delete_webhook_endpoint(endpoint.id)
        assert await reelay.webhook_endpoints() == []


async def is_enabled(reelay: AsyncReelay) -> bool:
    return [each.status for each in await reelay.webhook_endpoints()] == ["enabled"]


async def test_so_does_the_one_without_asyncio(patient_service: Service, receiver: WebhookReceiver) -> None:
    def work() -> Iterator[object]:
        with Reelay(patient_service.origin, key_of(patient_service)) as reelay:
            endpoint = reelay.create_webhook_endpoint(receiver.url(), description="mine")
            yield reelay.webhook_endpoint(endpoint.id).description
            yield reelay.change_webhook_endpoint(endpoint.id, description="ours").description
            yield reelay.test_webhook_endpoint(endpoint.id).id == endpoint.id
            yield len(list(reelay.webhook_deliveries(endpoint.id, limit=1)))
            delivery = next(reelay.webhook_deliveries(endpoint.id))
            yield reelay.redeliver_webhook(endpoint.id, delivery.id).state
            yield reelay.rotate_webhook_secret(endpoint.id).secret != endpoint.secret
            yield reelay.redeliver_webhooks(endpoint.id, datetime.now(UTC))
            yield list(reelay.event_log())
            yield reelay.webhook_signing_secret()[:6]
            reelay.delete_webhook_endpoint(endpoint.id)
            yield reelay.webhook_endpoints()

    said = await asyncio.to_thread(lambda: list(work()))
    assert said == ["mine", "ours", True, 2, "pending", True, 0, [], "whsec_", []]


async def test_the_javascript_client_works_with_endpoints(patient_service: Service, receiver: WebhookReceiver) -> None:
    job_id = await patient_service.create("[sim: fail=422]", webhookUrl=receiver.url("/job"))
    await patient_service.until(job_id, "failed")
    variables = {
        "ORIGIN": patient_service.origin,
        "KEY": key_of(patient_service),
        "RECEIVER": receiver.url(),
    }
    said = await asyncio.to_thread(
        lambda: run_node("node", "--input-type=module", "--eval", CALLS, variables=variables)
    )
    assert json.loads(said) == {"count": 1, "log": ["job.failed"], "description": "mine", "left": 0, "secrets": 3}


async def test_the_command_line_works_with_endpoints(
    terminal: Terminal, receiver: WebhookReceiver, patient_service: Service
) -> None:
    created = await terminal.type("webhooks", "create", receiver.url(), "--event", "job.failed", "--json")
    assert created.code == 0, created.err
    endpoint_id = created.json["id"]
    await patient_service.until(await patient_service.create("[sim: fail=422]"), "failed")

    async def is_listed() -> bool:
        listed = await terminal.type("webhooks", "list", "--json")
        return [each["status"] for each in listed.json] == ["enabled"]

    await eventually(is_listed)
    for words, said in (
        (("set", endpoint_id, "disabled"), "disabled"),
        (("set", endpoint_id, "enabled"), "enabled"),
        (("test", endpoint_id), "enabled"),
        (("redeliver", endpoint_id, "--since", "2020-01-01T00:00:00"), "1"),
        (("rotate", endpoint_id), "whsec_"),
        (("deliveries", endpoint_id), "webhook.test"),
        (("delete", endpoint_id), ""),
        (("list", "--json"), "[]"),
    ):
        ended = await terminal.type("webhooks", *words)
        assert (ended.code, said in ended.out) == (0, True), ended.out + ended.err
    assert (await terminal.type("webhooks", "redeliver", endpoint_id)).code == 2


async def test_events_are_forwarded_to_a_machine_that_nobody_reaches(
    terminal: Terminal, receiver: WebhookReceiver, patient_service: Service
) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    earlier = await patient_service.create("[sim: fail=422]")
    await patient_service.until(earlier, "failed")
    listening = await terminal.start("webhooks", "listen", "--forward", receiver.url(), "--secret", secret, "--json")
    assert listening.stdout
    job_id = ""
    while not receiver.received:  # it may not listen yet
        job_id = await patient_service.create("[sim: fail=422]")
        await patient_service.until(job_id, "failed")
    (line,) = [json.loads(await listening.stdout.readline())]
    listening.terminate()
    await listening.wait()

    told = [received.verified(secret) for received in receiver.received]
    assert line["answer"] == 200
    assert {event["type"] for event in told} <= {"job.submitted", "job.failed"}
    assert earlier not in {event["data"]["id"] for event in told}
