"""Jobs: created, read, canceled."""
