"""A generation as one trace, from its POST to the archive, for who runs a collector."""
