"""The proof that the suite can fail can fail, too. `make chaos-proof` plants all of the bugs; here, the quick ones."""

import pytest

from tests.lab.proof.plants import PLANTS
from tests.lab.proof.proving import run

QUICK = ("M1", "M11")
CHECKS = [PLANTS[name].check for name in QUICK]


async def test_without_a_bug_the_checks_pass_and_nothing_is_caught() -> None:
    verdict = await run(*CHECKS)
    assert (verdict.passed, verdict.caught) == (True, False), verdict.output


@pytest.mark.parametrize("name", QUICK)
async def test_planted_bug_is_caught_by_its_check_and_by_no_other(name: str) -> None:
    verdict = await run(*CHECKS, plant=name)
    assert verdict.caught, verdict.output
    assert all(failure.startswith(PLANTS[name].check) for failure in verdict.failures)
