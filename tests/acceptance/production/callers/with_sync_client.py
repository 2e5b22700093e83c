"""Calls the service at the address and with the key of its arguments, and prints what came of it as JSON."""

import json
import sys
from typing import Any

from reelay_client import GenerationFailed, Reelay, Refused


def outcome(reelay: Reelay, prompt: str, *, cancel: bool = False) -> list[Any]:
    created = reelay.create("video", prompt=prompt)
    if cancel:
        reelay.cancel(created.job_id)
    try:
        job = reelay.wait(created.job_id)
    except GenerationFailed as error:
        return [type(error).__name__, error.code, error.job.status, str(error)]
    return [job.status, [file.format for file in job.files]]


def refusal(reelay: Reelay) -> list[Any]:
    try:
        reelay.create("video", prompt="")
    except Refused as error:
        return [error.status, error.code, [each["field"] for each in error.errors]]
    return []


with Reelay(*sys.argv[1:]) as reelay:
    outcomes = [
        outcome(reelay, "a lighthouse"),
        outcome(reelay, "it fails [sim: fail=422]"),
        outcome(reelay, "it lasts [sim: latency=60s]", cancel=True),
        refusal(reelay),
    ]
sys.stdout.write(json.dumps(outcomes))
