"""What a provider says of a job, as the job's user may read it.

A provider speaks to us, its customer: of our account, its balance and its keys, by addresses of its dashboard, of our
webhooks and of machines. Its reasons for a failure are quoted to users nevertheless, since they say what is wrong with
an input: without the sentences that are about us, and without names that the user has not brought along.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from reelay.domain.failure import Failure, FailureCode
from reelay.domain.messages import Sentence

QUOTED = frozenset({FailureCode.PROVIDER_REJECTED, FailureCode.CONTENT_POLICY, FailureCode.PROVIDER_ERROR})
"""Codes whose message is the provider's own reason. The others have sentences of ours."""
WITHOUT_REASON = Sentence("error_without_reason")
LONGEST_QUOTE = 500
REMOVED = "[...]"

SENTENCE_ENDS = re.compile(r"(?<=[.!?;])\s+")
ABOUT_US = re.compile(
    r"dashboard|billing|invoice|payment|\bbalance\b|top[ -]?up\b|\bcredits?\b|\bquota\b|subscription|spending limit"
    r"|api[ _-]?(?:key|token)|credential|\b(?:your|our|the|this) (?:account|organi[sz]ation|team|workspace)\b"
    r"|\baccount (?:is|has|was)\b|\buser (?:is|has been|was) (?:locked|blocked|suspended|disabled)\b",
    re.IGNORECASE,
)
NAMES = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+"  # addresses
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # of e-mail
    r"|\b(?:[a-z0-9-]+\.)+(?:ai|app|cloud|com|dev|internal|io|local|net|org|run)\b(?::\d+)?(?:/[^\s\"'<>]*)?"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"  # machines
    r"|\[?[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}\]?(?::\d+)?"
    r"|\b(?:r8_|rk_|sk-|whsec_)[\w-]+"  # keys
    r"|\b[\w-]{16,}:[\w-]{16,}\b|\b(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{32,}\b",
    re.IGNORECASE,
)
PUNCTUATION = ".,;:!?)]}"


def told_to_user(failure: Failure, inputs: Mapping[str, Any], *, hidden: Collection[str] = ()) -> str:
    """Why the job failed, in English. `inputs`: what its user sent; `hidden`: how our accounts are called."""
    if failure.code not in QUOTED:
        return Sentence(f"error_{failure.code}")
    about_the_job = (part for part in SENTENCE_ENDS.split(failure.message) if not ABOUT_US.search(part))
    return without_names(" ".join(about_the_job), inputs, hidden=hidden)[:LONGEST_QUOTE].strip() or WITHOUT_REASON


def without_names(text: str, inputs: Mapping[str, Any], *, hidden: Collection[str] = ()) -> str:
    """The text without addresses, keys and names of accounts, unless they stand in the inputs."""
    brought = str(inputs)

    def replacement(found: re.Match[str]) -> str:
        name = found[0].rstrip(PUNCTUATION)
        return found[0] if name in brought else REMOVED + found[0][len(name) :]

    for name in filter(None, hidden):
        text = text.replace(name, REMOVED)
    return NAMES.sub(replacement, text)
