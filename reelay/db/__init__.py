"""Postgres: tables, migrations, row-level security, and queries named as sentences."""
