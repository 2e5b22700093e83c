"""A process that looks into media files for the worker: `python -I -m reelay.media.decoder_process MEMORY CPU`.

It reads a request a line from its standard input and answers by a line to its standard output (`inspection.py`). At
`MEMORY` bytes, or `CPU` seconds for one file, it dies, whatever the file does to it; and with the process that started
it.
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path

from reelay.media.confinement import MAX_TRACEBACK_CHARACTERS, confine, say
from reelay.media.credentials import carries_manifest, read_provenance
from reelay.media.errors import BadMedia
from reelay.media.inspection import OUT_OF_MEMORY, READY, TAKEN, Answer, Request
from reelay.media.probe import inspect
from reelay.media.sheet import write_sheet

MAX_WRITTEN_BYTES = 16 * 1024 * 1024
"""Of a poster."""


def main(memory_bytes: int, cpu_seconds: float) -> None:
    confine(memory_bytes, written_bytes=MAX_WRITTEN_BYTES)
    say(READY)
    for line in sys.stdin.buffer:
        say(TAKEN)
        # Its signal, SIGPROF, ends a process that has no handler for it.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        answer = _answer(Request(**json.loads(line)))
        signal.setitimer(signal.ITIMER_PROF, 0)
        say(json.dumps(asdict(answer)).encode() + b"\n")


def _answer(request: Request) -> Answer:
    path = Path(request.path)
    poster = Path(request.poster) if request.poster else None
    try:
        if request.credentials_alone:
            anchors = Path(request.trust_anchors) if request.trust_anchors else None
            return Answer(provenance=read_provenance(path, anchors))
        if request.sheet:
            write_sheet(path, Path(request.sheet))
            return Answer(has_sheet=True)
        found = inspect(path, poster=poster, check_end=request.check_end)
        return Answer(inspection=replace(found, has_credentials=carries_manifest(path)))
    except BadMedia as error:
        return Answer(bad_media=str(error))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception:
        return Answer(bug=traceback.format_exc()[-MAX_TRACEBACK_CHARACTERS:])


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
