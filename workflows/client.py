"""The connection to Temporal.

Exception
└── NotConnected   the server does not answer, or does not take us
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio.client import Client
from temporalio.runtime import Runtime

from reelay.payload_keys import PayloadKeys
from reelay.temporal_config import connection_config, connection_trouble
from reelay.tracing.spans import is_on
from workflows.converter import data_converter_with

if TYPE_CHECKING:
    from temporalio.contrib.opentelemetry import TracingInterceptor


class NotConnected(Exception):
    """The message names the server, and what to look at."""


async def connect(
    keys: PayloadKeys | None = None,
    *,
    lazy: bool = False,
    runtime: Runtime | None = None,
    address: str | None = None,
) -> Client:
    """A client by `TEMPORAL_*`, with the one data converter. A lazy one connects at its first call.

    `address`: of another server than `TEMPORAL_ADDRESS`.

    `keys`: those of the settings, for whoever starts, reads or does work.
    `runtime`: where its metrics, and those of its workers, go; else nowhere.

    Raises: UnusableConnection, NotConnected.
    """
    config = connection_config(address)
    try:
        return await Client.connect(
            **config,
            data_converter=data_converter_with(keys),
            interceptors=tracing_interceptors(),
            lazy=lazy,
            runtime=runtime,
        )
    except RuntimeError as error:
        trouble, advice = connection_trouble(error)
        raise NotConnected(f"Temporal at {config['target_host']} {trouble}: {advice}") from error


def tracing_interceptors() -> Sequence["TracingInterceptor"]:
    """None unless traces are on. Workers take over those of their client: the trace goes on in headers."""
    if not is_on():
        return []
    from temporalio.contrib.opentelemetry import TracingInterceptor  # imports OpenTelemetry's SDK

    return [TracingInterceptor()]
