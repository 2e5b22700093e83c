"""Operators' calls: one module per subject, with its routes and schemas."""
