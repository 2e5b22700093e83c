"""A form whose only field is a file, sent while the file is read."""

from collections.abc import AsyncIterable, AsyncIterator
from uuid import uuid4


def file_form(
    field: str, pieces: AsyncIterable[bytes], *, name: str, content_type: str, size_bytes: int
) -> tuple[dict[str, str], AsyncIterator[bytes]]:
    """The headers of the request, and its body."""
    boundary = uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield head
        async for piece in pieces:
            yield piece
        yield tail

    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + size_bytes + len(tail)),
    }
    return headers, body()
