"""Every fault of the list has a test, or a written reason, or is known to be open."""

import pytest

from tests.lab.reliability.faults import Faults, Proof, proofs


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults.read()


@pytest.fixture(scope="module")
def found() -> list[Proof]:
    return proofs()


def test_every_line_has_one_answer(faults: Faults, found: list[Proof]) -> None:
    proven = {proof.line for proof in found}
    answers = [*proven, *faults.cannot_apply, *faults.open]

    assert sorted(answers) == sorted(faults.lines)
