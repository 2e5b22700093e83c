"""Of fal's endpoints as its official client types them, nearly all work: their documents become models, models take
what fits and refuse what does not, and every file of an answer is found."""

from collections.abc import Iterator
from typing import Any

import pytest

from reelay.catalog.endpoints import Endpoint, UnusableDocument, model_of
from reelay.catalog.errors import InvalidInput
from reelay.providers.media_mapping import media_at, media_of
from tests.acceptance.fal_types.corpus import Examples, Schema, read_corpus, wrong

GOAL = 0.99


def troubles(endpoint: str, document: Schema, schemas: Schema) -> Iterator[str]:
    """What does not work with the endpoint."""
    taken = document["paths"][f"/{endpoint}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    answers = document["paths"][f"/{endpoint}/requests/{{request_id}}"]["get"]["responses"]["200"]
    made = answers["content"]["application/json"]["schema"]
    try:
        model = model_of(Endpoint(id=endpoint, openapi=document, category="unknown"), None)
    except UnusableDocument as error:
        yield f"its document is refused: {error}"
        return
    for full in (False, True):
        given = Examples(schemas, full=full).of(taken)
        try:
            if model.arguments(given) != given:
                yield "what fits is changed"
        except InvalidInput as error:
            yield f"what fits is refused: {error}"
    for name, value in wrong(taken, schemas):
        try:
            model.arguments(Examples(schemas, full=False).of(taken) | {name: value})
            yield f"what does not fit is taken: {name}"
        except InvalidInput as error:
            if name not in {each.field.partition("[")[0] for each in error.errors}:
                yield f"another field is named than {name}"
    examples = Examples(schemas, full=True)
    answer = examples.of(made)
    found = media_at(answer, model.outputs) if model.outputs is not None else media_of(answer)
    if missing := set(examples.files) - {media.url for media in found}:
        yield f"{len(missing)} of {len(examples.files)} files are not found"


def test_nearly_all_of_fals_endpoints_work(capsys: pytest.CaptureFixture[str]) -> None:
    documents, schemas = read_corpus()
    found: dict[str, list[str]] = {
        endpoint: list(troubles(endpoint, document, schemas)) for endpoint, document in documents.items()
    }
    broken: dict[str, Any] = {endpoint: lines for endpoint, lines in found.items() if lines}
    share = 1 - len(broken) / len(documents)
    with capsys.disabled():
        print(f"\n{share:.2%} of {len(documents)} endpoints of fal work")  # noqa: T201
        for endpoint, lines in broken.items():
            print(f"  {endpoint}: {'; '.join(lines)}")  # noqa: T201
    assert len(documents) > 1000
    assert share >= GOAL
