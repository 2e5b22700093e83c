"""The steps of a generation that touch the world: read, call, write. Each is safe to run twice."""
