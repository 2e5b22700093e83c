"""Connecting to Temporal, and starting a generation there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime

from reelay.domain.generation import Generation
from reelay.tracing.spans import is_on
from workflows.converter import data_converter
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id
from workflows.search_attributes import search_attributes

if TYPE_CHECKING:
    from temporalio.contrib.opentelemetry import TracingInterceptor


async def connect(*, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """A client by `TEMPORAL_*`, with the one data converter. A lazy one connects at its first call.

    `runtime`: where its metrics, and those of its workers, go; else nowhere.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "localhost:7233")
    return await Client.connect(
        **config,
        data_converter=data_converter,
        interceptors=tracing_interceptors(),
        lazy=lazy,
        runtime=runtime,
    )


def tracing_interceptors() -> Sequence["TracingInterceptor"]:
    """None unless traces are on. Workers take over those of their client: the trace goes on in headers."""
    if not is_on():
        return []
    from temporalio.contrib.opentelemetry import TracingInterceptor  # imports OpenTelemetry's SDK

    return [TracingInterceptor()]


async def start_generation(
    client: Client,
    generation: Generation,
    *,
    task_queue: str,
    summary: str,
    origin: str | None = None,
    id_reuse_policy: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
    poll_first: bool = False,
) -> None:
    """Start the workflow. Safe to repeat: a generation has one run, unless a repair starts another.

    `origin`: of our page, which the run's details link to.
    `poll_first`: it asks the provider before it waits for a webhook.
    """
    try:
        await client.start_workflow(
            GenerationWorkflow.run,
            generation,
            id=workflow_id(generation.id),
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=id_reuse_policy,
            start_signal="poll" if poll_first else None,
            search_attributes=search_attributes(generation),
            static_summary=f"{generation.model}: {summary}"[:200],
            static_details=run_details(generation, origin) if origin else None,
        )
    except WorkflowAlreadyStartedError:
        return  # it has run to its end already


def run_details(generation: Generation, origin: str) -> str:
    """Links for the Temporal UI: the job as its user sees it, and its webhooks as operators do."""
    return (
        f"[its page]({origin}/#/jobs/{generation.id}) (for its user)\n\n"
        f"[its webhooks]({origin}/admin#/deliveries?jobId={generation.id}) (for operators)"
    )


def prompt_excerpt(inputs: Mapping[str, Any]) -> str:
    """The first eight words of the prompt or text, for the Temporal UI."""
    return " ".join(str(inputs.get("prompt") or inputs.get("text") or "").split()[:8])
