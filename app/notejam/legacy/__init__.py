"""Bringing over the data of the legacy app."""
