"""The queue client against real sockets that misbehave."""

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from reelay.domain.failure import FailureCode
from reelay.domain.generation import ProviderState, RemoteMedia, Submission
from reelay.providers.errors import (
    AccountLocked,
    GenerationFailed,
    Rejected,
    ResultExpired,
    SubmissionUncertain,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from reelay.providers.fal import FalProvider
from reelay.providers.provider import CancelAnswer, SubmissionRequest
from tests.unit.providers.scripted_server import (
    Behaviour,
    ScriptedServer,
    answer,
    drip,
    flood,
    hang,
    json_answer,
    raw,
    reset,
    scripted_server,
    timeout_with,
)

KEY = "test-key-id:test-key-secret"
REQUEST_ID = "01a10554-1955-7d51-8000-000000000001"
JOB_ID = UUID(int=1)
REQUEST = SubmissionRequest(
    job_id=JOB_ID,
    endpoint="fal-ai/veo3.1/fast",
    arguments={"prompt": "a reef"},
    attempt=1,
    webhook_url="https://app.test/hook?job=1",
)

TIMEOUT = timedelta(seconds=30)


@pytest.fixture
def fal(server: ScriptedServer, client: httpx.AsyncClient) -> FalProvider:
    return provider(client, server.url)


def provider(client: httpx.AsyncClient, base: str, *keys: str, timeout: timedelta = TIMEOUT) -> FalProvider:
    return FalProvider(
        client,
        submit_client=client,
        keys=[SecretStr(key) for key in keys or [KEY]],
        queue_base=base,
        platform_base=f"{base}/v1",
        timeout=timeout,
    )


def in_queue(base: str, **changes: Any) -> dict[str, Any]:
    request_url = f"{base}/fal-ai/veo3.1/requests/{REQUEST_ID}"
    return {
        "status": "IN_QUEUE",
        "request_id": REQUEST_ID,
        "response_url": request_url,
        "status_url": f"{request_url}/status",
        "cancel_url": f"{request_url}/cancel",
        "queue_position": 3,
        "logs": None,
        "metrics": {},
        **changes,
    }


def submission(fal: FalProvider) -> Submission:
    return fal.recover(endpoint="fal-ai/veo3.1/fast", request_id=REQUEST_ID, attempt=1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Submitting: what was bought


async def test_an_accepted_submission_keeps_the_addresses_fal_returned(
    fal: FalProvider, server: ScriptedServer
) -> None:
    response_url = f"{server.url}/fal-ai/veo3.1/requests/{REQUEST_ID}/response"
    server.script = [json_answer(200, in_queue(server.url, response_url=response_url))]
    accepted = await fal.submit(REQUEST)
    assert accepted == Submission(
        attempt=1,
        request_id=REQUEST_ID,
        status_url=f"{server.url}/fal-ai/veo3.1/requests/{REQUEST_ID}/status",
        response_url=response_url,
        cancel_url=f"{server.url}/fal-ai/veo3.1/requests/{REQUEST_ID}/cancel",
        webhook_expected=True,
        queue_position=3,
    )


async def test_the_post_carries_the_input_the_key_and_the_webhook(fal: FalProvider, server: ScriptedServer) -> None:
    server.script = [json_answer(200, in_queue(server.url))]
    await fal.submit(REQUEST)
    [post] = server.seen
    assert post.method == "POST"
    assert urlsplit(post.target).path == "/fal-ai/veo3.1/fast"
    assert parse_qs(urlsplit(post.target).query) == {"fal_webhook": ["https://app.test/hook?job=1"]}
    assert post.headers["authorization"] == f"Key {KEY}"
    assert json.loads(post.body) == {"prompt": "a reef"}


async def test_without_a_public_url_no_webhook_is_asked_for(fal: FalProvider, server: ScriptedServer) -> None:
    server.script = [json_answer(200, in_queue(server.url))]
    accepted = await fal.submit(
        SubmissionRequest(job_id=JOB_ID, endpoint="fal-ai/flux/dev", arguments={}, attempt=2, webhook_url=None)
    )
    assert server.seen[0].target == "/fal-ai/flux/dev"
    assert not accepted.webhook_expected


UNCERTAIN: dict[str, Behaviour] = {
    "reset after the body": reset,
    "closed after the body": raw(b""),
    "hangs": hang,
    "drips": drip,
    "garbage": raw(b"\x00\x01\x02 not http\r\n\r\n"),
    "half a body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
    "html": answer(200, b"<html>welcome</html>", Content_Type="text/html"),
    "empty": answer(200),
    "no content": answer(204),
    "list": json_answer(200, [1]),
    "too large": answer(200, b" " * 100_000 + json.dumps(in_queue("")).encode()),
    "compressed": answer(200, b"\x1f\x8b\x08", Content_Encoding="gzip"),
    "request timeout": json_answer(408, {"detail": "timeout"}),
    "client closed": json_answer(499, {"detail": "client_disconnected"}),
    "500": json_answer(500, {"detail": "internal_error"}),
    "502": answer(502, b"<html>nginx</html>"),
    "503": answer(503),
    "504": answer(504),
    "unreadable redirect": answer(307, Location="http://[::1"),
    "redirect with an odd cookie": answer(307, Location="?again", Set_Cookie="a=\u202e; Path=/"),
}


@pytest.mark.fault("P4", "P5", "P8", "P11", "P12")
@pytest.mark.parametrize("behaviour", UNCERTAIN.values(), ids=UNCERTAIN.keys())
async def test_a_lost_or_senseless_answer_is_uncertain_and_never_sent_again(
    behaviour: Behaviour, client: httpx.AsyncClient, server: ScriptedServer
) -> None:
    server.script = [behaviour]
    with pytest.raises(SubmissionUncertain) as raised:
        await provider(client, server.url, timeout=timeout_with(behaviour)).submit(REQUEST)
    assert len(server.seen) == 1
    assert KEY not in str(raised.value)


@pytest.mark.fault("P11")
@pytest.mark.parametrize(
    "request_id",
    [None, 7, True, "", "../x", "a b", "a\n", "é", "'; drop table", "x" * 10_000, ["x"], "a/../b"],
)
async def test_a_request_id_that_is_none_is_uncertain(
    request_id: object, fal: FalProvider, server: ScriptedServer
) -> None:
    server.script = [json_answer(200, in_queue(server.url, request_id=request_id))]
    with pytest.raises(SubmissionUncertain):
        await fal.submit(REQUEST)


@pytest.mark.fault("P9")
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_buys_nothing(status: int, fal: FalProvider, server: ScriptedServer) -> None:
    server.script = [json_answer(status, {"detail": f"invalid key credentials {KEY}"})]
    with pytest.raises(Unauthorized) as raised:
        await fal.submit(REQUEST)
    assert KEY not in str(raised.value)


@pytest.mark.fault("P9")
async def test_a_locked_account_is_told_apart_from_a_bad_key(fal: FalProvider, server: ScriptedServer) -> None:
    server.script = [json_answer(403, {"detail": "User is locked. Reason: Exhausted balance. Top up your balance."})]
    with pytest.raises(AccountLocked, match="Exhausted balance"):
        await fal.submit(REQUEST)


@pytest.mark.fault("P7")
@pytest.mark.parametrize(
    ("header", "expected"),
    [({"Retry_After": "3"}, timedelta(seconds=3)), ({"Retry_After": "soon"}, None), ({}, None)],
)
async def test_throttling_says_when_to_come_back(
    header: dict[str, str], expected: timedelta | None, fal: FalProvider, server: ScriptedServer
) -> None:
    server.script = [json_answer(429, {"detail": "queue is full"}, **header)]
    with pytest.raises(Throttled) as raised:
        await fal.submit(REQUEST)
    assert raised.value.retry_after == expected


@pytest.mark.fault("P10")
async def test_a_refused_input_is_explained(fal: FalProvider, server: ScriptedServer) -> None:
    detail = [{"loc": ["body", "duration"], "msg": "Input should be '8s'", "type": "literal_error"}]
    server.script = [json_answer(422, {"detail": detail})]
    with pytest.raises(Rejected) as raised:
        await fal.submit(REQUEST)
    assert raised.value.failure.code is FailureCode.PROVIDER_REJECTED
    assert raised.value.failure.message == "duration: Input should be '8s'"


@pytest.mark.fault("P9")
async def test_an_answer_that_quotes_the_key_does_not_spread_it(fal: FalProvider, server: ScriptedServer) -> None:
    server.script = [json_answer(422, {"detail": f"bad header: Key {KEY}"})]
    with pytest.raises(Rejected) as raised:
        await fal.submit(REQUEST)
    assert KEY not in str(raised.value)


def keys_sent(server: ScriptedServer) -> list[str]:
    return [seen.headers["authorization"].removeprefix("Key ") for seen in server.seen]


UNKNOWN_KEY = json_answer(401, {"detail": "Invalid key credentials"})


async def test_a_key_that_fal_does_not_know_gives_way_to_the_other(
    client: httpx.AsyncClient, server: ScriptedServer
) -> None:
    fal = provider(client, server.url, "new:key-secret", "old:key-secret")
    in_progress = json_answer(200, {"status": "IN_PROGRESS"})
    server.script = [
        *(UNKNOWN_KEY, json_answer(200, in_queue(server.url)), in_progress),
        *(UNKNOWN_KEY, in_progress, in_progress),  # the day on which the old one is withdrawn
    ]
    accepted = await fal.submit(REQUEST)
    for _ in range(3):
        await fal.progress(accepted)

    old, new = "old:key-secret", "new:key-secret"
    assert keys_sent(server) == [new, old, old, old, new, new]
    assert server.seen[0].body == server.seen[1].body


async def test_with_two_keys_a_lost_answer_is_still_not_sent_again(
    client: httpx.AsyncClient, server: ScriptedServer
) -> None:
    fal = provider(client, server.url, "new:key-secret", "old:key-secret")
    for behaviour in (reset, answer(500), json_answer(403, {"detail": "no"}), answer(200, b"odd")):
        server.script, before = [behaviour], len(server.seen)
        with pytest.raises((SubmissionUncertain, Unauthorized)):
            await fal.submit(REQUEST)
        assert len(server.seen) == before + 1


async def test_two_unknown_keys_buy_nothing_and_show_nowhere(client: httpx.AsyncClient, server: ScriptedServer) -> None:
    fal = provider(client, server.url, "new:key-secret", "old:key-secret")
    server.script = [UNKNOWN_KEY, json_answer(401, {"detail": "neither new:key-secret nor old:key-secret"})]
    with pytest.raises(Unauthorized) as raised:
        await fal.submit(REQUEST)
    assert "secret" not in str(raised.value)


async def test_an_input_that_is_no_json_is_rejected_before_anything_is_sent(
    fal: FalProvider, server: ScriptedServer
) -> None:
    with pytest.raises(Rejected):
        await fal.submit(
            SubmissionRequest(
                job_id=JOB_ID, endpoint="fal-ai/veo3.1", arguments={"seed": math.nan}, attempt=1, webhook_url=None
            )
        )
    assert server.seen == []


@pytest.mark.fault("P6")
@pytest.mark.parametrize("base", ["http://127.0.0.1:{port}", "http://does-not-resolve.invalid", "gopher://queue.test"])
async def test_no_connection_means_nothing_was_sent(base: str, client: httpx.AsyncClient) -> None:
    with pytest.raises(Unreachable):
        await provider(client, base.format(port=free_port()), timeout=timedelta(seconds=20)).submit(REQUEST)


@pytest.mark.fault("P6")
async def test_a_failed_tls_handshake_means_nothing_was_sent(client: httpx.AsyncClient, server: ScriptedServer) -> None:
    with pytest.raises(Unreachable):
        await provider(client, server.url.replace("http", "https"), timeout=timedelta(seconds=4)).submit(REQUEST)
    assert server.seen == []


async def test_a_full_pool_means_nothing_was_sent(server: ScriptedServer) -> None:
    server.always = hang
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1), trust_env=False) as client:
        fal = provider(client, server.url, timeout=timeout_with(hang))
        slow = asyncio.create_task(fal.submit(REQUEST))
        await server.reached.wait()
        with pytest.raises(Unreachable):
            await fal.submit(REQUEST)
        with pytest.raises(SubmissionUncertain):
            await slow
    assert len(server.seen) == 1


# The key stays with the queue


@pytest.mark.fault("P14")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_is_not_followed(
    status: int, fal: FalProvider, server: ScriptedServer
) -> None:
    async with scripted_server() as evil:
        server.always = answer(status, Location=f"{evil.url}/steal")
        with pytest.raises(SubmissionUncertain):
            await fal.submit(REQUEST)
        with pytest.raises(Unavailable):
            await fal.progress(submission(fal))
        with pytest.raises(Unavailable):
            await fal.result(submission(fal))
        with pytest.raises(Unavailable):
            await fal.cancel(submission(fal))
        assert evil.seen == []


@pytest.mark.fault("P13")
@pytest.mark.parametrize(
    "foreign",
    [
        "http://127.0.0.1:{other}/status",
        "https://127.0.0.1:{port}/status",
        "http://localhost:{port}/status",
        "http://user:password@127.0.0.1:{port}/status",
        "http://127.0.0.1:{port}@evil.test/status",
        "//evil.test/status",
        "/status",
        "http://[::1",
        "",
        None,
        7,
    ],
)
async def test_returned_addresses_on_another_host_are_replaced_by_our_own(
    foreign: str | int | None, fal: FalProvider, server: ScriptedServer
) -> None:
    url = foreign.format(port=server.port, other=server.port + 1) if isinstance(foreign, str) else foreign
    server.script = [json_answer(200, in_queue(server.url, status_url=url, response_url=url, cancel_url=url))]
    accepted = await fal.submit(REQUEST)
    request_url = f"{server.url}/fal-ai/veo3.1/requests/{REQUEST_ID}"
    assert accepted.status_url == f"{request_url}/status"
    assert accepted.response_url == request_url
    assert accepted.cancel_url == f"{request_url}/cancel"


@pytest.mark.fault("P13")
async def test_a_stored_address_on_another_host_is_never_called(client: httpx.AsyncClient, fal: FalProvider) -> None:
    async with scripted_server() as evil:
        stolen = submission(provider(client, evil.url))
        for call in (fal.progress(stolen), fal.result(stolen), fal.cancel(stolen)):
            with pytest.raises(Unavailable):
                await call
        assert evil.seen == []


@pytest.mark.parametrize("key", ["", "  ", "id:sec\nret", "id:schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_quoted(key: str, client: httpx.AsyncClient) -> None:
    with pytest.raises(ValueError, match="fal key") as raised:
        provider(client, "https://queue.fal.run", key)
    assert not key.strip() or key not in str(raised.value)


# Recovering


@pytest.mark.parametrize(
    ("endpoint", "app"),
    [
        ("fal-ai/flux", "fal-ai/flux"),
        ("fal-ai/kling-video/v2.5-turbo/pro/text-to-video", "fal-ai/kling-video"),
        ("/fal-ai/veo3.1/", "fal-ai/veo3.1"),
        ("workflows/acme/storyboard/step", "workflows/acme/storyboard"),
        ("comfy/acme/graph", "comfy/acme/graph"),
    ],
)
def test_recovered_addresses_name_the_app_alone(endpoint: str, app: str, fal: FalProvider) -> None:
    recovered = fal.recover(endpoint=endpoint, request_id="r1", attempt=4)
    assert urlsplit(recovered.response_url).path == f"/{app}/requests/r1"
    assert urlsplit(recovered.status_url).path == f"/{app}/requests/r1/status"
    assert urlsplit(recovered.cancel_url).path == f"/{app}/requests/r1/cancel"
    assert (recovered.attempt, recovered.request_id) == (4, "r1")


# Watching, fetching, canceling


async def test_progress_decides_on_the_body_not_on_the_code(fal: FalProvider, server: ScriptedServer) -> None:
    server.script = [
        json_answer(200, {"status": "IN_QUEUE", "queue_position": 2}),
        json_answer(202, {"status": "completed", "logs": [{"message": "done\x1b[31m"}]}),
    ]
    queued = await fal.progress(submission(fal))
    ended = await fal.progress(submission(fal), logs=True)
    assert (queued.state, queued.queue_position) == (ProviderState.QUEUED, 2)
    assert (ended.state, ended.logs) == (ProviderState.ENDED, ("done [31m",))
    assert [urlsplit(seen.target).query for seen in server.seen] == ["", "logs=1"]
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Key {KEY}"}


@pytest.mark.parametrize("behaviour", [reset, hang, drip, answer(503), answer(200, b"<html>")])
async def test_a_question_without_an_answer_may_be_asked_again(
    behaviour: Behaviour, client: httpx.AsyncClient, server: ScriptedServer
) -> None:
    fal = provider(client, server.url, timeout=timeout_with(behaviour))
    server.always = behaviour
    with pytest.raises(Unavailable):
        await fal.progress(submission(fal))
    with pytest.raises(Unavailable):
        await fal.result(submission(fal))


async def test_the_result_brings_media_data_and_cost(fal: FalProvider, server: ScriptedServer) -> None:
    body = {"video": {"url": "https://v3b.fal.media/files/b/x/output.mp4", "content_type": "video/mp4"}}
    server.script = [json_answer(200, body, X_Fal_Billable_Units="8")]
    result = await fal.result(submission(fal))
    assert result.media == (RemoteMedia(url="https://v3b.fal.media/files/b/x/output.mp4", content_type="video/mp4"),)
    assert result.data == body
    assert result.billable_units == 8.0


async def test_a_result_beyond_the_limit_is_not_read_to_its_end(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [flood]
    fal = provider(client, server.url, timeout=timedelta(seconds=10))
    with pytest.raises(GenerationFailed, match="too large"):
        await fal.result(submission(fal))


async def test_a_cookie_is_neither_kept_nor_in_the_way_of_the_next_call(
    fal: FalProvider, server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [json_answer(200, {"status": "IN_QUEUE"}, Set_Cookie="a=\u202e; Path=/"), json_answer(200, {})]
    await fal.progress(submission(fal))
    await fal.result(submission(fal))
    assert "cookie" not in server.seen[1].headers
    assert not client.cookies


@pytest.mark.fault("S1")
async def test_a_deleted_result_is_expired(fal: FalProvider, server: ScriptedServer) -> None:
    server.script = [json_answer(404, {"status": "NOT_FOUND"})]
    with pytest.raises(ResultExpired):
        await fal.result(submission(fal))


@pytest.mark.fault("S8")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, CancelAnswer.CANCELED),
        (202, CancelAnswer.REQUESTED),
        (400, CancelAnswer.TOO_LATE),
        (404, CancelAnswer.TOO_LATE),
    ],
)
async def test_cancel_tells_what_it_achieved(
    status: int, expected: CancelAnswer, fal: FalProvider, server: ScriptedServer
) -> None:
    server.script = [json_answer(status, {"status": "OK"})]
    assert await fal.cancel(submission(fal)) is expected
    assert server.seen[0].method == "PUT"
    assert server.seen[0].target == f"/fal-ai/veo3.1/requests/{REQUEST_ID}/cancel"


PROOF = {"x_fal_request_id": REQUEST_ID}
DONE = json_answer(200, {"status": "COMPLETED"}, **PROOF)


@pytest.fixture
async def others() -> AsyncIterator[list[ScriptedServer]]:
    """Two further addresses of fal: the REST API and one more."""
    async with scripted_server() as rest, scripted_server() as last:
        yield [rest, last]


def provider_with(
    client: httpx.AsyncClient, base: str, others: list[ScriptedServer], trouble: Behaviour = reset
) -> FalProvider:
    bases = [base, *(other.url for other in others)]  # the queue itself among them is not asked twice
    return FalProvider(
        client,
        submit_client=client,
        keys=[SecretStr(KEY)],
        queue_base=base,
        platform_base=f"{base}/v1",
        timeout=timeout_with(trouble),
        other_bases=bases,
    )


@pytest.mark.parametrize("trouble", [reset, json_answer(404, {}), json_answer(410, {}), hang])
async def test_status_is_found_elsewhere_in_order(
    trouble: Behaviour, server: ScriptedServer, client: httpx.AsyncClient, others: list[ScriptedServer]
) -> None:
    fal = provider_with(client, server.url, others, trouble)
    server.always, others[0].always, others[1].always = trouble, json_answer(404, {}), DONE

    assert (await fal.progress(submission(fal), logs=True)).state is ProviderState.ENDED
    targets = [seen.target for asked in (server, *others) for seen in asked.seen]
    assert targets == [f"/fal-ai/veo3.1/requests/{REQUEST_ID}/status?logs=1"] * 3


async def test_result_is_found_elsewhere(
    server: ScriptedServer, client: httpx.AsyncClient, others: list[ScriptedServer]
) -> None:
    fal = provider_with(client, server.url, others)
    server.always = reset
    others[0].always = json_answer(200, {"video": {"url": "https://fal.media/a.mp4"}}, **PROOF)

    assert (await fal.result(submission(fal))).media == (RemoteMedia(url="https://fal.media/a.mp4"),)
    assert others[1].seen == []


@pytest.mark.parametrize("answered", [200, 202, 401, 403, 422, 429, 500, 503])
async def test_queue_that_answers_is_asked_alone(
    answered: int, server: ScriptedServer, client: httpx.AsyncClient, others: list[ScriptedServer]
) -> None:
    fal = provider_with(client, server.url, others)
    server.always = json_answer(answered, {"status": "IN_PROGRESS"})
    with contextlib.suppress(Unavailable, Unauthorized):
        await fal.progress(submission(fal))

    assert [len(asked.seen) for asked in (server, *others)] == [1, 0, 0]


@pytest.mark.parametrize(
    "elsewhere",
    [reset, json_answer(404, {}), json_answer(500, {}), json_answer(200, {"status": "COMPLETED"}), answer(200, b"<p>")],
)
async def test_what_others_do_not_know_says_nothing_of_a_request(
    elsewhere: Behaviour, server: ScriptedServer, client: httpx.AsyncClient, others: list[ScriptedServer]
) -> None:
    """A 404 of theirs is no expiry while the queue is away, and a page without fal's proof is no end."""
    fal = provider_with(client, server.url, others)
    server.script, others[0].always, others[1].always = [reset, json_answer(404, {})], elsewhere, elsewhere

    with pytest.raises(Unavailable):
        await fal.progress(submission(fal))
    with pytest.raises(ResultExpired):
        await fal.progress(submission(fal))


async def test_submission_and_cancel_go_to_the_queue_alone(
    server: ScriptedServer, client: httpx.AsyncClient, others: list[ScriptedServer]
) -> None:
    fal = provider_with(client, server.url, others)
    server.always = reset
    with pytest.raises(SubmissionUncertain):
        await fal.submit(REQUEST)
    with pytest.raises(Unavailable):
        await fal.cancel(submission(fal))

    assert [len(asked.seen) for asked in (server, *others)] == [2, 0, 0]


def with_admin_key(client: httpx.AsyncClient, base: str) -> FalProvider:
    return FalProvider(
        client,
        submit_client=client,
        keys=[SecretStr(KEY)],
        queue_base=base,
        platform_base=f"{base}/v1",
        timeout=TIMEOUT,
        admin_key=SecretStr("admin:secret"),
    )


@pytest.mark.parametrize("status", [200, 204, 404])
async def test_what_is_stored_is_deleted_with_the_admin_key_alone(
    status: int, server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [answer(status)]
    await provider(client, server.url).erase(REQUEST_ID)
    assert server.seen == []
    await with_admin_key(client, server.url).erase(REQUEST_ID)
    (call,) = server.seen
    assert (call.method, call.target) == ("DELETE", f"/v1/models/requests/{REQUEST_ID}/payloads")
    assert (call.headers["authorization"], call.headers["idempotency-key"]) == (
        "Key admin:secret",
        f"erase-{REQUEST_ID}",
    )


@pytest.mark.parametrize(
    ("trouble", "error"), [(answer(403), Unauthorized), (answer(500), Unavailable), (reset, Unavailable)]
)
async def test_what_could_not_be_deleted_is_said(
    trouble: Behaviour, error: type[Exception], server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [trouble]
    with pytest.raises(error):
        await with_admin_key(client, server.url).erase(REQUEST_ID)
