"""The protocol's extension for tasks (SEP-2663): a job is a task of its own id, for clients that say they take one.

Nothing is kept for it. A client asks for its task until it has ended, and gets then what `check` answers.
"""

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, CallToolResult, InputResponses, RequestParams, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from api.context import RequestContext
from api.doors.mcp.shown import request_context_of, shown, shown_as_text
from api.generations.cancel import cancel_job
from api.generations.read import job_view
from api.generations.schemas import JobView
from api.http.problems import NotFound
from reelay.domain.generation import Status

POLL_INTERVAL_MS = 2_000
CREATES_A_JOB = "generate"
MODERN = frozenset(MODERN_PROTOCOL_VERSIONS)


class TaskParams(RequestParams):
    task_id: str


class TaskUpdateParams(TaskParams):
    input_responses: InputResponses | None = None


class JobTasks(Extension):
    identifier = "io.modelcontextprotocol/tasks"

    def methods(self) -> list[MethodBinding]:
        return [
            MethodBinding("tasks/get", TaskParams, self.get, MODERN),
            MethodBinding("tasks/update", TaskUpdateParams, self.update, MODERN),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, MODERN),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """The task in place of the job that was created, or found again."""
        result = await call_next(ctx)
        if params.name != CREATES_A_JOB or not self._is_taken_by(ctx):
            return result
        if not isinstance(result, CallToolResult) or result.is_error or not result.structured_content:
            return result
        job = await job_view(request_context_of(ctx), result.structured_content["id"])
        return task_of(job) | {"resultType": "task"}

    async def get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        job = await _job(request_context_of(ctx), params)
        if job.status is Status.CANCELED or not job.status.is_final:
            return task_of(job)
        return task_of(job) | {"result": result_of(job).model_dump(mode="json", by_alias=True, exclude_none=True)}

    async def update(self, ctx: ServerRequestContext[Any, Any], params: TaskUpdateParams) -> HandlerResult:
        """Nothing is ever asked of a client that has its task."""
        await _job(request_context_of(ctx), params)
        return {}

    async def cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        ours = request_context_of(ctx)
        await cancel_job(ours, (await _job(ours, params)).id)
        return {}

    def _is_taken_by(self, ctx: ServerRequestContext[Any, Any]) -> bool:
        capabilities = ctx.session.client_capabilities
        is_named = bool(capabilities and self.identifier in (capabilities.extensions or {}))
        return is_named and ctx.protocol_version in MODERN


async def _job(ours: RequestContext, params: TaskParams) -> JobView:
    try:
        return await job_view(ours, params.task_id)
    except NotFound as unknown:
        raise MCPError(code=INVALID_PARAMS, message="There is no such task") from unknown


def task_of(job: JobView) -> dict[str, Any]:
    """A job that has failed is a task that was completed: with the error of its tool."""
    match job.status:
        case Status.COMPLETED | Status.FAILED:
            status = "completed"
        case Status.CANCELED:
            status = "cancelled"
        case _:
            status = "working"
    return {
        "taskId": str(job.id),
        "status": status,
        "statusMessage": job.progress_message,
        "createdAt": job.created_at.isoformat(),
        "lastUpdatedAt": (job.completed_at or job.submitted_at or job.created_at).isoformat(),
        "ttlMs": None,
        "pollIntervalMs": POLL_INTERVAL_MS,
    }


def result_of(job: JobView) -> CallToolResult:
    """Of a job that has ended, as `check` answers it."""
    found = shown(job)
    text = TextContent(type="text", text=shown_as_text(found))
    return CallToolResult(content=[text], structured_content=found, is_error=job.status is Status.FAILED)
