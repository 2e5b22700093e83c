"""Pipelines: jobs and mixes that depend on each other, as one plan."""
