"""API keys, as far as everybody has to agree on them."""

from datetime import timedelta

LONGEST_LIFETIME = timedelta(days=36525)
"""Of a key that expires."""
