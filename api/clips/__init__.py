"""Campaigns and clips: the caller's own rows."""
