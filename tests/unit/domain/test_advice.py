import pytest

from reelay.domain.action_required import ActionRequired
from reelay.domain.failure import FailureCode
from reelay.domain.language import Language
from reelay.domain.messages import message


@pytest.mark.parametrize("code", FailureCode)
def test_each_failure_has_advice_for_operators_and_for_users(code: FailureCode) -> None:
    assert code.advice
    assert message(f"advice_{code}", Language.FRENCH)


@pytest.mark.parametrize("reason", ActionRequired)
def test_each_action_has_its_advice(reason: ActionRequired) -> None:
    assert reason.advice


def test_operators_read_the_same_about_a_failure_everywhere() -> None:
    assert ActionRequired("unknown_outcome").advice == FailureCode.UNKNOWN_OUTCOME.advice
