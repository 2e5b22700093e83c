"""Whose certificates the clients of this process trust."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """One for all clients: to read the authorities' certificates takes some 40 ms of CPU."""
    return httpx.create_ssl_context()
