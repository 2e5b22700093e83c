"""The one file of a `multipart/form-data` body (RFC 7578), read piece by piece: none of it is kept."""

from collections.abc import AsyncIterator
from email.message import Message

from reelay.domain.messages import Sentence

LINE_END = b"\r\n"
LARGEST_HEAD = 16 * 1024
"""Bytes of a part's headers, or of what comes before the first part."""
LONGEST_BOUNDARY = 70


class WrongForm(ValueError):
    """The message is a Sentence."""


class FormFile:
    """The file is in `field`; a part by another name is refused."""

    def __init__(self, pieces: AsyncIterator[bytes], content_type: str, *, field: str) -> None:
        """`content_type`: the header's value. Raises: WrongForm."""
        self._field = field
        self._pieces = pieces
        boundary = str(_header("content-type", content_type).get_param("boundary", ""))
        if not 0 < len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
            raise WrongForm(Sentence("form_invalid", field=field))
        self._delimiter = b"\r\n--" + boundary.encode()
        self._unread = bytearray(LINE_END)  # the first delimiter has no line before it

    async def open(self) -> str | None:
        """The file's name, as it was sent. Raises: WrongForm."""
        await self._read_past(self._delimiter)
        await self._read_past(LINE_END)
        head = (await self._read_past(LINE_END * 2)).decode(errors="replace")
        lines = dict(line.partition(":")[::2] for line in head.splitlines())
        given = next((value for name, value in lines.items() if name.lower() == "content-disposition"), "")
        disposition = _header("content-disposition", given.strip())
        if disposition.get_param("name", header="content-disposition") != self._field:
            raise WrongForm(Sentence("form_invalid", field=self._field))
        return disposition.get_filename()

    async def content(self) -> AsyncIterator[bytes]:
        """The file, and then the end of the body. Raises: WrongForm."""
        while (end := self._unread.find(self._delimiter)) < 0:
            # The delimiter may have begun in what is held back.
            ready = len(self._unread) - len(self._delimiter) + 1
            if ready > 0:
                yield bytes(self._unread[:ready])
                del self._unread[:ready]
            await self._read_more()
        yield bytes(self._unread[:end])
        del self._unread[: end + len(self._delimiter)]
        while len(self._unread) < 2:
            await self._read_more()
        if not self._unread.startswith(b"--"):
            raise WrongForm(Sentence("form_invalid", field=self._field))
        async for _ in self._pieces:
            pass  # what may follow has no meaning

    async def _read_past(self, mark: bytes) -> bytes:
        """What comes before the mark."""
        while (end := self._unread.find(mark)) < 0:
            if len(self._unread) > LARGEST_HEAD:
                raise WrongForm(Sentence("form_invalid", field=self._field))
            await self._read_more()
        before = bytes(self._unread[:end])
        del self._unread[: end + len(mark)]
        return before

    async def _read_more(self) -> None:
        piece = await anext(self._pieces, None)
        if piece is None:
            raise WrongForm(Sentence("form_invalid", field=self._field))
        self._unread += piece


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value.replace("\r", " ").replace("\n", " ")
    return message
