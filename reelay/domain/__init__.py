"""The vocabulary of a generation: plain values and rules. Imports nothing else of Reelay."""
