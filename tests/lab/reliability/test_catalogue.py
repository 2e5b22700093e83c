"""Every fault of the catalogue has a test, or a written reason, or is known to be open."""

import pytest

from tests.lab.reliability.catalogue import DOCUMENT, Catalogue, Proof, proofs, table, with_table


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


def test_reasons_are_sentences(catalogue: Catalogue) -> None:
    assert all(len(reason.split()) >= 5 for reason in catalogue.cannot_apply.values())


def test_the_document_shows_what_the_tests_say(catalogue: Catalogue, found: list[Proof]) -> None:
    """`make faults` writes it."""
    document = DOCUMENT.read_text()

    assert with_table(document, table(catalogue, found)) == document
