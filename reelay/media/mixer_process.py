"""A process that makes one film: `python -I -m reelay.media.mixer_process MEMORY BYTES`.

It reads the plan as a line of JSON from its standard input, and writes lines of JSON to its standard output: how
much is written, and last the film, or what is wrong.
"""

import os
import sys
import time
import traceback

from reelay.media.confinement import MAX_TRACEBACK_CHARACTERS, confine, say
from reelay.media.errors import BadMedia
from reelay.media.film import mix
from reelay.media.inspection import OUT_OF_MEMORY
from reelay.media.mix import LINE, PLAN, Mix, MixerLine

SAY_EVERY_SECONDS = 0.5


def main(memory_bytes: int, written_bytes: int) -> None:
    confine(memory_bytes, written_bytes=written_bytes)
    _say(_answer(PLAN.validate_json(sys.stdin.buffer.readline())))


def _answer(plan: Mix) -> MixerLine:
    try:
        return MixerLine(film=mix(plan, _Progress()))
    except BadMedia as error:
        return MixerLine(bad_media=str(error))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception:
        return MixerLine(bug=traceback.format_exc()[-MAX_TRACEBACK_CHARACTERS:])


class _Progress:
    def __init__(self) -> None:
        self._said_at = 0.0

    def __call__(self, fraction: float) -> None:
        if time.monotonic() - self._said_at >= SAY_EVERY_SECONDS:
            self._said_at = time.monotonic()
            _say(MixerLine(fraction=fraction))


def _say(line: MixerLine) -> None:
    say(LINE.dump_json(line) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
