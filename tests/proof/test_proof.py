"""The proof that the suite can fail can fail, too. `make chaos-proof` plants all of the bugs; here, the quick ones."""

import pytest

from tests.proof.plants import PLANTS
from tests.proof.proving import run

QUICK = ("M1", "M11")


async def test_without_a_bug_the_checks_pass() -> None:
    assert (await run(*(PLANTS[name].check for name in QUICK))).passed


@pytest.mark.parametrize("name", QUICK)
async def test_planted_bug_is_caught(name: str) -> None:
    verdict = await run(PLANTS[name].check, plant=name)
    assert verdict.caught, verdict.output


async def test_bug_that_a_check_does_not_concern_is_not_caught_by_it() -> None:
    assert not (await run(PLANTS["M1"].check, plant="M11")).caught
