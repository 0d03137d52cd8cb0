"""Figures of an evaluation, and what all figures share: style, panels, views of its tables."""
