"""Reelay from Python: `async with Reelay(url, key) as reelay`."""

from reelay_client.client import Reelay
from reelay_client.errors import (
    ConfirmationRequired,
    DamagedDownload,
    InsufficientCredits,
    InvalidInput,
    NoMedia,
    NotAuthorized,
    NotFound,
    NotReachable,
    RateLimited,
    ReelayError,
    Refused,
)
from reelay_client.job import File, Job

__all__ = [
    "ConfirmationRequired",
    "DamagedDownload",
    "File",
    "InsufficientCredits",
    "InvalidInput",
    "Job",
    "NoMedia",
    "NotAuthorized",
    "NotFound",
    "NotReachable",
    "RateLimited",
    "Reelay",
    "ReelayError",
    "Refused",
]
