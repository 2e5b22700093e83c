"""A stand-in for the providers, with real media and faults on demand. Imports nothing of Reelay."""
