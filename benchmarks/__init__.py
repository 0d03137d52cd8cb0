"""Measurements of prs beside the programs that it replaces; one module a topic."""
