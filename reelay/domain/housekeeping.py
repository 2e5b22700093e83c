"""What a pass of the housekeeping did."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pruned:
    jobs: int = 0
    """Deleted, with all that belongs to them."""
    media: int = 0
    """Jobs whose files were deleted."""
    events: int = 0
    users: int = 0
    erased: int = 0
    """Of what was deleted: its files and what its provider stored."""
    not_erased: int = 0
    """What could not be, yet."""
