"""Agents, by the Model Context Protocol."""
