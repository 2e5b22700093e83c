"""A program as small as can be: journals its life, and answers, dies or is stubborn as it is told."""

import os
import signal
import sys
import time
from pathlib import Path

folder, name, behaviour = Path(sys.argv[1]), sys.argv[2], sys.argv[3]


def journal(line: str) -> None:
    with (folder / "journal").open("a") as file:
        file.write(f"{name} {line}\n")


def leave(number: int, frame: object) -> None:
    journal("stopped")
    sys.exit(0)


lives = folder / f"{name}.lives"
life = int(lives.read_text()) + 1 if lives.exists() else 1
lives.write_text(str(life))
signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else leave)
journal("started")
if behaviour == "dies" or (behaviour == "dies once" and life == 1):
    for number in range(100):
        sys.stdout.write(f"line {number} of life {life}\n")
    sys.exit(7)
(folder / f"{name}.{os.getpid()}").touch()
while True:
    time.sleep(60)
