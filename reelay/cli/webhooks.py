"""`reelay webhooks`."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from reelay.cli.exit_codes import Exit, exit_with, run
from reelay.cli.output import JsonLinesOption, JsonOption, show_rows
from reelay.cli.service import DataDirOption, service
from reelay.domain.outgoing import DeliveryState, EventType
from reelay_client import AsyncReelay

app = typer.Typer(help="Webhooks to your own backend.", no_args_is_help=True)

COLUMNS = ("id", "status", "disabledReason", "failingSince", "events", "description", "url")
DELIVERY_COLUMNS = ("id", "sequence", "type", "state", "tries", "answer", "nextTryAt", "jobId")
T = TypeVar("T")


class Status(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


def ask(data_dir: Path | None, call: Callable[[AsyncReelay], Awaitable[T]]) -> T:
    async def asked() -> T:
        async with service(data_dir) as reelay:
            return await call(reelay)

    return run(asked())


@app.command("create")
def create_endpoint(
    url: str,
    event: Annotated[list[EventType] | None, typer.Option(help="A type of event; several times for several.")] = None,
    description: str = "",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Have an address told of events, and print the secret that they are signed with."""
    created = ask(data_dir, lambda reelay: reelay.create_webhook_endpoint(url, events=event, description=description))
    typer.echo(json.dumps(created.document, indent=2) if as_json else f"{created.id}\n{created.secret}")


@app.command("list")
def list_endpoints(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List your endpoints."""
    found = ask(data_dir, lambda reelay: reelay.webhook_endpoints())
    show_rows([each.document for each in found], COLUMNS, as_json=as_json)


@app.command("set")
def set_status(endpoint_id: UUID, status: Status, data_dir: DataDirOption = None) -> None:
    """Enable an endpoint, or disable it."""
    changed = ask(data_dir, lambda reelay: reelay.change_webhook_endpoint(endpoint_id, status=status.value))
    typer.echo(changed.status)


@app.command("test")
def send_test(endpoint_id: UUID, data_dir: DataDirOption = None) -> None:
    """Send an endpoint a `webhook.test`."""
    typer.echo(ask(data_dir, lambda reelay: reelay.test_webhook_endpoint(endpoint_id)).status)


@app.command("rotate")
def rotate_secret(endpoint_id: UUID, data_dir: DataDirOption = None) -> None:
    """Make a new secret and print it. For 24 hours both sign."""
    typer.echo(ask(data_dir, lambda reelay: reelay.rotate_webhook_secret(endpoint_id)).secret)


@app.command("delete")
def delete_endpoint(endpoint_id: UUID, data_dir: DataDirOption = None) -> None:
    """Delete an endpoint with its deliveries."""
    ask(data_dir, lambda reelay: reelay.delete_webhook_endpoint(endpoint_id))


@app.command("deliveries")
def list_deliveries(
    endpoint_id: UUID,
    state: DeliveryState | None = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List what an endpoint was sent and is to be sent, newest first."""

    async def newest(reelay: AsyncReelay) -> list[dict[str, Any]]:
        found = []
        async for delivery in reelay.webhook_deliveries(endpoint_id, state=state, limit=min(limit, 100)):
            found.append(delivery.document)
            if len(found) == limit:
                break
        return found

    rows = ask(data_dir, newest)
    show_rows(rows if as_json else [described(row) for row in rows], DELIVERY_COLUMNS, as_json=as_json)


def described(delivery: dict[str, Any]) -> dict[str, Any]:
    attempts = delivery["attempts"]
    last = attempts[-1] if attempts else {}
    return {**delivery, "tries": len(attempts), "answer": last.get("statusCode") or last.get("outcome", "")}


@app.command("redeliver")
def redeliver(
    endpoint_id: UUID,
    delivery: Annotated[UUID | None, typer.Option(help="This one.")] = None,
    since: Annotated[datetime | None, typer.Option(help="All since then: local time, or with an offset.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send a delivery again, or all events since a moment."""
    if (delivery is None) == (since is None):
        exit_with("say either --delivery or --since", Exit.USAGE)
    if delivery is not None:
        typer.echo(ask(data_dir, lambda reelay: reelay.redeliver_webhook(endpoint_id, delivery)).state)
    elif since is not None:
        typer.echo(ask(data_dir, lambda reelay: reelay.redeliver_webhooks(endpoint_id, since.astimezone())))


@app.command("listen")
def listen(
    forward: Annotated[str, typer.Option(help="Your own address, e.g. http://localhost:3000/hook.")],
    secret: Annotated[str | None, typer.Option(help="What to sign with: `whsec_...`. Default: a new one.")] = None,
    as_json: JsonLinesOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Post your events, signed, to an address of this machine until Ctrl-C: for development, without an endpoint."""
    from reelay.cli import webhook_listener
    from reelay.outgoing.secrets import new_secret

    signing = secret or new_secret()
    if not as_json:
        typer.echo(f"Signing with {signing}", err=True)
    run(webhook_listener.listen(service(data_dir, patience=60), forward, signing, as_json=as_json))
