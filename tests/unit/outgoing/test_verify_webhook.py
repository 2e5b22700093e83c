"""What the Python client takes for a webhook of ours, and what it does not."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from reelay.outgoing.secrets import new_secret
from reelay_client import InvalidWebhook, verify_webhook

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECRET = new_secret()
BODY = json.dumps({"type": "job.failed", "timestamp": NOW.isoformat(), "sequence": 7, "data": {"errorMessage": "é"}})


def signed(*secrets: str, body: str = BODY) -> dict[str, str]:
    event_id = str(uuid4())
    signatures = [Webhook(secret).sign(event_id, NOW, body) for secret in secrets]
    return {
        "Webhook-Id": event_id,
        "Webhook-Timestamp": str(int(NOW.timestamp())),
        "Webhook-Signature": " ".join(["v1a,c29tZXRoaW5n", *signatures]),
    }


def test_what_the_official_library_signs_is_taken() -> None:
    headers = signed(new_secret(), SECRET)
    event = verify_webhook(BODY.encode(), headers, SECRET, now=NOW.timestamp() + 299)
    assert (str(event.id), event.type, event.sequence) == (headers["Webhook-Id"], "job.failed", 7)
    assert (event.timestamp, event.data) == (NOW, {"errorMessage": "é"})


@pytest.mark.parametrize("late", [301, -301])
def test_what_was_signed_at_another_time_is_refused(late: float) -> None:
    with pytest.raises(InvalidWebhook):
        verify_webhook(BODY, signed(SECRET), SECRET, now=NOW.timestamp() + late)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY + " ", signed(SECRET)),
        (BODY, signed(new_secret())),
        (BODY, signed()),
        (BODY, {**signed(SECRET), "Webhook-Id": str(uuid4())}),
        (BODY, {**signed(SECRET), "Webhook-Timestamp": str(int(NOW.timestamp()) + 1)}),
        (BODY, {**signed(SECRET), "Webhook-Timestamp": "now"}),
        (BODY, {**signed(SECRET), "Webhook-Signature": "é,"}),
        (BODY, {}),
    ],
)
def test_what_we_did_not_sign_is_refused(body: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidWebhook):
        verify_webhook(body, headers, SECRET, now=NOW.timestamp())
