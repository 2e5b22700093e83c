"""A link to media opens one file of one user, for one to two hours, and names for what it was handed out."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.access_pass import AccessPass, Holder
from reelay.domain.generation import media_address
from reelay.domain.media_link import PERIOD_SECONDS, link_key, read_media_signature, sign_media_address

SECRET = b"a secret"
ANN, ADDRESS = Holder(user_id=uuid4(), key_hash=b"k" * 32), media_address(uuid4(), "video.mp4")


def parts(link: str) -> tuple[str, int]:
    """Its signature and its end."""
    query = parse_qs(urlsplit(link).query)
    return query["signature"][0], int(query["expires"][0])


@given(user=st.uuids(), key_hash=st.sampled_from([b"", b"k" * 32]), now=st.integers(0, 10**10))
def test_link_is_good_for_one_to_two_hours(user: UUID, key_hash: bytes, now: int) -> None:
    holder = Holder(user_id=user, key_hash=key_hash)
    signature, expires = parts(sign_media_address(link_key(SECRET), holder, ADDRESS, now=now))
    made = AccessPass(user_id=user, key_hash=key_hash, issued_at=now // PERIOD_SECONDS * PERIOD_SECONDS)

    assert PERIOD_SECONDS < expires - now <= 2 * PERIOD_SECONDS
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=now) == made
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=expires - 0.1) == made
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=expires) is None


def test_link_stays_the_same_within_the_hour() -> None:
    hour = 500_000 * PERIOD_SECONDS
    links = [sign_media_address(link_key(SECRET), ANN, ADDRESS, now=hour + second) for second in (0, 1.5, 3599.9, 3600)]
    assert links[0] == links[1] == links[2] != links[3]


def test_link_after_a_sign_out_is_issued_after_it() -> None:
    now = 500_000 * PERIOD_SECONDS + 1800
    signature, expires = parts(sign_media_address(link_key(SECRET), replace(ANN, signed_out_at=now), ADDRESS, now=now))
    again = read_media_signature(SECRET, signature, ADDRESS, expires, now=now)
    assert again is not None
    assert again.issued_at == now


def test_link_is_good_for_nothing_else() -> None:
    signature, expires = parts(sign_media_address(link_key(SECRET), ANN, ADDRESS, now=0))
    others = sign_media_address(link_key(SECRET), Holder(user_id=uuid4(), key_hash=b"k" * 32), ADDRESS, now=0)
    mixed = parts(others)[0][:20] + signature[20:]

    assert read_media_signature(b"another", signature, ADDRESS, expires, now=0) is None
    assert read_media_signature(SECRET, signature, ADDRESS + "x", expires, now=0) is None
    assert read_media_signature(SECRET, signature, ADDRESS, expires + 1, now=0) is None
    assert read_media_signature(SECRET, mixed, ADDRESS, expires, now=0) is None


@given(signature=st.text(), expires=st.integers())
def test_nonsense_is_refused_without_an_error(signature: str, expires: int) -> None:
    assert read_media_signature(SECRET, signature, ADDRESS, expires, now=0) is None
