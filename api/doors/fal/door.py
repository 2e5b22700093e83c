"""What the fal door keeps in a process."""

from dataclasses import dataclass, field

from api.doors.fal.pollers import Pollers
from api.doors.fal.replays import Replays


@dataclass(frozen=True)
class FalDoor:
    replays: Replays
    pollers: Pollers = field(default_factory=Pollers)
