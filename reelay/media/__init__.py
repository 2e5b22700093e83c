"""Media: downloaded with care, looked into, and kept in our own storage."""
