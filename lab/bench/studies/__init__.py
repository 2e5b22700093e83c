"""Questions that one table of generations per second does not answer: large files, many waiting, many rows."""
