"""How often bad media is looked at before it is given up."""

from dataclasses import replace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.archive import BAD_MEDIA_ATTEMPTS, archive_error
from reelay.domain.failure import FailureCode
from reelay.media.errors import BadMedia, MediaError, SourceGone, SourceUnavailable


def told_after(trouble: MediaError, *, attempt: int, noted: list[Any]) -> tuple[ApplicationError, list[Any]]:
    """What Temporal is told, and what is noted for the next try."""
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), attempt=attempt, heartbeat_details=noted)
    beats: list[Any] = []
    environment.on_heartbeat = lambda *details: beats.extend(details)
    error = environment.run(archive_error, trouble)
    assert isinstance(error, ApplicationError)
    return error, beats


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(SourceGone("410"), FailureCode.RESULT_EXPIRED), (BadMedia("html"), FailureCode.BAD_MEDIA)],
)
def test_media_that_stays_bad_is_given_up_after_three_tries(trouble: MediaError, code: FailureCode) -> None:
    noted: list[Any] = []
    for attempt in range(1, BAD_MEDIA_ATTEMPTS):
        error, noted = told_after(trouble, attempt=attempt, noted=noted)
        assert not error.non_retryable
    error, _ = told_after(trouble, attempt=BAD_MEDIA_ATTEMPTS, noted=noted)
    assert (error.non_retryable, error.type) == (True, code)


def test_tries_that_failed_for_other_reasons_are_not_counted() -> None:
    error, noted = told_after(SourceGone("410"), attempt=BAD_MEDIA_ATTEMPTS + 5, noted=[])
    assert (error.non_retryable, noted) == (False, [1])
    error, noted = told_after(SourceUnavailable("503"), attempt=BAD_MEDIA_ATTEMPTS + 6, noted=[1])
    assert (error.non_retryable, noted) == (False, [])
