"""The server of these tests: that of the release, where its image is at hand."""

from __future__ import annotations

import os

import pytest

from tests.app.postgres_container import IMAGE
from tests.app.postgres_server import PostgresServer


@pytest.mark.process
def test_the_suite_runs_on_the_released_major_version(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        major = connection.info.server_version // 10_000
    assert major == 17 if os.environ.get(IMAGE) else major >= 15
