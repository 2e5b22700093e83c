"""Where webhooks may be sent to."""

from api.http.problems import InvalidParams
from reelay.domain.messages import Sentence
from reelay.outgoing.sender import ReceiverPolicy
from reelay.settings import Settings


def check_webhook_url(settings: Settings, url: str, *, field: str) -> None:
    """Raises: InvalidParams. Where its name leads to is looked at with each attempt."""
    if ReceiverPolicy(is_development=settings.is_development).problem_of(url):
        error = {"field": field, "message": Sentence("field_not_receiver"), "limit": None, "value": url[:100]}
        raise InvalidParams(Sentence("request_invalid"), errors=[error])
