"""The settings of a simulator."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

REPLICATE_WEBHOOK_SECRET = "whsec_c2ltdWxhdGVkIHdlYmhvb2sgc2VjcmV0IG9mIHJlcGxpY2F0ZQ=="
"""Known to everybody: it proves nothing but that the simulator has signed."""


class SimulatorSettings(BaseModel):
    """Built once by whoever starts a simulator; the defaults suit a development machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    media_dir: Path
    """Where the sample media are kept once made."""
    state_file: Path | None = None
    """Keeps requests, counts and signing keys across restarts; None: they end with the process."""
    public_url: str | None = None
    """Origin of the addresses handed out; None: the one that each submission came to."""
    account_id: str = "user_simulator"
    """`X-Fal-Webhook-User-Id` of every webhook."""
    replicate_webhook_secret: str = REPLICATE_WEBHOOK_SECRET
    """What Replicate's webhooks are signed with."""
    accepted_keys: frozenset[str] | None = None
    """Valid keys and tokens; None: any."""
    latency: timedelta = timedelta(seconds=1.5)
    """From acceptance to the end, unless the prompt says otherwise."""
    fal_concurrency: int | None = Field(None, gt=0)
    """How many requests of the account at fal run at once, the rest being queued; None: all."""
    submit_timeout: timedelta = timedelta(minutes=2)
    """How long `submit=timeout` holds a connection before it is cut."""
    webhook_timeout: timedelta = timedelta(seconds=15)
    """For the first delivery. fal's value."""
    webhook_retry_timeout: timedelta = timedelta(seconds=120)
    """For each later delivery. fal's value."""
    studio_secret: SecretStr | None = SecretStr("simulated-webhook-secret")
    """None: jobs are taken from everybody, and pushed without one."""
    """`X-Webhook-Secret` of every push."""
    webhook_compression: float = Field(1.0, gt=0)
    """How many times faster than by the providers deliveries are repeated."""
    verify_tls: bool = True
    """Whether a receiver's certificate must be valid."""
