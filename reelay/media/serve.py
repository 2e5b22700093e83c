"""HTTP ranges (RFC 9110, section 14) of an archived file. Pure: the route is the API's."""

import re
from dataclasses import dataclass

# Eighteen digits are an exabyte; a header with more is treated as one that we do not understand.
SINGLE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """No byte of the file is in the range: answer 416 with this `Content-Range`."""

    def __init__(self, size: int) -> None:
        super().__init__(f"no byte of {size} is in the range")
        self.content_range = f"bytes */{size}"


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """Bytes `start` up to, not including, `end` of a file of `size` bytes: what `Storage.read_range` takes."""

    start: int
    end: int
    size: int

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The one range that a `Range` header asks for; None means: answer 200 with the whole file.

    That is also the answer to several ranges, other units and nonsense, as the RFC allows and asks.
    Raises: RangeNotSatisfiable.
    """
    match = SINGLE_RANGE.fullmatch(header or "")
    if match is None:
        return None
    first, last = match.groups()
    if first:
        return _from_first(int(first), int(last) if last else None, size)
    return _suffix(int(last), size) if last else None


def _from_first(first: int, last: int | None, size: int) -> ByteRange | None:
    if last is not None and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(size)
    return ByteRange(start=first, end=size if last is None else min(last + 1, size), size=size)


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0 or size == 0:
        raise RangeNotSatisfiable(size)
    return ByteRange(start=max(size - length, 0), end=size, size=size)
