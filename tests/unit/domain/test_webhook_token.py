"""The token in a webhook URL is good for one attempt of one generation."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.webhook_token import make_token, read_token

SECRET = b"a secret"


@given(generation=st.uuids(), attempt=st.integers(1, 9999))
def test_own_token_names_its_attempt(generation: UUID, attempt: int) -> None:
    assert read_token(SECRET, generation, make_token(SECRET, generation, attempt)) == attempt


def test_token_of_another_generation_attempt_or_secret_is_refused() -> None:
    generation = uuid4()
    token = make_token(SECRET, generation, 1)

    assert read_token(SECRET, uuid4(), token) is None
    assert read_token(SECRET, generation, "2" + token[1:]) is None
    assert read_token(b"another", generation, token) is None


@given(token=st.text())
def test_nonsense_is_refused_without_an_error(token: str) -> None:
    assert read_token(SECRET, UUID(int=1), token) is None
