"""What one model is asked for, whoever runs it."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from lab.simulator.samples import Medium


class ModelInput(BaseModel):
    """One model's input. Unknown fields are ignored, as the providers do."""

    model_config = ConfigDict(extra="ignore")

    medium: ClassVar[Medium | None] = None
    """What it makes; None: only data."""

    @property
    def outputs(self) -> int:
        """How many files of that kind it makes."""
        return 0 if self.medium is None else 1

    @property
    def media(self) -> list[Medium]:
        """All files that it makes, in the order in which its answer has them."""
        return [] if self.medium is None else [self.medium] * self.outputs
