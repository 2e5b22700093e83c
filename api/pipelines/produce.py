"""A finished clip as a pipeline: first frame, then video; voice and ambient sound beside them; then one film."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from api.generations.schemas import WebhookUrl
from api.http.wire import Metadata, Wire
from api.pipelines.schemas import GenerationStep, MixStep, PipelineRequest, StepId, StepKind, TrackRequest
from reelay.db.tables import Campaign, Clip
from reelay.domain.money import MOST_CENTS

DEFAULTS = "defaults"
"""In a campaign's metadata: inputs of its clips, by the names of `ProduceRequest`."""
PARTS = "parts"
"""In a clip's metadata: what it is made of, by the same names."""
MOST_CLIPS = 50
BESIDE_INPUT = ("model", "priority", "maxCostCents")
FIRST_FRAME_URL = "firstFrameUrl"
QUIET_DB = -6.0
FADE_OUT_SECONDS = 1.0

Inputs = dict[str, JsonValue]


class ClipParts(Wire):
    """What a clip is made of: each part the input of its `/api/generate/...` call, with an optional `model`."""

    model_config = ConfigDict(extra="forbid")

    first_frame: Inputs | None = None
    """The picture that the video starts from."""
    video: Inputs | None = None
    """The video."""
    voice: Inputs | None = None
    """What is spoken over it."""
    ambient: Inputs | None = None
    """The sound beneath it, lowered while the voice speaks."""
    captions: bool = False
    """Whether the voice's words are shown as captions."""


class PartName(StrEnum):
    """A part of a clip that may have to be approved."""

    FIRST_FRAME = "firstFrame"
    VIDEO = "video"
    VOICE = "voice"
    AMBIENT = "ambient"


class ProduceOptions(Wire):
    """How films are made."""

    model_config = ConfigDict(extra="forbid")

    budget_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    """The most that it may cost, in US cents; of several films, all together."""
    webhook_url: WebhookUrl | None = None
    """An https address that is told of the pipeline's events, besides your endpoints."""
    reuse: bool = True
    """Whether earlier results with the same content stand for steps, at no cost."""
    metadata: Metadata = Field(default_factory=dict)


class ProduceRequest(ClipParts, ProduceOptions):
    """What a clip is made of: each part the input of its `/api/generate/...` call, with an optional `model`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "firstFrame": {"prompt": "A harbour at dawn"},
                    "video": {"prompt": "Boats leave the harbour"},
                    "voice": {"text": "Every morning the harbour wakes."},
                    "ambient": {"prompt": "Gulls and waves"},
                    "captions": True,
                }
            ]
        },
    )

    video: Inputs
    """The video."""
    approvals: list[StepId] = Field(default_factory=list)
    """Steps whose result has to be approved: `firstFrame`, `video`, `voice`, `ambient`."""


class ProduceCampaignRequest(ProduceOptions):
    """Films of several clips of a campaign: all of them, or none."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "clips": {"3f1c0a4e-7a83-4d8c-9c40-5a8f0f6f2a11": {"video": {"prompt": "Boats leave the harbour"}}},
                    "budgetCents": 2000,
                }
            ]
        },
    )

    clips: Annotated[dict[UUID, ClipParts], Field(min_length=1, max_length=MOST_CLIPS)]
    """What each is made of, by the clips' ids. A part that is left out is that of the clip's `metadata.parts`."""
    approvals: list[PartName] = Field(default_factory=list)
    """Parts whose result has to be approved, of each clip that has them."""


def request_for(clip: Clip, parts: ClipParts, body: ProduceCampaignRequest) -> ProduceRequest:
    """Raises: ValidationError."""
    stored = clip.metadata_.get(PARTS)
    made_of = (stored if isinstance(stored, dict) else {}) | parts.model_dump(by_alias=True, exclude_unset=True)
    return ProduceRequest.model_validate(
        {
            **made_of,
            "approvals": [part for part in body.approvals if made_of.get(part) is not None],
            "webhookUrl": body.webhook_url,
            "reuse": body.reuse,
            "metadata": body.metadata,
        }
    )


def pipeline_for(clip: Clip, campaign: Campaign, body: ProduceRequest) -> PipelineRequest:
    """The template, with the campaign's defaults for what the body leaves out."""
    given = campaign.metadata_.get(DEFAULTS)
    defaults = given if isinstance(given, dict) else {}
    steps: dict[str, Any] = {}
    video = with_defaults(body.video, defaults.get("video"))
    if body.first_frame is not None:
        frame = with_defaults(body.first_frame, defaults.get("firstFrame"))
        steps["firstFrame"] = step_of(StepKind.FIRST_FRAME, frame)
        video.setdefault(FIRST_FRAME_URL, "step:firstFrame")
    steps["video"] = step_of(StepKind.VIDEO, video)
    tracks = []
    if body.voice is not None:
        steps["voice"] = step_of(StepKind.VOICE, with_defaults(body.voice, defaults.get("voice")))
        tracks.append(TrackRequest(source="step:voice"))
    if body.ambient is not None:
        steps["ambient"] = step_of(StepKind.AMBIENT, with_defaults(body.ambient, defaults.get("ambient")))
        tracks.append(
            TrackRequest(source="step:ambient", duck=True, gain_db=QUIET_DB, fade_out_seconds=FADE_OUT_SECONDS)
        )
    has_captions = body.captions and body.voice is not None
    steps["film"] = MixStep(
        kind="mix", video="step:video", tracks=tracks, captions="step:voice" if has_captions else None
    )
    return PipelineRequest(
        name=clip.title,
        steps=steps,
        budget_cents=body.budget_cents,
        approvals=body.approvals,
        clip_id=clip.id,
        webhook_url=body.webhook_url,
        reuse=body.reuse,
        metadata=body.metadata,
    )


def with_defaults(inputs: Inputs, defaults: Any) -> Inputs:
    return {**(defaults if isinstance(defaults, Mapping) else {}), **inputs}


def step_of(kind: StepKind, inputs: Inputs) -> GenerationStep:
    """Raises: ValidationError."""
    beside = {name: inputs.pop(name) for name in BESIDE_INPUT if name in inputs}
    return GenerationStep.model_validate({**beside, "kind": kind, "input": inputs})
