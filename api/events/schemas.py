"""What opens a stream, as clients see it."""

from api.http.wire import Wire


class EventToken(Wire):
    token: str
    """For `?token=` of an event stream, and for nothing else."""
    expires_in_seconds: int
    """To connect. A stream that is open stays open."""
