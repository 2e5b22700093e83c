"""Reelay from Python: `with Reelay(url, key) as reelay`, or `async with AsyncReelay(url, key) as reelay`."""

from reelay_client.async_client import AsyncReelay
from reelay_client.client import Reelay
from reelay_client.errors import (
    ConfirmationRequired,
    DamagedDownload,
    GenerationFailed,
    InsufficientCredits,
    InvalidInput,
    NoMedia,
    NotAuthorized,
    NotFound,
    NotReachable,
    RateLimited,
    ReelayError,
    Refused,
    WaitTimeout,
)
from reelay_client.models import (
    Campaign,
    Clip,
    Created,
    Credits,
    Estimate,
    File,
    Job,
    Model,
    TimelineEvent,
)

__all__ = [
    "AsyncReelay",
    "Campaign",
    "Clip",
    "ConfirmationRequired",
    "Created",
    "Credits",
    "DamagedDownload",
    "Estimate",
    "File",
    "GenerationFailed",
    "InsufficientCredits",
    "InvalidInput",
    "Job",
    "Model",
    "NoMedia",
    "NotAuthorized",
    "NotFound",
    "NotReachable",
    "RateLimited",
    "Reelay",
    "ReelayError",
    "Refused",
    "TimelineEvent",
    "WaitTimeout",
]
