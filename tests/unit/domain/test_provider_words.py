"""What users read of a provider's words: what is wrong with their input, and nothing of our account there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.failure import Failure, FailureCode
from reelay.domain.messages import Sentence
from reelay.domain.provider_words import LONGEST_QUOTE, QUOTED, WITHOUT_REASON, told_to_user, without_names

IMAGE = "https://pictures.example/a%20fox.png"
INPUTS = {"prompt": "a fox", "image_url": IMAGE}


def told(reason: str, code: FailureCode = FailureCode.PROVIDER_REJECTED) -> str:
    return told_to_user(Failure(code=code, message=reason), INPUTS, hidden=("acme-films",))


@pytest.mark.parametrize(
    "reason",
    [
        "duration: Input should be '4s', '6s' or '8s'",
        "The prompt was flagged: it names a living person.",
        "resolution: 1080p is available for 8 s only; use 720p",
        f"Could not read {IMAGE}: it is 12000x8000.",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
    ],
)
def test_what_is_wrong_with_the_input_is_quoted(reason: str) -> None:
    assert told(reason) == reason


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.", WITHOUT_REASON),
        ("Your account has reached its quota. Use a shorter prompt.", "Use a shorter prompt."),
        ("Invalid API token r8_abcdefgh12345678", WITHOUT_REASON),
        ("Not found in acme-films: my-app", "Not found in [...]: my-app"),
        ("Written to https://v3.fal.media/files/x/y.mp4, and lost.", "Written to [...], and lost."),
        ("No answer of 10.1.2.3:8080 or runner-7.cluster.internal", "No answer of [...] or [...]"),
        ("Ask ops@acme.com about it", "Ask [...] about it"),
        ("Webhook https://reelay.example/api/webhooks/fal?job=1&token=secret failed", "Webhook [...] failed"),
        ("Refused 0b1e7f0c-aaaa-bbbb-cccc-0123456789ab:0123456789abcdef0123456789abcdef", "Refused [...]"),
    ],
)
def test_what_is_about_us_is_not(reason: str, shown: str) -> None:
    assert told(reason) == shown


@pytest.mark.parametrize("code", sorted(set(FailureCode) - QUOTED))
def test_other_failures_are_told_in_our_own_sentences(code: FailureCode) -> None:
    assert told("FAL_KEY of acme-films is wrong", code) == Sentence(f"error_{code}")


@given(reason=st.text(max_size=3_000))
def test_any_reason_is_bounded_and_never_empty(reason: str) -> None:
    assert 0 < len(told(reason)) <= LONGEST_QUOTE


@given(lines=st.text(alphabet="ab:/.@-_0123456789 ", max_size=3_000))
def test_nothing_is_taken_away_twice(lines: str) -> None:
    assert without_names(without_names(lines, {}), {}) == without_names(lines, {})
