"""A link to media opens one file of one user, for one to two hours."""

from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.generation import media_address
from reelay.domain.media_link import PERIOD_SECONDS, read_media_signature, sign_media_address

SECRET = b"a secret"
USER, ADDRESS = uuid4(), media_address(uuid4(), "video.mp4")


def parts(link: str) -> tuple[str, int]:
    """Its signature and its end."""
    query = parse_qs(urlsplit(link).query)
    return query["signature"][0], int(query["expires"][0])


@given(user=st.uuids(), now=st.integers(0, 10**10))
def test_link_is_good_for_one_to_two_hours(user: UUID, now: int) -> None:
    signature, expires = parts(sign_media_address(SECRET, user, ADDRESS, now=now))

    assert PERIOD_SECONDS < expires - now <= 2 * PERIOD_SECONDS
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=now) == user
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=expires - 0.1) == user
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=expires) is None


def test_link_stays_the_same_within_the_hour() -> None:
    hour = 500_000 * PERIOD_SECONDS
    links = [sign_media_address(SECRET, USER, ADDRESS, now=hour + second) for second in (0, 1.5, 3599.9, 3600)]
    assert links[0] == links[1] == links[2] != links[3]


def test_link_is_good_for_nothing_else() -> None:
    signature, expires = parts(sign_media_address(SECRET, USER, ADDRESS, now=0))
    others = sign_media_address(SECRET, uuid4(), ADDRESS, now=0)
    mixed = parts(others)[0][:20] + signature[20:]

    assert read_media_signature(b"another", signature, ADDRESS, expires, now=0) is None
    assert read_media_signature(SECRET, signature, ADDRESS + "x", expires, now=0) is None
    assert read_media_signature(SECRET, signature, ADDRESS, expires + 1, now=0) is None
    assert read_media_signature(SECRET, mixed, ADDRESS, expires, now=0) is None


@given(signature=st.text(), expires=st.integers())
def test_nonsense_is_refused_without_an_error(signature: str, expires: int) -> None:
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=0) is None
