"""Each way in which a job's status is told knows all of them."""

from pydantic.alias_generators import to_snake

from api.batches.schemas import StatusCounts
from api.doors.fal.statuses import word_for
from api.doors.openai.videos import STATUSES
from api.generations.schemas import StatusFilter
from reelay.domain.generation import ACTIVE, FINAL, Status


def test_every_status_is_told_at_every_door() -> None:
    assert STATUSES.keys() == set(Status)
    assert {status: word_for(status) for status in Status} == {
        Status.PENDING: "IN_QUEUE",
        Status.SUBMITTED: "IN_QUEUE",
        Status.IN_PROGRESS: "IN_PROGRESS",
        **dict.fromkeys(FINAL, "COMPLETED"),
    }


def test_every_status_can_be_asked_for_and_is_counted() -> None:
    assert {status.value for status in Status} <= {each.value for each in StatusFilter}
    assert set(StatusFilter.ACTIVE.statuses) == ACTIVE
    assert {to_snake(name) for name in StatusCounts.model_fields} == {status.value for status in Status}
