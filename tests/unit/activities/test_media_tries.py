"""How often bad media is tried before it is given up."""

from dataclasses import replace

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.media_tries import MOST_TRIES, Tries, archive_error
from reelay.domain.failure import FailureCode
from reelay.media.errors import BadMedia, MediaError, SourceGone, SourceUnavailable


def told_after(trouble: MediaError, known: Tries, *, file: int = 0) -> tuple[ApplicationError, Tries | None]:
    """What Temporal is told, and what the next attempt finds; None: nothing new."""
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), heartbeat_details=known.details)
    beats: list[Tries] = []
    environment.on_heartbeat = lambda *details: beats.append(Tries(*details))
    error = environment.run(lambda: archive_error(trouble, file=file))
    assert isinstance(error, ApplicationError)
    return error, beats[-1] if beats else None


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(SourceGone("410"), FailureCode.RESULT_EXPIRED), (BadMedia("html"), FailureCode.BAD_MEDIA)],
)
def test_media_that_stays_bad_is_given_up_after_three_tries(trouble: MediaError, code: FailureCode) -> None:
    known: Tries | None = Tries()
    for _ in range(1, MOST_TRIES):
        assert known is not None
        error, known = told_after(trouble, known)
        assert not error.non_retryable
    assert known is not None
    error, _ = told_after(trouble, known)
    assert (error.non_retryable, error.type) == (True, code)


def test_tries_that_failed_for_other_reasons_are_not_counted() -> None:
    error, known = told_after(SourceUnavailable("503"), Tries(bad=MOST_TRIES - 1))
    assert (error.non_retryable, known) == (False, None)


def test_a_worker_that_died_is_not_counted_among_the_tries_that_found_it_bad() -> None:
    error, known = told_after(SourceGone("410"), Tries(bad=1, deaths=MOST_TRIES - 1))
    assert (error.non_retryable, known) == (False, Tries(bad=2, deaths=MOST_TRIES - 1))


def test_each_file_has_its_own_tries() -> None:
    error, known = told_after(SourceGone("410"), Tries(bad=MOST_TRIES - 1, file=0), file=1)
    assert (error.non_retryable, known) == (False, Tries(bad=1, file=1))


def test_files_that_fail_by_turns_do_not_fail_for_ever() -> None:
    known: Tries | None = Tries()
    for file in [0, 1, 0]:
        assert known is not None
        error, known = told_after(BadMedia("html"), known, file=file)
        assert not error.non_retryable
    assert known is not None
    error, _ = told_after(BadMedia("html"), known, file=1)
    assert error.non_retryable


def test_three_deaths_are_told_from_two_attempts_since_a_first_one_stores_nothing() -> None:
    assert Tries().should_it_die().should_it_die() == Tries(deaths=MOST_TRIES)
    assert Tries(bad=1).should_it_die() == Tries(bad=1, deaths=1), "the first told what was bad"
