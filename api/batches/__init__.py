"""Many jobs by one request."""
