"""Webhooks to the users' own backends: secrets, signatures, and the request itself."""
