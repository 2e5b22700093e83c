"""The activities of a generation: read, call, write. Each is safe to run twice."""
