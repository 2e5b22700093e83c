"""Which process needs which secret. It reads no other one, so that it need not be given it."""

from collections.abc import Mapping
from enum import StrEnum


class Process(StrEnum):
    """One of ours that runs by itself. `reelay worker` is one of the next three, or several, by its `--queues`."""

    API = "api"
    GENERATIONS = "generations"
    TRANSFERS = "transfers"
    WEBHOOKS = "webhooks"
    MIGRATION = "migrate"


SERVING = frozenset({Process.API, Process.GENERATIONS, Process.TRANSFERS, Process.WEBHOOKS})
WORKERS = SERVING - {Process.API}
AT_PROVIDERS = frozenset({Process.GENERATIONS, Process.TRANSFERS})
"""Who calls them."""

ARCHIVING = frozenset({Process.API, Process.TRANSFERS})
"""Who keeps files: those that users bring, and those that providers make."""

SECRETS: Mapping[str, frozenset[Process]] = {
    "DATABASE_URL": frozenset({Process.API, Process.MIGRATION}),
    "DATABASE_SERVICE_URL": SERVING | {Process.MIGRATION},
    "DATABASE_ADMIN_URL": frozenset({Process.MIGRATION}),
    "DATABASE_LISTEN_URL": frozenset({Process.API}),
    "API_KEY_PEPPER": frozenset({Process.API}),
    "JWT_SECRET": frozenset({Process.API}),
    "PAYLOAD_KEYS": SERVING,
    "FAL_KEY": AT_PROVIDERS,
    "FAL_KEY_NEW": AT_PROVIDERS,
    "FAL_ADMIN_KEY": frozenset({Process.TRANSFERS}),
    "FAL_WEBHOOK_SECRET": frozenset({Process.API, Process.GENERATIONS}),
    "REPLICATE_API_TOKEN": AT_PROVIDERS,
    "REPLICATE_WEBHOOK_SECRET": frozenset({Process.API}),
    "WEBHOOK_SECRET": frozenset({Process.API, Process.GENERATIONS}),
    "OUTGOING_WEBHOOK_SECRET": frozenset({Process.API, Process.WEBHOOKS}),
    "CONTENT_CREDENTIALS_KEY": frozenset({Process.TRANSFERS}),
    # Those below are read by the libraries of Temporal, the object store and OpenTelemetry.
    "TEMPORAL_API_KEY": SERVING | {Process.MIGRATION},
    "TEMPORAL_TLS_CLIENT_KEY_PATH": SERVING | {Process.MIGRATION},
    "AWS_ACCESS_KEY_ID": frozenset({Process.API, Process.TRANSFERS}),
    "AWS_SECRET_ACCESS_KEY": frozenset({Process.API, Process.TRANSFERS}),
    "OTEL_EXPORTER_OTLP_HEADERS": SERVING,
}
"""By the variable that holds it. `DATABASE_ADMIN_URL` stands in for a `DATABASE_SERVICE_URL` that is not set."""


def is_read_by(variable: str, processes: frozenset[Process]) -> bool:
    """Whether one of the processes reads it. What is no secret, all do."""
    return bool(SECRETS.get(variable, processes) & processes)
