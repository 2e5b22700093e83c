"""Everything that the environment may say, typed, in one place. Built once per process and passed down."""

import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from reelay.content_credentials import ContentCredentials, UnfitCredentials, check_trust_anchors, read_signatory
from reelay.db.address import PostgresAddress, UnusableAddress
from reelay.domain.generation import ProviderName, UncertainSubmitPolicy
from reelay.domain.language import Language
from reelay.domain.learned_limit import Learned
from reelay.domain.money import MOST_CENTS
from reelay.payload_keys import PayloadKeys
from reelay.process_secrets import ARCHIVING, Process, is_read_by

FAL_HOSTS = (".fal.ai", ".fal.run")
DATABASE_URLS = ("database_url", "database_service_url", "database_admin_url", "database_listen_url")
SHORTEST_SECRET = 16
"""Characters of a secret that we make up ourselves."""
SHORTEST_JWT_SECRET = 32
"""HS256 wants 256 bits (RFC 7518 section 3.2)."""
NEVER_MAPPED = tuple(map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/127", "fe80::/10")))
PATH_PREFIX = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+")
OWN_PATHS = frozenset(
    {"admin", "api", "docs", "fal", "healthz", "mcp", "metrics", "openapi.json", "readyz", "v1", "web"}
)
"""Where the API's own addresses begin."""
PLACEHOLDER = re.compile(
    r"change-?_?me|^(your|my|example|simulated|votre|seu)[-_ ]|^(secret|password|pepper|test)$|^<|xxxx", re.I
)
WEBHOOK_TOKEN_LABEL = b"reelay webhook token"
OUTGOING_LABEL = b"reelay outgoing webhooks"
REPLICATE_HOSTS = (".replicate.com",)
WEBHOOK_SCHEDULE = tuple(map(timedelta, (0,) * 10, (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)))
"""That of Standard Webhooks: 75 hours in all."""
LONGEST_PAUSE_SECONDS = 7 * 86_400
LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERY_PROCESS = frozenset(Process)


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class FlaggedResults(StrEnum):
    """What becomes of a result that the provider's safety check has flagged."""

    KEEP = "keep"
    """It is archived like any other, and marked."""
    FAIL = "fail"
    """Nothing of it is kept: its job fails with `result_flagged`, at the price that it has."""


SlotSetting = Annotated[int, Field(ge=0)] | Learned | None


class Settings(BaseSettings):
    """The process's configuration. `.env.example` says each variable in one line."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", env_ignore_empty=True, populate_by_name=True, hide_input_in_errors=True
    )

    environment: Environment = Environment.PRODUCTION
    app_url: str | None = Field(None, validation_alias=AliasChoices("APP_URL", "NEXT_PUBLIC_APP_URL", "app_url"))
    data_dir: Path = Field(Path(".reelay"), validation_alias=AliasChoices("REELAY_DATA_DIR", "data_dir"))

    task_queue: str = Field("generations", validation_alias=AliasChoices("REELAY_TASK_QUEUE", "task_queue"))

    search_attributes: bool = Field(
        True, validation_alias=AliasChoices("TEMPORAL_SEARCH_ATTRIBUTES", "search_attributes")
    )
    """Whether Temporal's namespace knows ours. False: runs are found by their ids alone."""
    worker_deployment: str | None = Field(
        None,
        validation_alias=AliasChoices("TEMPORAL_WORKER_DEPLOYMENT", "TEMPORAL_DEPLOYMENT_NAME", "worker_deployment"),
    )
    """Temporal's Worker Versioning is on when this and the build id are set. The second name is that of its Worker
    Controller."""
    worker_build_id: str | None = Field(
        None, validation_alias=AliasChoices("TEMPORAL_WORKER_BUILD_ID", "worker_build_id")
    )
    max_cached_workflows: int = Field(
        1000, ge=0, validation_alias=AliasChoices("REELAY_MAX_CACHED_WORKFLOWS", "max_cached_workflows")
    )
    """Runs that a worker keeps in memory. 0: every workflow task replays its run's whole history."""

    database_url: SecretStr = SecretStr("")
    database_service_url: SecretStr | None = None
    """Unset: the role of `DATABASE_ADMIN_URL` serves, too."""
    database_admin_url: SecretStr = SecretStr("")
    database_listen_url: SecretStr | None = None
    """Past a transaction pooler, as a role that sees every row. Unset: listened for where workers connect."""
    database_pool_size_api: int = Field(10, ge=1, le=1000)
    """Connections of one API process as each of its two roles, without the one that listens."""
    database_pool_size_worker: int = Field(20, ge=1, le=1000)

    temporal_ui_url: str | None = None
    """The Temporal UI, to which the page links. Public."""
    worker_health_host: str = "127.0.0.1"
    worker_health_port: int | None = Field(None, gt=0, le=65535)
    """Where a worker tells its health and serves its metrics to Prometheus; unset: nowhere."""
    grace: timedelta = Field(
        timedelta(seconds=30), gt=timedelta(0), validation_alias=AliasChoices("GRACE_SECONDS", "grace")
    )
    """For what is under way when a process is told to stop: a POST to a provider that is cut off may be lost."""
    drain: timedelta = Field(timedelta(0), ge=timedelta(0), validation_alias=AliasChoices("DRAIN_SECONDS", "drain"))
    """For how long an API process that was told to stop still serves, unready, until balancers have seen that."""

    keep_alive: timedelta = Field(
        timedelta(seconds=75),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        validation_alias=AliasChoices("KEEP_ALIVE_SECONDS", "keep_alive"),
    )
    """For how long the API keeps a connection without a request: balancers must be the first to close theirs."""

    payload_keys: SecretStr | None = None
    """Encrypt what Temporal stores; unset: it is plain text."""

    providers: Annotated[tuple[ProviderName, ...], NoDecode] = ()
    """To which jobs may go. Unset: those whose key or secret is set."""

    fal_key: SecretStr | None = Field(None, validation_alias=AliasChoices("FAL_KEY", "FAL_API_KEY", "fal_key"))
    fal_key_new: SecretStr | None = None
    fal_admin_key: SecretStr | None = None
    """May do what the others may not: delete what fal stores of requests."""
    fal_queue_base: str = "https://queue.fal.run"
    fal_api_base: str = "https://rest.fal.ai"
    fal_fallback_bases: Annotated[tuple[str, ...], NoDecode] = ()
    fal_platform_base: str = "https://api.fal.ai/v1"
    fal_jwks_url: str = "https://rest.fal.ai/.well-known/jwks.json"
    fal_user_id: str | None = None
    fal_timeout: timedelta = Field(
        timedelta(minutes=5), le=timedelta(minutes=5), validation_alias=AliasChoices("FAL_TIMEOUT_MS", "fal_timeout")
    )
    """For one submission. The submit activity's own limit in the workflow is a little longer than this may be."""
    provider_logs: bool = Field(False, validation_alias=AliasChoices("FAL_QUEUE_LOGS_DEFAULT", "provider_logs"))
    """Whether jobs show what providers print without being asked for it, also where no poll has brought it."""
    fal_webhook_path: str = "/api/fal/webhook"
    webhook_token_secret: SecretStr | None = Field(
        None, validation_alias=AliasChoices("FAL_WEBHOOK_SECRET", "webhook_token_secret")
    )
    """Signs the token in the webhook URLs of all providers. Unset: derived from the pepper, by whom is given it."""

    fal_door_merge: timedelta = Field(
        timedelta(0),
        ge=timedelta(0),
        le=timedelta(hours=1),
        validation_alias=AliasChoices("FAL_DOOR_MERGE_SECONDS", "fal_door_merge"),
    )
    """For how long a submission by fal's protocol is the same job as one alike whose request id nobody has used."""

    fal_concurrency: SlotSetting = None
    """How many requests run at the provider at once, here and in the next two; `auto`: learned. Unset: no limit."""
    replicate_concurrency: SlotSetting = None
    studio_concurrency: Annotated[int, Field(ge=0)] | None = None

    catalog_dir: Path | None = None
    """Of model files beside the built-in ones."""

    studio_backend_url: str | None = None
    webhook_secret: SecretStr | None = None
    """Shared with the studio backend: in `X-Webhook-Secret` of its pushes, and the bearer token of what it is sent.
    Without one, pushes are taken in development alone."""

    replicate_api_token: SecretStr | None = None
    replicate_api_base: str = "https://api.replicate.com"
    replicate_webhook_secret: SecretStr | None = None
    """`whsec_...`; several, separated by spaces or commas, while they are rotated."""
    replicate_webhooks: bool | None = None
    """Whether Replicate is asked to report. Unset: where its webhook secret is set."""

    api_key_pepper: SecretStr = SecretStr("")
    """Keys the hash under which API keys are stored."""

    jwt_secret: SecretStr | None = None
    jwt_jwks_url: str | None = None
    jwt_audience: str = "authenticated"
    jwt_issuer: str | None = None
    """Unset: tokens of any issuer that holds the keys."""
    jwt_anonymous_users: bool = False
    """Whether users of anonymous sign-ins, whose tokens say `is_anonymous`, are admitted."""

    fal_proxy_endpoints: Annotated[tuple[str, ...], NoDecode] = ()
    """What pages may submit by fal's proxy protocol: ids of endpoints; `*` is any part, `**` any number of parts.
    Unset: all."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Whose pages may call the API with their user's cookie or token."""
    starting_credits_cents: int = Field(0, ge=0, le=MOST_CENTS)
    """Of a user who comes by a token for the first time."""
    unmetered: bool = False
    """No credits at all: nothing is held, charged or refused for them."""

    archive_url: str | None = None
    archive_public_url: str | None = None
    """Of an S3 bucket: the endpoint at which browsers and providers reach it. Unset: that at which we do."""
    aws_allow_http: bool = False
    """For an S3 endpoint inside the same network; development allows it anyway."""
    archive_max_bytes: int = Field(2 * 1024**3, gt=0)
    content_credentials: ContentCredentials = ContentCredentials.OFF
    """Whether Reelay signs what it makes. What files carry is checked in any case."""
    content_credentials_cert: Path | None = None
    """The signer's certificate and those up to its authority (PEM)."""
    content_credentials_key: Path | None = None
    """The file of its private key (PEM)."""
    content_credentials_tsa_url: str | None = None
    """Of an authority that says when it was signed (RFC 3161). Unset: nobody does."""
    content_credentials_trust_anchors: Path | None = None
    """The authorities (PEM) that may vouch for signers. Unset: no file is more than valid."""
    download_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()

    download_allowed_networks: Annotated[tuple[str, ...], NoDecode] = ()
    """Into which the operator's network maps names of the internet, although they are not public."""

    http_proxy: SecretStr | None = None
    https_proxy: SecretStr | None = None
    """The operator's proxy, for what is asked of the internet by http and by https."""
    no_proxy: Annotated[tuple[str, ...], NoDecode] = ()
    """What is reached without it."""

    webhook_patience: timedelta | None = Field(
        None, validation_alias=AliasChoices("WEBHOOK_PATIENCE_SECONDS", "webhook_patience")
    )
    poll_interval: timedelta | None = Field(
        None, validation_alias=AliasChoices("POLL_INTERVAL_SECONDS", "poll_interval")
    )
    adoption_window: timedelta | None = Field(
        None, validation_alias=AliasChoices("ADOPTION_WINDOW_SECONDS", "adoption_window")
    )
    generation_deadline: timedelta | None = Field(
        None, validation_alias=AliasChoices("GENERATION_DEADLINE_SECONDS", "generation_deadline")
    )
    submission_window: timedelta | None = Field(
        None,
        gt=timedelta(0),
        validation_alias=AliasChoices("SUBMISSION_WINDOW_SECONDS", "submission_window"),
    )
    archive_window: timedelta | None = Field(
        None,
        gt=timedelta(0),
        validation_alias=AliasChoices("ARCHIVE_WINDOW_SECONDS", "archive_window"),
    )

    account_pause: timedelta = Field(
        timedelta(minutes=1),
        gt=timedelta(0),
        validation_alias=AliasChoices("ACCOUNT_PAUSE_SECONDS", "account_pause"),
    )
    """Between two probes of an account that the provider has locked."""
    fallback_after: timedelta = Field(
        timedelta(minutes=1),
        ge=timedelta(0),
        validation_alias=AliasChoices("FALLBACK_AFTER_SECONDS", "fallback_after"),
    )
    """How long a provider is tried that takes nothing, where a job has a fallback."""

    reconcile_interval: timedelta | None = Field(
        None, ge=timedelta(seconds=1), validation_alias=AliasChoices("RECONCILE_INTERVAL_SECONDS", "reconcile_interval")
    )
    events_heartbeat: timedelta = Field(
        timedelta(seconds=10),
        gt=timedelta(0),
        le=timedelta(seconds=15),
        validation_alias=AliasChoices("EVENTS_HEARTBEAT_SECONDS", "events_heartbeat"),
    )
    """Longer, and proxies close a stream as dead."""
    uncertain_submit_policy: UncertainSubmitPolicy = UncertainSubmitPolicy.FAIL
    flagged_results: FlaggedResults = FlaggedResults.KEEP
    """Those that a provider's safety check has flagged."""

    outgoing_webhook_secret: SecretStr = SecretStr("")
    """Encrypts the secrets of webhook endpoints, and makes those of jobs' own addresses."""
    outgoing_webhook_schedule: Annotated[tuple[timedelta, ...], NoDecode] = Field(
        WEBHOOK_SCHEDULE,
        min_length=1,
        validation_alias=AliasChoices("OUTGOING_WEBHOOK_SCHEDULE_SECONDS", "outgoing_webhook_schedule"),
    )
    """The pause before each attempt to deliver an outgoing webhook. The first attempt is made at once."""
    webhook_endpoints_per_user: int = Field(20, ge=0, le=1_000_000)
    """0: no limit."""

    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.1", "::1")
    """Whose `X-Forwarded-*` headers are believed: addresses and networks."""
    event_streams_per_user: int = Field(100, ge=0, le=1_000_000)
    """Open at once in one process; 0, here and in the next: as many as come."""
    event_streams_per_address: int = Field(1000, ge=0, le=1_000_000)
    campaigns_per_user: int = Field(1000, ge=0, le=1_000_000_000)
    """0, here and in the next two: no limit."""
    clips_per_user: int = Field(20_000, ge=0, le=1_000_000_000)
    retention_days_jobs: int | None = Field(None, ge=1, le=36500)
    """Jobs that ended longer ago are deleted, by the next two their files and their timelines. Unset: kept."""
    retention_days_media: int | None = Field(None, ge=1, le=36500)
    retention_days_events: int | None = Field(None, ge=1, le=36500)
    storage_per_user_bytes: int = Field(100 * 1024**3, ge=0)
    """Of archived media."""

    requests_per_second: int = Field(200, ge=0, le=1_000_000)
    """Of one user, like the two below; 0: as many as come."""
    creations_per_minute: int = Field(600, ge=0, le=1_000_000)
    concurrent_generations: int = Field(1000, ge=0, le=1_000_000)

    interactive_budget_cents: int = Field(500, ge=0)
    use_async_generation: bool = True
    generate_video_duration: float = Field(6, gt=0)
    """Seconds. Like the next, for calls of `/api/generate/video` that say nothing else, where the model admits it."""
    generate_video_aspect_ratio: str = "9:16"
    chat_video_model: str | None = None
    """Unset: Replicate's zeroscope where it is set up, else the cheapest video model that is."""
    chat_webhook_path: str = "/webhook-test/ai-agent-fiable"
    """Of the n8n workflow whose place the chat takes; the next, of the one behind it that generates."""
    task_webhook_path: str = "/webhook-test/video-bg-process"
    language: Language = Field(Language.ENGLISH, validation_alias=AliasChoices("REELAY_LANGUAGE", "language"))
    """Of what users read, when their request asks for none that is supported."""

    @field_validator("fal_timeout", mode="before")
    @classmethod
    def _milliseconds(cls, value: object) -> object:
        return timedelta(milliseconds=number_in(value)) if isinstance(value, str | int | float) else value

    @field_validator(
        "webhook_patience",
        "poll_interval",
        "adoption_window",
        "generation_deadline",
        "submission_window",
        "archive_window",
        "account_pause",
        "fallback_after",
        "reconcile_interval",
        "events_heartbeat",
        "grace",
        "drain",
        "keep_alive",
        "fal_door_merge",
        mode="before",
    )
    @classmethod
    def _seconds(cls, value: object) -> object:
        return timedelta(seconds=number_in(value)) if isinstance(value, str | int | float) else value

    @field_validator("outgoing_webhook_schedule", mode="before")
    @classmethod
    def _schedule(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        seconds = [number_in(part) for part in value.split(",") if part.strip()]
        if any(not 0 <= pause <= LONGEST_PAUSE_SECONDS for pause in seconds):
            raise ValueError("each pause is of 0 to 604800 seconds")
        return tuple(timedelta(seconds=pause) for pause in seconds)

    @field_validator("fal_fallback_bases", "cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(base.strip().rstrip("/") for base in value.split(",") if base.strip())

    @field_validator("cors_origins")
    @classmethod
    def _origins_of_pages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(origin.lower() for origin in value)
        for origin in origins:
            parts = urlsplit(origin)
            # With `*`, every page there is could act for a user who is signed in.
            if (
                origin != f"{parts.scheme}://{parts.netloc}"
                or parts.scheme not in ("http", "https")
                or {"*", "@"} & set(origin)
            ):
                raise ValueError("CORS_ORIGINS: each is an origin like https://app.example.com, without a path or `*`")
        return origins

    @field_validator(
        "providers",
        "download_allowed_hosts",
        "download_allowed_networks",
        "trusted_proxies",
        "no_proxy",
        mode="before",
    )
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return (
            tuple(host.strip().lower() for host in value.split(",") if host.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("fal_proxy_endpoints", mode="before")
    @classmethod
    def _patterns(cls, value: object) -> object:
        return tuple(each.strip() for each in value.split(",") if each.strip()) if isinstance(value, str) else value

    @field_validator("replicate_api_base")
    @classmethod
    def _without_version(cls, value: str) -> str:
        return value.rstrip("/").removesuffix("/v1")

    @field_validator("payload_keys")
    @classmethod
    def _payload_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            PayloadKeys.parse(value.get_secret_value())
        return value

    @field_validator("replicate_webhook_secret")
    @classmethod
    def _well_formed(cls, value: SecretStr | None) -> SecretStr | None:
        for secret in _secrets_in(value):
            if not is_webhook_secret(secret):
                raise ValueError("REPLICATE_WEBHOOK_SECRET: each secret is whsec_ and then base64")
        return value

    @field_validator(
        "app_url", "temporal_ui_url", "studio_backend_url", "fal_queue_base", "fal_api_base", "fal_platform_base"
    )
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else None

    @field_validator("download_allowed_networks")
    @classmethod
    def _mapped_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                network = ip_network(text)
            except ValueError:
                raise ValueError("DOWNLOAD_ALLOWED_NETWORKS: each is a network like 198.18.0.0/15") from None
            if any(network.version == own.version and network.overlaps(own) for own in NEVER_MAPPED):
                raise ValueError("DOWNLOAD_ALLOWED_NETWORKS: none may hold loopback or link-local addresses")
        return value

    @field_validator("http_proxy", "https_proxy")
    @classmethod
    def _address_of_a_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(value.get_secret_value() if value else "http://proxy")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("HTTP_PROXY and HTTPS_PROXY: each is an address like http://proxy.example.com:3128")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError:
                # A name would never match, and `*` lets every caller choose the address that it is known by.
                raise ValueError("TRUSTED_PROXIES: each is an address or a network like 10.0.0.0/8") from None
        return value

    @field_validator("app_url")
    @classmethod
    def _prefix_of_routes(cls, value: str | None) -> str | None:
        path = urlsplit(value or "").path
        if path and (not PATH_PREFIX.fullmatch(path) or path.split("/")[1] in OWN_PATHS):
            raise ValueError(
                "APP_URL: its path must be of letters, digits, `-`, `_`, `.` and `/`, and not begin with one of ours: "
                + ", ".join(f"/{name}" for name in sorted(OWN_PATHS))
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.providers = self.providers or tuple(self._providers_with_keys())
        if self.app_url and not self.webhook_token_secret:
            self.webhook_token_secret = self._derived(WEBHOOK_TOKEN_LABEL)
        self.outgoing_webhook_secret = self.outgoing_webhook_secret or self._derived(OUTGOING_LABEL) or SecretStr("")
        if bool(self.worker_deployment) != bool(self.worker_build_id):
            raise ValueError("TEMPORAL_WORKER_DEPLOYMENT and TEMPORAL_WORKER_BUILD_ID: set both or neither")
        return self

    @model_validator(mode="after")
    def _studio(self) -> Self:
        if self.studio_backend_url is None:
            return self
        parts = urlsplit(self.studio_backend_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("STUDIO_BACKEND_URL: must be an http or https address without user, password or query")
        return self

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.environment is Environment.DEVELOPMENT:
            return self
        for variable, url in (
            ("FAL_QUEUE_BASE", self.fal_queue_base),
            ("FAL_API_BASE", self.fal_api_base),
            *(("FAL_FALLBACK_BASES", base) for base in self.fal_fallback_bases),
            ("FAL_PLATFORM_BASE", self.fal_platform_base),
            ("FAL_JWKS_URL", self.fal_jwks_url),
        ):
            if not _is_https_under(FAL_HOSTS, url):
                raise ValueError(f"{variable}: in production it must be https on a host under .fal.ai or .fal.run")
        if not _is_https_under(REPLICATE_HOSTS, self.replicate_api_base):
            raise ValueError("REPLICATE_API_BASE: in production it must be https on a host under .replicate.com")
        if self.app_url and not self.app_url.startswith("https://"):
            raise ValueError("APP_URL: in production it must be https, or unset to poll instead of being called")
        return self

    def _derived(self, label: bytes) -> SecretStr | None:
        """From the pepper; None for a process that is not given it."""
        pepper = self.api_key_pepper.get_secret_value()
        return SecretStr(hmac.new(pepper.encode(), label, hashlib.sha256).hexdigest()) if pepper else None

    def _providers_with_keys(self) -> Iterator[ProviderName]:
        if self.fal_key or self.fal_key_new:
            yield ProviderName.FAL
        if self.replicate_api_token:
            yield ProviderName.REPLICATE
        if self.webhook_secret or self.studio_backend_url or self.is_development:
            yield ProviderName.STUDIO

    @classmethod
    def variable_of(cls, field: str) -> str:
        """The variable that sets the field; of several, the preferred one."""
        alias = cls.model_fields[field].validation_alias
        return str(alias.choices[0]) if isinstance(alias, AliasChoices) else field.upper()

    def without_secrets_of_others(self, processes: frozenset[Process]) -> Self:
        """The same, but for the secrets that none of the processes needs."""
        others = {
            name: field.default
            for name, field in type(self).model_fields.items()
            if not is_read_by(self.variable_of(name), processes)
        }
        implied = {
            "database_service_url": SecretStr(self.service_url),
            "replicate_webhooks": self.is_called_by_replicate,
        }
        return self.model_copy(update=implied | others)

    @property
    def slots(self) -> dict[ProviderName, int | Learned | None]:
        """The limits of the providers' accounts, unless one is set while running."""
        return {
            ProviderName.FAL: self.fal_concurrency,
            ProviderName.REPLICATE: self.replicate_concurrency,
            ProviderName.STUDIO: self.studio_concurrency,
        }

    @property
    def service_url(self) -> str:
        """Of Postgres, as the role of workers, webhooks and operators."""
        return (self.database_service_url or self.database_admin_url).get_secret_value()

    @property
    def listen_url(self) -> str:
        """Of Postgres, for notifications."""
        return self.database_listen_url.get_secret_value() if self.database_listen_url else self.service_url

    @property
    def encryption_keys(self) -> PayloadKeys | None:
        return PayloadKeys.parse(self.payload_keys.get_secret_value()) if self.payload_keys else None

    @property
    def replicate_webhook_secrets(self) -> tuple[str, ...]:
        return tuple(_secrets_in(self.replicate_webhook_secret))

    @property
    def is_called_by_replicate(self) -> bool:
        """Whether the API takes its webhooks, so that workers ask for them."""
        return self.replicate_webhook_secret is not None if self.replicate_webhooks is None else self.replicate_webhooks

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @property
    def archive_allows_http(self) -> bool:
        return self.is_development or self.aws_allow_http

    @property
    def archive_location(self) -> str:
        """Where media is kept: `ARCHIVE_URL`, else a folder of the data dir."""
        return self.archive_url or (self.data_dir.resolve() / "archive").as_uri()

    @property
    def reconcile_every(self) -> timedelta:
        """Each pass is four billed actions in Temporal Cloud: at five minutes 35,000 a month, at one 175,000."""
        return self.reconcile_interval or timedelta(minutes=1 if self.is_development else 5)

    @property
    def housekeep_every(self) -> timedelta:
        return self.reconcile_every if self.is_development else max(self.reconcile_every, timedelta(minutes=15))

    @property
    def path_prefix(self) -> str:
        """The path of the public address: empty, or with a slash at its beginning and none at its end."""
        return urlsplit(self.app_url).path if self.app_url else ""

    @property
    def account_names(self) -> tuple[str, ...]:
        """What providers call our accounts, as far as we know."""
        return (self.fal_user_id,) if self.fal_user_id else ()

    @property
    def generate_video_defaults(self) -> dict[str, Any]:
        """By the catalogue's words."""
        return {"duration": self.generate_video_duration, "aspectRatio": self.generate_video_aspect_ratio}

    @property
    def secrets(self) -> frozenset[str]:
        """The values that must show nowhere, the passwords in URLs among them."""
        values = (getattr(self, name) for name in type(self).model_fields)
        secrets = {word for value in values if isinstance(value, SecretStr) for word in _secrets_in(value)}
        passwords = {password for secret in secrets if "://" in secret and (password := urlsplit(secret).password)}
        passwords |= set(self._database_passwords())
        payload_keys = {entry.partition(":")[2] for entry in _secrets_in(self.payload_keys)}
        return frozenset({*secrets, *passwords, *map(unquote, passwords), *payload_keys})

    def unfit_for_production(self, processes: frozenset[Process] = EVERY_PROCESS) -> list[str]:
        """What those must not start with in production, each naming its variable and never the value; in development,
        what they could not."""
        unusable = [*self.unusable_addresses(processes), *self.unusable_credentials(processes)]
        if self.is_development or unusable:
            return unusable
        return [*self._unfit_databases(processes), *self._unfit_secrets(processes), *self._unfit_urls()]

    def unusable_addresses(self, processes: frozenset[Process] = EVERY_PROCESS) -> list[str]:
        """Those of Postgres that cannot be read, or honoured, each with its variable's name."""
        found = []
        for name, url in self._database_addresses(processes).items():
            try:
                PostgresAddress.parse(url.get_secret_value())
            except UnusableAddress as error:
                found.append(f"{name}: {error}")
        return found

    def unusable_credentials(self, processes: frozenset[Process] = EVERY_PROCESS) -> list[str]:
        """What is wrong with the files by which Content Credentials are checked and made, each with its variable."""
        found = []
        if self.content_credentials_trust_anchors and processes & ARCHIVING:
            try:
                check_trust_anchors(self.content_credentials_trust_anchors)
            except UnfitCredentials as error:
                found.append(str(error))
        if self.content_credentials is ContentCredentials.SIGN and Process.TRANSFERS in processes:
            try:
                read_signatory(self.content_credentials_cert, self.content_credentials_key)
            except UnfitCredentials as error:
                found.append(str(error))
            if urlsplit(self.content_credentials_tsa_url or "http://").scheme not in ("http", "https"):
                found.append("CONTENT_CREDENTIALS_TSA_URL: it must be an http or https address")
        return found

    def _database_addresses(self, processes: frozenset[Process]) -> dict[str, SecretStr]:
        """Those that are set, by the variable's name; the owner's where it serves or migrates."""
        urls = {field.upper(): getattr(self, field) for field in DATABASE_URLS}
        return {
            variable: url
            for variable, url in urls.items()
            if url and url.get_secret_value() and (is_read_by(variable, processes) or self._serves(variable))
        }

    def _serves(self, variable: str) -> bool:
        return variable == "DATABASE_ADMIN_URL" and self.database_service_url is None

    def _database_passwords(self) -> Iterator[str]:
        for url in self._database_addresses(EVERY_PROCESS).values():
            with suppress(UnusableAddress):
                if password := PostgresAddress.parse(url.get_secret_value()).password:
                    yield password

    def _unfit_databases(self, processes: frozenset[Process]) -> Iterator[str]:
        urls = {"DATABASE_URL": self.database_url} if is_read_by("DATABASE_URL", processes) else {}
        if self.database_service_url is not None:
            urls["DATABASE_SERVICE_URL"] = self.database_service_url
        # Whoever has the third role need not know the owner's.
        knows_owner = self.database_admin_url and is_read_by("DATABASE_ADMIN_URL", processes)
        if self.database_service_url is None or knows_owner:
            urls["DATABASE_ADMIN_URL"] = self.database_admin_url
        roles: dict[str, str] = {}
        for variable, url in urls.items():
            address = PostgresAddress.parse(url.get_secret_value()) if url.get_secret_value() else None
            if not (address and address.hosts and address.role and address.database):
                yield f"{variable}: it must be postgresql://role:password@host/database"
            elif (other := roles.setdefault(address.role, variable)) != variable:
                yield f"{other}: its role must not be that of {variable}"

    def _unfit_secrets(self, processes: frozenset[Process]) -> Iterator[str]:
        if not self.providers and processes != {Process.WEBHOOKS}:
            is_asked_for_keys = is_read_by("FAL_KEY", processes)
            yield f"{'FAL_KEY' if is_asked_for_keys else 'PROVIDERS'}: it is missing, and no other provider has a key"
        for variable, secret, is_needed, shortest in (
            ("FAL_KEY", self.fal_key, self._needs_fal_key, 1),
            ("FAL_KEY_NEW", self.fal_key_new, False, 1),
            ("FAL_ADMIN_KEY", self.fal_admin_key, False, 1),
            ("REPLICATE_API_TOKEN", self.replicate_api_token, ProviderName.REPLICATE in self.providers, 1),
            ("API_KEY_PEPPER", self.api_key_pepper, True, SHORTEST_SECRET),
            ("FAL_WEBHOOK_SECRET", self.webhook_token_secret, self.app_url is not None, SHORTEST_SECRET),
            ("WEBHOOK_SECRET", self.webhook_secret, ProviderName.STUDIO in self.providers, SHORTEST_SECRET),
            ("OUTGOING_WEBHOOK_SECRET", self.outgoing_webhook_secret, True, SHORTEST_SECRET),
            ("JWT_SECRET", self.jwt_secret, False, SHORTEST_JWT_SECRET),
        ):
            value = secret.get_secret_value() if secret else ""
            if not is_read_by(variable, processes) or not (value or is_needed):
                continue
            if problem := unfit_secret(value, shortest):
                yield f"{variable}: {problem}"

    @property
    def _needs_fal_key(self) -> bool:
        return ProviderName.FAL in self.providers and not self.fal_key_new

    def _unfit_urls(self) -> Iterator[str]:
        for origin in self.cors_origins:
            if not is_public_https(origin) and urlsplit(origin).hostname not in LOOPBACK:
                yield "CORS_ORIGINS: in production each must be https, but for localhost"
        for variable, url in (("APP_URL", self.app_url), ("JWT_JWKS_URL", self.jwt_jwks_url)):
            if url is not None and not is_public_https(url):
                yield f"{variable}: in production it must be an https URL without user, query or fragment"


def number_in(value: str | int | float) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError("must be a number") from None  # the usual message repeats the value


def unfit_secret(value: str, shortest: int) -> str | None:
    if not value:
        return "it is missing"
    if not (value.isascii() and value.isprintable()) or " " in value.strip() or value != value.strip():
        return "it has characters that no secret has, such as spaces"
    if PLACEHOLDER.search(value):
        return "it is a placeholder"
    return f"it must have at least {shortest} characters" if len(value) < shortest else None


def complaints(error: ValidationError) -> list[str]:
    """What is wrong with the environment: each names its variable and never the value."""
    return [
        ": ".join([*(str(name).upper() for name in entry["loc"][:1]), entry["msg"].removeprefix("Value error, ")])
        for entry in error.errors(include_input=False, include_url=False)
    ]


def is_public_https(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and bool(parts.hostname) and not (parts.username or parts.query or parts.fragment)


def is_webhook_secret(text: str) -> bool:
    """Whether it has the form that Standard Webhooks gives to a shared secret: `whsec_` and base64, padded or not."""
    prefix, _, encoded = text.partition("_")
    try:
        return prefix == "whsec" and bool(b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except ValueError:
        return False


def _secrets_in(value: SecretStr | None) -> list[str]:
    return value.get_secret_value().replace(",", " ").split() if value else []


def _is_https_under(hosts: tuple[str, ...], url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(hosts)
