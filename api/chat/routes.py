"""The chat's calls, and a second path for each where clients of an n8n workflow expect it."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.chat.commands import Reply, answer_message, start_task
from api.chat.schemas import ChatAnswer, ChatRequest, TaskRequest
from api.context import Context
from api.generations.create import CreateOptionsDep
from api.http.openapi import with_headers
from api.http.problems import problems
from reelay.settings import Settings

CHAT_PATH = "/api/chat"
TASKS_PATH = "/api/tasks"
QUOTAS = ("Idempotency-Replayed", "RateLimit", "RateLimit-Policy")


def chat_routes(settings: Settings) -> APIRouter:
    router = APIRouter(tags=["chat"])
    router.add_api_route(
        CHAT_PATH, chat, methods=["POST"], response_model=ChatAnswer, responses={200: with_headers(*QUOTAS)}
    )
    router.add_api_route(
        TASKS_PATH,
        create_task,
        methods=["POST"],
        response_model=ChatAnswer,
        status_code=HTTPStatus.ACCEPTED,
        responses={202: with_headers(*QUOTAS), **problems(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT)},
    )
    for path, call, status in (
        (settings.chat_webhook_path, chat, HTTPStatus.OK),
        (settings.task_webhook_path, create_task, HTTPStatus.ACCEPTED),
    ):
        if path not in (CHAT_PATH, TASKS_PATH):
            router.add_api_route(path, call, methods=["POST"], status_code=status, include_in_schema=False)
    return router


async def chat(body: ChatRequest, context: Context, options: CreateOptionsDep) -> JSONResponse:
    """Answer a chat message: commands generate, tell the status, cancel. Refusals are answers, too, with status 200."""
    reply = await answer_message(context, options, body.message, confirmed=body.confirm)
    return _rendered(reply, HTTPStatus.OK)


async def create_task(body: TaskRequest, context: Context, options: CreateOptionsDep) -> JSONResponse:
    """Generate a video under a task id of your own, as the chat's `/video` does."""
    reply = await start_task(context, options, body.task_id, body.prompt, confirmed=body.confirm)
    return _rendered(reply, HTTPStatus.ACCEPTED)


def _rendered(reply: Reply, status: HTTPStatus) -> JSONResponse:
    return JSONResponse(reply.answer.model_dump(mode="json", by_alias=True), status, reply.headers)
