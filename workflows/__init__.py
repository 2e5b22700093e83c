"""The story of a generation, as Temporal keeps it."""
