"""`fal_webhook`: an existing receiver is told in fal's words, signed by our key as fal signs by its own."""

from collections.abc import AsyncIterator

import httpx
import pytest

from reelay.providers.errors import Forged
from reelay.providers.fal_webhook import keys_of, parse, verify
from tests.acceptance.doors.conftest import Door
from tests.webhook_receiver import WebhookReceiver, answer, webhook_receiver

SUBMIT = """
import fal_client
print(fal_client.submit("fal-ai/veo3.1/fast", {"prompt": "PROMPT"}, webhook_url="URL").request_id)
"""


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as running:
        yield running


@pytest.mark.parametrize(("prompt", "status"), [("a lake", "OK"), ("[sim: fail=content_policy]", "ERROR")])
async def test_the_receiver_is_told_of_the_end_in_fals_words(
    door: Door, receiver: WebhookReceiver, prompt: str, status: str
) -> None:
    program = SUBMIT.replace("PROMPT", prompt).replace("URL", receiver.url("/hook?for=me"))
    request_id = (await door.run_python(program)).strip()
    (told,) = await receiver.requests(1)
    async with httpx.AsyncClient(verify=False) as anybody:
        keys = keys_of((await anybody.get(f"{door.front.origin}/.well-known/jwks.json")).content)
    notice = verify(parse(told.headers, told.body), keys)
    assert (notice.request_id, notice.body["status"]) == (request_id, status)
    assert told.path == "/hook?for=me"
    if status == "OK":
        assert notice.body["payload"]["video"]["url"].startswith(f"{door.front.origin}/api/media/")
    else:
        assert notice.body["error"] == "Invalid status code: 422"
        assert notice.body["payload"]["detail"][0]["type"] == "content_policy_violation"
    with pytest.raises(Forged):
        verify(parse(told.headers, told.body + b" "), keys)


async def test_it_is_told_again_until_it_has_answered(door: Door, receiver: WebhookReceiver) -> None:
    receiver.answers = lambda _: answer(503 if len(receiver.received) < 2 else 200)
    await door.run_python(SUBMIT.replace("PROMPT", "a lake").replace("URL", receiver.url()))
    first, second = await receiver.requests(2)
    assert first.headers["x-fal-webhook-request-id"] == second.headers["x-fal-webhook-request-id"]


async def test_an_address_that_is_none_of_the_public_internet_is_refused(door: Door) -> None:
    refused = await door.service.client.post(
        "/fal/queue/fal-ai/nano-banana", params={"fal_webhook": "https://10.0.0.1/hook"}, json={"prompt": "a lake"}
    )
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "fal_webhook"]
    long = {"fal_webhook": f"https://example.com/{'a' * 4000}"}
    refused = await door.service.client.post("/fal/queue/fal-ai/nano-banana", params=long, json={"prompt": "a lake"})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "fal_webhook"])
    assert (await door.service.client.get("/api/jobs")).json()["data"] == []
