"""Every fault of the catalogue has a test, or a written reason, or is known to be open."""

import pytest

from tests.lab.reliability.catalogue import Catalogue, Proof, proofs


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.read()


@pytest.fixture(scope="module")
def found() -> list[Proof]:
    return proofs()


def test_every_line_has_one_answer(catalogue: Catalogue, found: list[Proof]) -> None:
    proven = {proof.line for proof in found}
    answers = [*proven, *catalogue.cannot_apply, *catalogue.open]

    assert sorted(answers) == sorted(catalogue.lines)
