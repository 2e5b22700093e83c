"""A file that is being received: beside its place until it has proved to be whole."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Self

from reelay_client.errors import DamagedDownload, ReelayError
from reelay_client.models import File


class Download:
    def __init__(self, to: Path, file: File, on_bytes: Callable[[int, int], None]) -> None:
        self._to = to
        self._part = to.with_name(f"{to.name}.part")
        self._file = file
        self._on_bytes = on_bytes
        self._hash = sha256()
        self._size = 0

    def __enter__(self) -> Self:
        try:
            self._output = self._part.open("wb")
        except OSError as error:
            raise ReelayError(f"cannot write {self._part}: {error.strerror}") from error
        return self

    def write(self, part: bytes) -> None:
        self._output.write(part)
        self._hash.update(part)
        self._size += len(part)
        self._on_bytes(self._size, self._file.file_size)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._output.close()
        try:
            if error is None:
                self._require_whole()
                os.replace(self._part, self._to)
        finally:
            self._part.unlink(missing_ok=True)

    def _require_whole(self) -> None:
        if self._size != self._file.file_size:
            raise DamagedDownload(f"{self._file.name}: {self._size} bytes came, not {self._file.file_size}")
        if self._hash.hexdigest() != self._file.sha256:
            raise DamagedDownload(f"{self._file.name}: its checksum is not the one that the API tells")
