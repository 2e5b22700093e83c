"""In which language the caller of a request is answered."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelay.domain.language import Language, preferred_language

LOCALIZED = ("application/json", "application/problem+json", "text/event-stream")
"""Content types of answers that people read. Media has no language of ours."""


def language_of(request: Request) -> Language:
    """By `Accept-Language`, else `REELAY_LANGUAGE`."""
    return preferred_language(request.headers.get("accept-language"), request.app.state.language)


class LanguageHeaders:
    """Adds to answers with text which language they are in, and that it depends on `Accept-Language`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            return await self._app(scope, receive, send)

        async def send_with_language(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", LOCALIZED[0]).partition(";")[0] in LOCALIZED:
                    headers["content-language"] = language_of(Request(scope))
                    headers.add_vary_header("accept-language")
            await send(message)

        await self._app(scope, receive, send_with_language)


async def _language(request: Request) -> Language:
    return language_of(request)


RequestLanguage = Annotated[Language, Depends(_language)]
