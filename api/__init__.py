"""The HTTP interface: routes of a few lines."""
