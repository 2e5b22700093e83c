"""One attempt, to receivers of every kind."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from standardwebhooks import Webhook, WebhookVerificationError

from lab.devstack.ports import HOST
from reelay.domain.addresses import IPAddress
from reelay.domain.outgoing import AttemptOutcome
from reelay.media.errors import Refused
from reelay.outbound import OutboundProxies
from reelay.outgoing import sender
from reelay.outgoing.secrets import EndpointSecrets, new_secret
from reelay.outgoing.sender import Answer, Message, ReceiverPolicy, Sender, StandardSigner, retry_after
from reelay.settings import Settings
from tests.connect_proxy import connect_proxy
from tests.tcp_server import tcp_server
from tests.webhook_receiver import WebhookReceiver, answer, webhook_receiver

PRODUCTION, DEVELOPMENT = ReceiverPolicy(is_development=False), ReceiverPolicy(is_development=True)


EVENT = uuid4()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as running:
        yield running


def message(*secrets: str, body: str = '{"type":"webhook.test"}') -> Message:
    return Message(body=body.encode(), signer=StandardSigner(id=EVENT, secrets=secrets or (new_secret(),)))


async def post(url: str, sent: Message | None = None, *, policy: ReceiverPolicy = DEVELOPMENT) -> Answer:
    async with Sender(policy).to_one_receiver() as to:
        return await to.post(url, sent or message())


async def test_official_verifier_accepts_what_arrives(receiver: WebhookReceiver) -> None:
    secret = new_secret()
    sent = message(secret, body=json.dumps({"data": {"prompt": "un phare, 灯台, 🌊"}}))
    assert (await post(receiver.url(), sent)).outcome is AttemptOutcome.DELIVERED

    (received,) = receiver.received
    assert received.verified(secret)["data"]["prompt"] == "un phare, 灯台, 🌊"
    assert (received.id, received.headers["content-type"]) == (str(EVENT), "application/json")
    assert "cookie" not in received.headers
    with pytest.raises(WebhookVerificationError):
        received.verified(new_secret())


async def test_both_secrets_sign_during_a_rotation(receiver: WebhookReceiver) -> None:
    new, old = new_secret(), new_secret()
    await post(receiver.url(), message(new, old))

    (received,) = receiver.received
    assert received.verified(new) == received.verified(old)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, AttemptOutcome.DELIVERED),
        (204, AttemptOutcome.DELIVERED),
        (299, AttemptOutcome.DELIVERED),
        (301, AttemptOutcome.REFUSED),
        (302, AttemptOutcome.REFUSED),
        (304, AttemptOutcome.REFUSED),
        (400, AttemptOutcome.REFUSED),
        (410, AttemptOutcome.REFUSED),
        (503, AttemptOutcome.REFUSED),
    ],
)
async def test_only_2xx_is_a_success(receiver: WebhookReceiver, status: int, outcome: AttemptOutcome) -> None:
    receiver.answers = lambda received: answer(status, "why")
    found = await post(receiver.url())
    assert (found.outcome, found.status_code) == (outcome, status)


@pytest.mark.fault("E7")
async def test_a_redirect_is_not_followed(receiver: WebhookReceiver) -> None:
    receiver.answers = lambda received: answer(307, location=receiver.url("/elsewhere"))
    assert (await post(receiver.url("/here"))).status_code == 307
    assert [received.path for received in receiver.received] == ["/here"]


async def test_no_cookie_comes_back(receiver: WebhookReceiver) -> None:
    receiver.answers = lambda received: answer(200, set_cookie="session=1")
    async with Sender(DEVELOPMENT).to_one_receiver() as to:
        await to.post(receiver.url(), message())
        await to.post(receiver.url(), message())
    assert all("cookie" not in received.headers for received in receiver.received)


async def test_first_kib_of_the_answer_is_kept(receiver: WebhookReceiver) -> None:
    receiver.answers = lambda received: answer(500, "\0" + 5000 * "é")
    body = (await post(receiver.url())).body
    assert body.startswith("\N{REPLACEMENT CHARACTER}é")
    assert len(body.encode()) < 1100


@pytest.mark.fault("E6")
async def test_a_body_without_end_is_not_waited_for(receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "BODY_WITHIN_SECONDS", 0.05)

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nand so on")
        await reader.read()  # the request's body, and then until the other side has had enough

    async with tcp_server(endless) as port:
        found = await post(f"http://{HOST}:{port}")
    assert (found.outcome, found.body) == (AttemptOutcome.DELIVERED, "and so on")


async def test_who_says_nothing_times_out(receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ATTEMPT_WITHIN", timedelta(seconds=0.2))
    receiver.answers = lambda received: None
    found = await post(receiver.url())
    assert (found.outcome, found.status_code) == (AttemptOutcome.TIMED_OUT, None)


@pytest.mark.fault("E6")
async def test_who_drips_headers_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of each read alone would never be exceeded."""
    monkeypatch.setattr(sender, "ATTEMPT_WITHIN", timedelta(seconds=0.3))

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.02)

    async with tcp_server(drip) as port:
        assert (await post(f"http://{HOST}:{port}")).outcome is AttemptOutcome.TIMED_OUT


async def test_who_is_not_there_is_not_connected_to() -> None:
    async with webhook_receiver() as gone:
        url = gone.url()
    assert (await post(url)).outcome is AttemptOutcome.NOT_CONNECTED


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nonsense_for_an_answer_is_a_failure(scheme: str) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\r\n\r\n")

    async with tcp_server(nonsense) as port:
        assert (await post(f"{scheme}://{HOST}:{port}")).outcome is AttemptOutcome.NOT_CONNECTED


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://user:password@example.com/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://2130706433/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/hook",
        "https://localhost/hook",
        "https://metadata.internal/hook",
        "https://postgres/hook",
        "https://xn--.com/hook",
        "https:///hook",
        "ftp://example.com/hook",
        "nonsense",
        f"https://example.com/{'a' * 2048}",
    ],
)
async def test_addresses_that_nothing_is_sent_to(url: str) -> None:
    assert PRODUCTION.problem_of(url)
    assert (await post(url, policy=PRODUCTION)).outcome is AttemptOutcome.NOT_ALLOWED


@pytest.mark.fault("E7")
async def test_a_name_that_leads_inside_is_not_connected_to(receiver: WebhookReceiver) -> None:
    """Asked once, and dialled as answered: also where the name server answers otherwise the second time."""
    answers = [["93.184.215.14", "127.0.0.1"], ["127.0.0.1"]]
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[IPAddress]:
        asked.append(host)
        return [ip_address(address) for address in answers[len(asked) - 1]]

    async with Sender(PRODUCTION, resolve=resolve).to_one_receiver() as to:
        found = await to.post("https://hooks.example.com/", message())
    assert found.outcome is AttemptOutcome.NOT_ALLOWED
    assert asked == ["hooks.example.com"]
    assert receiver.received == []


async def unresolved(host: str, port: int) -> Sequence[IPAddress]:
    """A name server of a network without a way out."""
    raise OSError("no such name")


async def inside(host: str, port: int) -> Sequence[IPAddress]:
    return [ip_address("10.0.0.1")]


async def test_behind_a_proxy_the_name_is_the_proxys_to_resolve() -> None:
    async with connect_proxy({}) as proxy:
        proxies = OutboundProxies(https=proxy.address)
        async with Sender(PRODUCTION, proxies=proxies, resolve=unresolved).to_one_receiver() as to:
            found = await to.post("https://hooks.example.com/", message())
    assert proxy.asked == ["hooks.example.com:443"]
    assert (found.outcome, found.error.partition(":")[0]) == (AttemptOutcome.NOT_CONNECTED, "ProxyError")


@pytest.mark.fault("E7")
async def test_a_proxy_is_not_asked_for_a_name_that_leads_inside() -> None:
    async with connect_proxy({}) as proxy:
        proxies = OutboundProxies(https=proxy.address)
        async with Sender(PRODUCTION, proxies=proxies, resolve=inside).to_one_receiver() as to:
            found = [await to.post(url, message()) for url in ("https://hooks.example.com/", "https://db.internal/")]
    assert [each.outcome for each in found] == [AttemptOutcome.NOT_ALLOWED] * 2
    assert proxy.asked == []


def test_a_network_that_maps_names_of_the_internet_may_be_dialled() -> None:
    mapped = ReceiverPolicy.of(Settings(_env_file=None, download_allowed_networks=("198.18.0.0/15", "64:ff9b::/96")))
    public, private = ip_address("64:ff9b::5db8:d70e"), ip_address("64:ff9b::a00:1")
    mapped.check_addresses("hooks.example.com", 443, [ip_address("198.18.0.7"), public])
    for policy, address in ((PRODUCTION, public), (mapped, private), (mapped, ip_address("10.0.0.1"))):
        with pytest.raises(Refused):
            policy.check_addresses("hooks.example.com", 443, [address])


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("120", timedelta(seconds=120)),
        ("Mon, 30 Nov 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 30 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("9" * 40, None),
    ],
)
def test_what_retry_after_means(value: str, pause: timedelta | None) -> None:
    assert retry_after(value, datetime(2026, 11, 30, 12, tzinfo=UTC)) == pause


def test_a_secret_is_kept_for_its_endpoint_alone() -> None:
    endpoint_id, secret = uuid4(), new_secret()
    kept = EndpointSecrets(b"a pepper").encrypt(secret, endpoint_id)
    assert secret.encode() not in kept
    assert EndpointSecrets(b"a pepper").decrypt(kept, endpoint_id) == secret
    for pepper, owner in ((b"another pepper", endpoint_id), (b"a pepper", uuid4())):
        with pytest.raises(InvalidTag):
            EndpointSecrets(pepper).decrypt(kept, owner)


def test_the_secret_of_job_addresses_is_each_users_own() -> None:
    secrets, ann, bob = EndpointSecrets(b"a pepper"), uuid4(), uuid4()
    assert secrets.for_job_addresses(ann) == EndpointSecrets(b"a pepper").for_job_addresses(ann)
    assert secrets.for_job_addresses(ann) != secrets.for_job_addresses(bob)
    Webhook(secrets.for_job_addresses(ann))
