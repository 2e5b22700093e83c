"""How long the API waits for the servers behind it, before it answers without them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """In seconds. The defaults are the product's; a test in which a server is slow but not away has longer ones."""

    connection: int = 5
    """To Postgres, from the pool or a new one."""
    statement: int = 5
    """To a caller, a database that takes longer is one that is away: 503, and the session is free for the next."""
    quota: float = 0.5
    """Afterwards the request is admitted uncounted."""
    query: float = 1.5
    """Of a living workflow's status; afterwards the row answers."""
    command: float = 3.0
    endpoint: float = 20.0
    """For what a provider publishes of an endpoint, by way of a worker: at the first mention of it in a day."""
    """To start, cancel or poll a job. The SDK's own retries go on for 6-10 s while Temporal is down."""
    bill: float = 25.0
    """For a pass over the provider's bill, which goes on when it takes longer."""
    readiness: float = 2.0
    signal: float = 1.0
    """Of a webhook's report to its workflow. Providers wait 5-15 s."""
    webhook_statement: float = 0.8
    """A webhook needs Postgres twice at most: with the signal's second, three are not used up."""


TIMEOUTS = Timeouts()
