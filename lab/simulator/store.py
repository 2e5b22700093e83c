"""What outlives the simulator's process: documents by kind and name, in one SQLite file."""

import sqlite3
from pathlib import Path


class Store:
    """Survives a killed process. Not a power cut: a stand-in does not wait for the disk."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS documents (kind text, name text, body text NOT NULL, PRIMARY KEY (kind, name))"
        )

    def put(self, kind: str, name: str, body: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, name, body))

    def all(self, kind: str) -> dict[str, str]:
        """The documents of a kind, sorted by name."""
        query = "SELECT name, body FROM documents WHERE kind = ? ORDER BY name"
        return dict(self._connection.execute(query, (kind,)).fetchall())

    def delete_all(self, kind: str) -> None:
        self._connection.execute("DELETE FROM documents WHERE kind = ?", (kind,))

    def close(self) -> None:
        self._connection.close()
