"""For the unit tests: properties are searched in the same way every time, without a database or a clock."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("house", derandomize=True, deadline=None, database=None, max_examples=100)
settings.load_profile("house")
