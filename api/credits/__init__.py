"""What the caller has to spend."""
