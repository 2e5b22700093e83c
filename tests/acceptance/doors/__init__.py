"""Existing clients, unchanged, at the doors that are made for them."""
