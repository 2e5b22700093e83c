"""Archived files."""
