"""Unknown query parameters are refused: a misspelt filter would otherwise answer with everything."""

from typing import Any

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from api.http.problems import InvalidParams
from reelay.catalog.errors import did_you_mean, shown
from reelay.domain.messages import Sentence

STRICT = "/api/"
EXEMPT = ("/api/webhooks/", "/api/media/")
MOST_NAMED = 20
ANY_KEY = ".KEY"


class KnownQueryParameters:
    """A dependency of the whole application: it holds each documented route under `/api/` to what the document names.

    Exempt are:
    - `/api/webhooks/...`, and the undocumented paths where operators have these routes a second time: providers,
      tunnels and proxies may add parameters to the URLs that they call, and no report may be lost for it;
    - `/api/media/...`: players and caches add parameters to the links that we sign; the signature covers ours;
    - what is no API: the pages and their files, `/docs`, health and metrics.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], list[str] | None] = {}
        """By method and path."""

    async def __call__(self, request: Request) -> None:
        """Raises: InvalidParams, naming the unknown parameters and the known ones."""
        if not request.query_params:
            return
        known = self._known_to(request.scope["route"], request.method)
        if known is None:
            return
        unknown = [name for name in request.query_params if not is_known(name, known)]
        if unknown:
            errors = [unknown_parameter(name, known) for name in unknown[:MOST_NAMED]]
            raise InvalidParams(Sentence("request_invalid"), errors=errors)

    def _known_to(self, route: APIRoute, method: str) -> list[str] | None:
        key = method, route.path
        if key not in self._known:
            self._known[key] = known_parameters(route)
        return self._known[key]


def is_known(name: str, known: list[str]) -> bool:
    """`metadata.KEY` stands for any name in the place of KEY."""
    return name in known or any(each.endswith(ANY_KEY) and name.startswith(each.removesuffix("KEY")) for each in known)


def known_parameters(route: APIRoute) -> list[str] | None:
    """What the route and its dependencies declare; None where unknown ones are let through."""
    if not route.include_in_schema or not is_strict(route.path):
        return None
    declared = get_flat_params(route.dependant)
    return [each.alias for each in declared if isinstance(each.field_info, params.Query)]


def is_strict(path: str) -> bool:
    return path.startswith(STRICT) and not path.startswith(EXEMPT)


def unknown_parameter(name: str, known: list[str]) -> dict[str, Any]:
    """Without the value: it may be a key that somebody took for a parameter."""
    message = (
        Sentence("parameter_unknown", known=", ".join(known), hint=did_you_mean(name, known))
        if known
        else Sentence("parameter_none")
    )
    return {"field": shown(name), "message": message, "limit": known, "value": None}
