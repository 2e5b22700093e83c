"""A finished clip as a pipeline: first frame, then video; voice and ambient sound beside them; then one film."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue

from api.generations.schemas import WebhookUrl
from api.http.wire import Metadata, Wire
from api.pipelines.schemas import GenerationStep, MixStep, PipelineRequest, StepId, StepKind, TrackRequest
from reelay.db.tables import Campaign, Clip
from reelay.domain.money import MOST_CENTS

DEFAULTS = "defaults"
"""In a campaign's metadata: inputs of its clips, by the names of `ProduceRequest`."""
FIRST_FRAME_URL = "firstFrameUrl"
QUIET_DB = -6.0
FADE_OUT_SECONDS = 1.0

Inputs = dict[str, JsonValue]


class ProduceRequest(Wire):
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

    first_frame: Inputs | None = None
    """The picture that the video starts from."""
    video: Inputs
    """The video."""
    voice: Inputs | None = None
    """What is spoken over it."""
    ambient: Inputs | None = None
    """The sound beneath it, lowered while the voice speaks."""
    captions: bool = False
    """Whether the voice's words are shown as captions."""
    approvals: list[StepId] = Field(default_factory=list)
    """Steps whose result has to be approved: `firstFrame`, `video`, `voice`, `ambient`."""
    budget_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    """The most that it may cost, in US cents."""
    webhook_url: WebhookUrl | None = None
    """An https address that is told of the pipeline's events, besides your endpoints."""
    reuse: bool = True
    """Whether earlier results with the same content stand for steps, at no cost."""
    metadata: Metadata = Field(default_factory=dict)


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
    model = inputs.pop("model", None)
    return GenerationStep(kind=kind, model=model if isinstance(model, str) else None, input=inputs)
