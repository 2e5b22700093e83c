from uuid import uuid4

import pytest

from api.generations.progress import error_advice, error_code, error_message
from reelay.db.tables import GenerationJob
from reelay.domain.failure import FailureCode
from reelay.domain.generation import JobType, ProviderName, Status
from reelay.domain.language import Language


def failed(code: str | None) -> GenerationJob:
    return GenerationJob(
        id=uuid4(),
        user_id=uuid4(),
        job_type=JobType.VIDEO,
        provider=ProviderName.FAL,
        model="a model",
        endpoint="an/endpoint",
        input_params={},
        arguments={},
        timing={},
        status=Status.FAILED,
        error_code=code,
        error_message="Timed out.",
    )


@pytest.mark.parametrize(("code", "shown"), [("E_TIMEOUT", "other"), (FailureCode.BAD_MEDIA, "bad_media"), ("", None)])
def test_code_of_another_application_is_shown_as_other(code: str, shown: str | None) -> None:
    assert error_code(failed(code)) == shown


def test_text_of_another_application_is_shown_as_it_is() -> None:
    assert error_message(failed("E_TIMEOUT"), Language.FRENCH, {}) == "Timed out."
    assert error_advice(failed("E_TIMEOUT"), Language.ENGLISH)
