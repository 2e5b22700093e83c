"""An authority that says when something was signed (RFC 3161), asked by the operator's way out."""

from dataclasses import dataclass

import httpx

from reelay.media.errors import NotSigned

LARGEST_ANSWER = 64 * 1024
"""Bytes. One with all certificates takes five to ten thousand."""
TIMEOUT = httpx.Timeout(30, connect=10)


@dataclass(frozen=True)
class TimeStampAuthority:
    url: str
    client: httpx.AsyncClient

    async def answer_to(self, query: bytes) -> bytes:
        """What it answers is checked by who asks. Raises: NotSigned."""
        headers = {"content-type": "application/timestamp-query"}
        try:
            answer = await self.client.post(self.url, content=query, headers=headers, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            raise NotSigned(f"the time-stamping authority does not answer: {type(error).__name__}") from error
        if answer.status_code != httpx.codes.OK:
            raise NotSigned(f"the time-stamping authority answers {answer.status_code}")
        if len(answer.content) > LARGEST_ANSWER:
            raise NotSigned(f"the time-stamping authority answers more than {LARGEST_ANSWER} bytes")
        return answer.content
