"""Media: downloaded, probed, and kept in our own storage."""
