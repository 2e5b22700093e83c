"""What an agent can do. Each tool is one of our own calls, for the user of the key that the agent has.

What is refused is told as an error of the tool, in words that an agent can act on.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from mcp.server.elicitation import render_elicitation_schema
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult, ToolAnnotations
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field, ValidationError

from api.assets.schemas import AssetView
from api.assets.uploads import FILE, file_problems, keep_new
from api.context import RequestContext
from api.doors.errors import named_as_sent
from api.doors.mcp.shown import request_context_of, shown
from api.doors.mcp.tasks import JobTasks
from api.generations.cancel import cancel_job
from api.generations.create import (
    CreateOptions,
    JobSpec,
    arguments_and_price,
    cents_to_hold,
    create_job,
    resolve_model,
)
from api.generations.read import job_view, listed_views, view_at_end
from api.generations.schemas import CreateRequest, StatusFilter
from api.http.problems import ConfirmationRequired, InvalidParams, PriceUnknown, Problem
from reelay.catalog.model import JobKind, Model
from reelay.catalog.timing import timing_of
from reelay.db.credits import balance_of, budget_of_key
from reelay.db.generations import newest_generations
from reelay.domain.generation import ProviderName
from reelay.domain.language import Language
from reelay.domain.messages import Sentence, in_language
from reelay.domain.money import MOST_CENTS
from reelay.media.archive import plain_name
from reelay.media.download import download, open_download_client
from reelay.media.errors import Refused, ResolvedInside, SourceGone, SourceUnavailable
from reelay.media.guard import DownloadPolicy
from reelay.outbound import OutboundProxies

LONGEST_CHECK_SECONDS = 60
READS = ToolAnnotations(read_only_hint=True)
SENT_FOR = {"maxCostCents": "max_cost_cents"}
"""What an agent sends, by the name of our field that is made of it."""
APPROVAL = "approval"
"""The question about a price, and its answer."""

INSTRUCTIONS = """Generates videos, images, speech, sounds and transcriptions. `list_models` shows what there is,
`estimate` what a request costs, `budget` what may still be spent, `generate` starts a job and answers at once, `check`
waits for it. Give `generate` an `idempotency_key` of your own for each thing that you want: called again with it,
nothing is paid twice. A file of yours becomes an input by `upload_from_url`; the file of a job is `job:<id>`."""

Inputs = Annotated[dict[str, Any], Field(description="The model's inputs, as `list_models` names them.")]
ModelName = Annotated[str, Field(description="A name of `list_models`, or the id of any endpoint of fal.")]
MostCents = Annotated[int | None, Field(ge=0, le=MOST_CENTS, description="The most that it may cost, in US cents.")]
JobId = Annotated[str, Field(description="The job's id.")]


class Approval(BaseModel):
    max_cost_cents: Annotated[int, Field(ge=0, le=MOST_CENTS, title="The most that it may cost, in US cents")]


def context_of(context: Context[Any, Any]) -> RequestContext:
    return request_context_of(context.request_context)


@asynccontextmanager
async def told_to_the_agent() -> AsyncIterator[None]:
    try:
        with named_as_sent(SENT_FOR):
            yield
    except (ConfirmationRequired, PriceUnknown) as problem:
        cents = problem.extra.get("estimatedCostCents")
        price = f"It costs {cents} cents." if cents else "Nobody knows in advance what it costs."
        raise ToolError(
            f"{price} Ask your user, then call again with the most that it may cost: `max_cost_cents`."
        ) from problem
    except Problem as problem:
        fields = "".join(f" {error['field']} {error['message']}." for error in problem.errors)
        raise ToolError(f"{problem.code}: {problem.detail}{fields}") from problem


async def list_models(context: Context[Any, Any], kind: JobKind | None = None) -> list[dict[str, Any]]:
    """The models: their inputs, limits and prices. Any endpoint of fal works by its id as well."""
    services = context_of(context).services
    return [model.describe() for model in services.catalog.models if kind in (None, model.kind)]


async def estimate(
    context: Context[Any, Any], model: ModelName, input: Inputs, max_cost_cents: MostCents = None
) -> dict[str, Any]:
    """What a request would cost, without creating anything."""
    async with told_to_the_agent():
        services = context_of(context).services
        found = await resolve_model(services, None, model, input)
        _, price = arguments_and_price(services.settings, found, input)
        return {
            "model": found.name,
            "estimatedCostCents": cents_to_hold(price, max_cost_cents),
            "estimatedSeconds": int(timing_of(found, services.settings).expected.total_seconds()),
        }


async def generate(
    context: Context[Any, Any],
    model: ModelName,
    input: Inputs,
    idempotency_key: Annotated[
        str,
        Field(min_length=1, max_length=255, description="Your own name for what you want: once paid for, for ever."),
    ],
    max_cost_cents: MostCents = None,
) -> dict[str, Any] | InputRequiredResult:
    """Start a job, and answer at once. `check` tells when it is done."""
    async with told_to_the_agent():
        ours = context_of(context)
        found = await resolve_model(ours.services, None, model, input)
        most = max_cost_cents if max_cost_cents is not None else approved_cents(context)
        wishes = CreateRequest(max_cost_cents=most, confirm=most is not None)
        options = CreateOptions(f"{ours.user_id}:/mcp:{idempotency_key}", 0, "/mcp")
        try:
            created = await create_job(ours, options, JobSpec(model=found, inputs=input, request=wishes))
        except (ConfirmationRequired, PriceUnknown) as problem:
            if not can_be_asked(context):
                raise
            return question_about(found, problem.extra.get("estimatedCostCents"), ours.language)
        return shown(await job_view(ours, created.job.id))


def can_be_asked(context: Context[Any, Any]) -> bool:
    """Whether the client asks its user when a call is answered by a question: from the version of 2026-07 on.

    Earlier ones are asked while the call lasts, which an answer in one piece leaves no place for.
    """
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    has_forms = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
    return has_forms and context.protocol_version in MODERN_PROTOCOL_VERSIONS


def question_about(model: Model, cents: int | None, language: Language) -> InputRequiredResult:
    """The client asks its user, and calls again with the answer."""
    sentence = Sentence("agent_price", model=model.title, cents=cents) if cents else Sentence("agent_price_unknown")
    schema = render_elicitation_schema(Approval)
    if cents:
        schema["properties"]["max_cost_cents"]["default"] = cents
    form = ElicitRequestFormParams(message=in_language(sentence, language), requested_schema=schema)
    return InputRequiredResult(input_requests={APPROVAL: ElicitRequest(params=form)})


def approved_cents(context: Context[Any, Any]) -> int | None:
    """What the user has answered; None when nobody was asked. Raises: ToolError."""
    answer = (context.input_responses or {}).get(APPROVAL)
    if answer is None:
        return None
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        raise ToolError("Your user does not agree to the price. Nothing was created.")
    try:
        return Approval.model_validate(answer.content).max_cost_cents
    except ValidationError as wrong:
        raise ToolError("The answer to the question about the price is no number of cents.") from wrong


async def budget(context: Context[Any, Any]) -> dict[str, Any]:
    """What may still be spent, in US cents: of the user's credits, and of this key's own budget if it has one."""
    async with told_to_the_agent():
        ours = context_of(context)
        key_id, found = ours.caller.budget_key_id, None
        async with ours.transaction() as session:
            balance = await balance_of(session, ours.user_id)
            if key_id is not None:
                found = await budget_of_key(session, key_id)
        of_key = found and {"budgetCents": found.budget, "spentCents": found.spent, "leftCents": found.left}
        return {"availableCents": balance.available, "keyBudget": of_key}


async def check(
    context: Context[Any, Any],
    job_id: JobId,
    wait_seconds: Annotated[
        int, Field(ge=0, le=LONGEST_CHECK_SECONDS, description="How long to wait for its end.")
    ] = 0,
) -> dict[str, Any]:
    """A job: where it stands, its files, why it failed."""
    async with told_to_the_agent():
        ours = context_of(context)
        job = await job_view(ours, job_id)
        if wait_seconds and not job.status.is_final:
            job = await view_at_end(ours, job.id, wait=wait_seconds)
        return shown(job)


async def cancel(context: Context[Any, Any], job_id: JobId) -> dict[str, Any]:
    """Stop a job. What was not submitted to its provider yet costs nothing."""
    async with told_to_the_agent():
        return shown(await cancel_job(context_of(context), job_id))


async def list_jobs(
    context: Context[Any, Any],
    status: StatusFilter | None = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> list[dict[str, Any]]:
    """The newest jobs of the user, whoever has made them."""
    async with told_to_the_agent():
        ours = context_of(context)
        async with ours.transaction() as session:
            statuses = status.statuses if status else []
            rows = await newest_generations(session, ours.user_id, limit=limit, statuses=statuses)
            return [shown(view) for view in await listed_views(ours, session, rows)]


async def upload_from_url(
    context: Context[Any, Any], url: Annotated[str, Field(description="The http(s) address of a public file.")]
) -> dict[str, Any]:
    """Keep a picture, a video or a sound as an asset; its `uri` is an input in place of an address."""
    async with told_to_the_agent():
        ours = context_of(context)
        services = ours.services
        policy = DownloadPolicy.of(ProviderName.FAL, services.settings)
        with named_as_sent({FILE: "url"}), file_problems(services), services.storage.scratch() as folder:
            async with open_download_client(policy, proxies=OutboundProxies.of(services.settings)) as client:
                try:
                    saved = await download(client, url, to=folder / FILE, policy=policy, on_bytes=_ignore)
                except (Refused, ResolvedInside, SourceGone, SourceUnavailable) as error:
                    raise _unreadable(url) from error
            kept = await keep_new(ours, saved, file_name=plain_name(url.partition("?")[0]))
        return AssetView.from_row(kept, ours.links).model_dump(mode="json", by_alias=True)


def _ignore(*_: object) -> None:
    """Nobody is told how far it is."""


def _unreadable(url: str) -> InvalidParams:
    error = {"field": "url", "message": Sentence("field_no_such_file"), "limit": None, "value": url[:100]}
    return InvalidParams(Sentence("input_invalid"), errors=[error])


def make_server(version: str) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer(
        "reelay", instructions=INSTRUCTIONS, version=version, log_level="WARNING", extensions=[JobTasks()]
    )
    reading: list[Callable[..., Any]] = [list_models, estimate, budget, check, list_jobs]
    acting: list[Callable[..., Any]] = [generate, cancel, upload_from_url]
    for tool in reading:
        server.add_tool(tool, annotations=READS)
    for tool in acting:
        server.add_tool(tool)
    return server
