"""Webhook endpoints, their deliveries and events, as their user sees them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from api.http.pagination import Page
from api.http.wire import Text, Wire
from reelay.db.outgoing import DeliveryLine
from reelay.db.tables import OutgoingEvent, WebhookEndpoint
from reelay.domain.outgoing import AttemptOutcome, DeliveryState, DisabledReason, EndpointStatus, EventType

Url = Annotated[Text, Field(min_length=1, max_length=2048)]
Events = Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))]
Description = Annotated[Text, Field(max_length=200)]


class WantedStatus(StrEnum):
    """What an endpoint can be made."""

    ENABLED = "enabled"
    DISABLED = "disabled"


LEFT_OUT: Any = Field(default_factory=lambda: None)
"""Of a change: null is no value of the field, and the document shows no default."""


class EndpointRequest(Wire):
    """Where you want to be told of events."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"url": "https://example.com/hooks/reelay"}]}
    )

    url: Url
    """The https address that events are sent to. It must lead to the public internet."""
    events: Events | None = None
    """Which types of events. Omitted: all of them."""
    description: Description = ""
    """Your own words for it."""


class EndpointChange(Wire):
    """What is to change of an endpoint; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"status": "disabled"}]})

    status: WantedStatus = LEFT_OUT
    """`disabled`: nothing is sent, and what waits is kept. `enabled`: what waits is sent; an endpoint that has never
    answered is sent a test first, and is `unverified` until it answers."""
    url: Url = LEFT_OUT
    """Another address. It is sent a test first, and the endpoint is `unverified` until it answers; what happens
    meanwhile waits."""
    events: Events | None = None
    """Which types of events; null: all of them."""
    description: Description = LEFT_OUT
    """Your own words for it."""


class EndpointView(Wire):
    """Where you are told of events."""

    id: UUID
    """The endpoint's id."""
    url: str
    """The address that events are sent to."""
    events: list[EventType] | None
    """Which types of events; null: all of them."""
    description: str
    """Your own words for it."""
    status: EndpointStatus
    """`unverified` until it has answered a test with 2xx: events wait, and are sent once it is `enabled`."""
    disabled_reason: DisabledReason | None
    """Why it is disabled: it was `requested`, it answered 410 (`gone`), or it was `failing`: for five days, or
    at every attempt of the test that would have verified it."""
    disabled_at: datetime | None
    """Since when it is disabled."""
    failing_since: datetime | None
    """Since when every attempt has failed; null while they succeed."""
    secret_rotated_until: datetime | None
    """Until when the previous secret signs as well, after a rotation."""
    created_at: datetime
    """When it was created."""

    @classmethod
    def from_row(cls, row: WebhookEndpoint) -> Self:
        return cls(**_shown(row))


class NewEndpointView(EndpointView):
    """An endpoint with its new secret, which is shown this once."""

    secret: str
    """What the events are signed with: `whsec_` and base64. Store it now: it cannot be read again."""

    @classmethod
    def with_secret(cls, row: WebhookEndpoint, secret: str) -> Self:
        return cls(**_shown(row), secret=secret)


def _shown(row: WebhookEndpoint) -> dict[str, Any]:
    names = EndpointView.model_fields.keys() - {"secret_rotated_until"}
    return {name: getattr(row, name) for name in names} | {"secret_rotated_until": row.previous_secret_until}


class EndpointList(Wire):
    """Your endpoints."""

    data: list[EndpointView]
    """All of them, the oldest first."""


class SigningSecret(Wire):
    """What events to your jobs' and batches' `webhookUrl`s are signed with."""

    secret: str
    """`whsec_` and base64."""


class AttemptView(Wire):
    """One attempt to deliver an event."""

    at: datetime
    """When it began."""
    outcome: AttemptOutcome
    """What it came to: only an answer of 2xx is `delivered`."""
    status_code: int | None
    """The HTTP status of the answer; null without one."""
    took_ms: int
    """Milliseconds to the answer, or to the end of the attempt."""
    error: str | None
    """Why there was no answer, in English."""
    body: str | None
    """The first KiB of the answer."""


class OutgoingDeliveryView(Wire):
    """One event for one endpoint."""

    id: UUID
    """The delivery's id."""
    event_id: UUID
    """The event's id: the `webhook-id` of every attempt."""
    type: EventType
    """The type of the event."""
    sequence: int
    """The number of the event among yours."""
    job_id: UUID | None
    """The job that it tells of."""
    batch_id: UUID | None
    """The batch that it tells of."""
    state: DeliveryState
    """`pending` until it is `delivered`, or the last attempt has `failed`."""
    next_try_at: datetime | None
    """When the next attempt is due; null when there is none, or none before the endpoint is enabled."""
    attempts: list[AttemptView]
    """The latest attempts, the oldest first."""
    created_at: datetime
    """When it was to be delivered first."""
    ended_at: datetime | None
    """When it was delivered, or given up."""

    @classmethod
    def from_line(cls, line: DeliveryLine) -> Self:
        delivery, event = line.delivery, line.event
        return cls(
            id=delivery.id,
            event_id=event.id,
            type=event.type,
            sequence=event.sequence,
            job_id=event.job_id,
            batch_id=event.batch_id,
            state=delivery.state,
            next_try_at=delivery.next_try_at if delivery.wake_at else None,
            attempts=[AttemptView.model_validate(attempt) for attempt in delivery.attempts],
            created_at=delivery.created_at,
            ended_at=delivery.ended_at,
        )


class OutgoingDeliveryList(Page):
    """A page of an endpoint's deliveries, newest first."""

    data: list[OutgoingDeliveryView]
    """The deliveries."""


class RedeliveryRequest(Wire):
    """Which events are to be sent again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"since": "2026-11-30T00:00:00Z"}]})

    since: AwareDatetime
    """Those that happened since then, whatever became of them. Events are kept for 30 days."""


class Redelivered(Wire):
    """How many events are sent again."""

    count: int
    """At most 1,000: the oldest ones."""


class LoggedEvent(Wire):
    """Something that happened, as the endpoints are told."""

    id: UUID
    """The event's id: its `webhook-id`."""
    sequence: int
    """Its number among your events, growing."""
    type: EventType
    """What happened."""
    timestamp: datetime
    """When it happened."""
    data: dict[str, Any]
    """What it happened to, as its GET shows it. `resultData` is null where it would exceed 20 KB."""

    @classmethod
    def from_row(cls, row: OutgoingEvent, data: dict[str, Any]) -> Self:
        return cls(id=row.id, sequence=row.sequence, type=row.type, timestamp=row.at, data=data)


class EventLog(Wire):
    """A page of your events, oldest first."""

    data: list[LoggedEvent]
    """The events."""
    has_more: bool
    """Whether another page follows."""
    next_cursor: str | None
    """What `after` takes to go on: also on the last page, for what will happen. Null when there was nothing yet."""
