"""The session cookie of a Supabase front, as @supabase/ssr and the auth helpers before it keep it.

`sb-<project>-auth-token` holds the session as JSON, percent-encoded, or as `base64-` and base64url; a long one is cut
into `....0`, `....1` and so on. The session is an object with `access_token`, or an array that begins with it.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping
from itertools import count, takewhile
from urllib.parse import unquote, urlsplit

from starlette.requests import Request

from api.http.problems import Forbidden
from reelay.providers.strict_json import parse_json
from reelay.settings import Settings

NAME = re.compile(r"(sb-.+-auth-token)(?:\.\d{1,3})?")
BASE64_MARK = "base64-"
MAX_SESSIONS = 5
"""A machine of a developer has one of every project that was opened at this address."""
SAFE_METHODS = ("GET", "HEAD")


def session_tokens(cookies: Mapping[str, str]) -> list[str]:
    """The access tokens of all sessions in the cookies, one per project."""
    projects = dict.fromkeys(match[1] for match in map(NAME.fullmatch, cookies) if match)
    found = [_access_token(_join_chunks(cookies, project)) for project in projects]
    return [token for token in found if token][:MAX_SESSIONS]


def _join_chunks(cookies: Mapping[str, str], name: str) -> str:
    chunks = (cookies.get(f"{name}.{number}") for number in count())
    return cookies.get(name) or "".join(takewhile(bool, chunks))  # type: ignore[arg-type]  # no None among the taken


def _access_token(value: str) -> str | None:
    text = unquote(value)
    try:
        if text.startswith(BASE64_MARK):
            encoded = text.removeprefix(BASE64_MARK)
            session = parse_json(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        else:
            session = parse_json(text.encode())
    except ValueError:
        return None
    if isinstance(session, list):
        session = {"access_token": session[0]} if session else {}
    token = session.get("access_token") if isinstance(session, dict) else None
    return token if isinstance(token, str) else None


def require_allowed_page(request: Request, settings: Settings) -> None:
    """A browser sends its cookies along with what any page asks for: only pages that may act for their user do so.

    Raises: Forbidden.
    """
    if request.method not in SAFE_METHODS:
        require_page_of(request, settings, settings.cors_origins)


def require_page_of(request: Request, settings: Settings, origins: Collection[str]) -> None:
    """Of one of these origins, or of our own. Raises: Forbidden."""
    if request.headers.get("sec-fetch-site") == "same-origin":
        return
    sender = request.headers.get("origin") or origin_in(request.headers.get("referer", ""))
    ours = {origin_in(str(request.base_url)), origin_in(settings.app_url or "")} - {""}
    if sender not in ours.union(origins):
        raise Forbidden(
            f"With the session cookie, this takes a page of an allowed origin; it came from {sender[:100] or 'none'}. "
            "Send the access token as `Authorization: Bearer <token>` instead."
        )


def origin_in(url: str) -> str:
    """`scheme://host[:port]`, empty when there is none in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}" if parts.scheme and parts.netloc else ""
