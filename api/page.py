"""The page at `/` and the operators' at `/admin`: files of `web/`, and the client module on which they are built."""

from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from html import escape
from os import PathLike, stat, stat_result
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from anyio import Path as AsyncPath
from fastapi import APIRouter, Header, Response, status
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from api.http.language import RequestLanguage
from api.services import Services, ServicesDep
from reelay.domain.language import Language
from reelay.media.errors import MediaError
from reelay.media.storage import Storage

PACKAGED = Path(__file__).resolve().parent / "web"
"""Where a wheel has them: `force-include` in pyproject.toml."""
ROOT = PACKAGED.parent.parent
WEB, CLIENT = (
    (PACKAGED, PACKAGED / "reelay.js") if PACKAGED.is_dir() else (ROOT / "web", ROOT / "clients" / "js" / "reelay.js")
)
RUNS = "{{runs}}"
"""In the pages: where the runs are in the Temporal UI."""
LANGUAGE = "{{language}}"
"""In the users' page: the language that it is in."""

router = APIRouter(include_in_schema=False)

IfNoneMatch = Annotated[str | None, Header()]


@router.get("/")
async def page(services: ServicesDep, language: RequestLanguage, if_none_match: IfNoneMatch = None) -> Response:
    """In the language that the browser asks for: `web/messages.js` goes by the page's `lang`."""
    media = await media_origin(services.storage)
    answer = await render_page("index.html", services, if_none_match, media=media, language=language)
    answer.headers.update({"content-language": language, "vary": "accept-language"})
    return answer


@router.get("/admin")
async def operators_page(services: ServicesDep, if_none_match: IfNoneMatch = None) -> Response:
    """For everybody to load: what it shows, it asks with an operator's key."""
    return await render_page("admin.html", services, if_none_match)


async def render_page(
    name: str,
    services: Services,
    if_none_match: str | None,
    *,
    media: str = "",
    language: Language = Language.ENGLISH,
) -> Response:
    """Asked for again each time, and sent again only when it has changed."""
    text = await AsyncPath(WEB / name).read_text()
    body = text.replace(RUNS, escape(runs_address(services))).replace(LANGUAGE, language).encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = page_headers(media) | {"etag": etag}
    if etag in (if_none_match or "").replace("W/", "").split(", "):
        return Response(None, status.HTTP_304_NOT_MODIFIED, headers)
    return Response(body, status.HTTP_200_OK, headers, "text/html")


class PageFiles(StaticFiles):
    """What the pages load: the files of `web/`, and the client module on which they are built."""

    def __init__(self) -> None:
        super().__init__(directory=WEB)

    def lookup_path(self, path: str) -> tuple[str, stat_result | None]:
        if path == CLIENT.name:
            return str(CLIENT), stat(CLIENT)
        return super().lookup_path(path)

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers.update(page_headers())
        return answer


def page_headers(media: str = "") -> dict[str, str]:
    return {
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "content-security-policy": policy(media),
    }


def policy(media: str) -> str:
    """Nothing but what we serve, and media from where the archive's links lead."""
    ours = f"'self' {media}".strip()
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src {ours}; media-src {ours}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


async def media_origin(storage: Storage) -> str:
    """Where the archive's links lead, which a policy has to name; empty when we serve the files."""
    with suppress(MediaError):
        if link := await storage.presign("page", timedelta(minutes=1)):
            parts = urlsplit(link)
            return f"{parts.scheme}://{parts.netloc}"
    return ""


def runs_address(services: Services) -> str:
    """A run's address in the Temporal UI up to its job id; empty when nobody said where that is."""
    ui = services.settings.temporal_ui_url
    return f"{ui}/namespaces/{services.temporal.namespace}/workflows/generation-" if ui else ""
