"""Running a check in a test process of its own, with a bug planted into it or without."""

import asyncio
import re
import sys
from dataclasses import dataclass

from tests.paths import ROOT

TESTS_FAILED = 1
"""pytest's exit code. Other codes than this and 0 say that the check itself could not be run."""
# A check that hangs of a bug has noticed it, too.
AT_MOST_SECONDS = 150


@dataclass(frozen=True)
class Verdict:
    code: int
    output: str

    @property
    def passed(self) -> bool:
        return self.code == 0

    @property
    def caught(self) -> bool:
        """A test failed; that nothing could be set up is no catch."""
        return self.code == TESTS_FAILED and bool(self.failures) and "\nERROR " not in self.output

    @property
    def failures(self) -> list[str]:
        return re.findall(r"^FAILED (.*)$", self.output, re.MULTILINE)


async def run(*checks: str, plant: str | None = None) -> Verdict:
    planted = ("--plant", plant) if plant else ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "tests.lab.proof.plant"),
        *("--timeout", str(AT_MOST_SECONDS), *planted, *checks),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return Verdict(process.returncode, output.decode(errors="replace"))
