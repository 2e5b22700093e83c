import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.media.serve import RangeNotSatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-499", 0, 500),
        ("bytes=500-", 500, 1000),
        ("bytes=900-5000", 900, 1000),
        ("bytes=-200", 800, 1000),
        ("bytes=-5000", 0, 1000),
        ("Bytes=999-", 999, 1000),
    ],
)
def test_one_range_is_served(header: str, start: int, end: int) -> None:
    found = parse_range(header, 1000)
    assert found is not None
    assert (found.start, found.end, found.length) == (start, end, end - start)
    assert found.content_range == f"bytes {start}-{end - 1}/1000"


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
def test_a_range_without_a_byte_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refusal:
        parse_range(header, 1000)
    assert refusal.value.content_range == "bytes */1000"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=0-1,5-6",
        "items=0-1",
        "bytes=a-b",
        "bytes=٣-٤",
        "bytes=--5",
    ],
)
def test_anything_else_gets_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 1000) is None


@given(header=st.from_regex(r"bytes=[0-9]{0,30}-[0-9]{0,30}(,[0-9]*-)?", fullmatch=True), size=st.integers(0, 5000))
def test_a_range_is_always_inside_the_file(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except RangeNotSatisfiable:
        return
    assert found is None or 0 <= found.start < found.end <= size
