import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.providers.strict_json import parse_json


@pytest.mark.fault("W16")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b'{"a": "\x00"}',
        b"NaN",
        b'{"a": -Infinity}',
        b"1e999",
        b"[" * 65 + b"]" * 65,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b"{} {}",
    ],
)
def test_what_is_not_storable_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is the promise, the text is the standard library's
        parse_json(raw)


@pytest.mark.fault("W16")
def test_nul_and_lone_surrogates_are_removed_from_values_and_names() -> None:
    assert parse_json(rb'{"a\u0000": ["x\u0000y", "\ud800z", "\ud83d\ude00"]}') == {"a": ["xy", "z", "\U0001f600"]}


def test_not_a_number_may_be_read_as_null() -> None:
    assert parse_json(b"[NaN, Infinity, 1e999, 1.5]", nan_as_null=True) == [None, None, None, 1.5]


@given(st.binary() | st.text().map(lambda text: json.dumps({"a": text}).encode()))
def test_only_value_errors_escape_and_the_rest_can_be_encoded(raw: bytes) -> None:
    try:
        value = parse_json(raw)
    except ValueError:
        return
    assert b"\\u0000" not in json.dumps(value, ensure_ascii=False).encode()
