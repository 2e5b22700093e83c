"""No line of the documents is left without an answer."""

import pytest

from tests.acceptance.documents.conformance import Document, Line, Verdict, documents
from tests.unit.test_docs import names_in

DOCUMENTS = documents()
LINES = [line for document in DOCUMENTS for line in document.line]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_is_not_literal_has_its_reason(document: Document) -> None:
    assert not [line.item for line in document.line if line.verdict is not Verdict.LITERAL and not line.reason]


def test_nearly_all_of_what_the_documents_say_is_so() -> None:
    assert sum(line.verdict.conforms for line in LINES) >= 0.97 * len(LINES)


@pytest.mark.parametrize("line", [line for line in LINES if line.test], ids=lambda line: line.item)
def test_the_test_that_shows_it_is_there(line: Line) -> None:
    file, _, name = line.test.partition("::")
    assert name.partition("[")[0] in names_in(file)
