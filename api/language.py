"""In which language the caller of a request is answered."""

from typing import Annotated

from fastapi import Request

from api.dependency import dependency
from api.services import services_of
from domain.language import Language, preferred_language


def language_of(request: Request) -> Language:
    """By `Accept-Language`, else `REELAY_LANGUAGE`."""
    return preferred_language(request.headers.get("accept-language"), services_of(request.app).settings.language)


TheLanguage = Annotated[Language, dependency(language_of)]
