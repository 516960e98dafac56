"""Metrics: what is counted, and how the workers of a gunicorn tell it together."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from flask import Flask
from notejam.environment import ConfigError
from notejam.exporter import Exporter
from prometheus_client import generate_latest
from sqlalchemy import URL

from tests.app.postgres_server import find_free_port
from tests.app.serving import GUNICORN, Start, get, wait_for_text
from tests.app.store import NOWHERE, SECRET, MakeApp, MakeDatabase
from tests.app.website import Auth, Visitor


def samples(text: str) -> dict[str, float]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def counted(app: Flask) -> dict[str, float]:
    return samples(generate_latest(app.extensions["notejam.metrics"].registry).decode())


def test_requests_are_counted_by_route(signed_in: Visitor, app: Flask) -> None:
    signed_in.get("/notes/123/")
    signed_in.get("/notes/456/")
    signed_in.get("/no/such/page")
    signed_in.client.open("/", method="BREW")

    found = counted(app)
    requests = {name: value for name, value in found.items() if "http_requests_total" in name}
    assert requests['notejam_http_requests_total{method="GET",route="/notes/<note_id>/",status="404"}'] == 2
    assert requests['notejam_http_requests_total{method="GET",route="none",status="404"}'] == 1
    assert requests['notejam_http_requests_total{method="POST",route="/signin/",status="302"}'] == 1
    assert [name for name in requests if "BREW" in name] == []
    seconds = 'notejam_http_request_duration_seconds_count{method="GET",route="/notes/<note_id>/"}'
    assert found[seconds] == 2
    assert found["notejam_http_requests_in_flight"] == 0


def test_requests_in_flight(stranger: Visitor) -> None:
    app = stranger.client.application
    seen: list[float] = []
    app.before_request(lambda: seen.append(counted(app)["notejam_http_requests_in_flight"]))

    stranger.get("/signin/")
    stranger.get("/no/such/page")
    assert seen == [1, 1]
    assert counted(app)["notejam_http_requests_in_flight"] == 0


def test_sign_ins_and_notes(signed_in: Visitor, app: Flask) -> None:
    signed_in.post("/notes/create/", {"name": "A", "text": "b", "pad": "0"})
    signed_in.post("/notes/create/", {"name": "", "text": "b", "pad": "0"})
    other = Auth(Visitor(app.test_client()))
    other.sign_in(password="not this one")

    found = counted(app)
    assert found["notejam_notes_created_total"] == 1
    assert found['notejam_sign_ins_total{result="ok"}'] == 1
    assert found['notejam_sign_ins_total{result="wrong"}'] == 1


def test_connections(signed_in: Visitor, app: Flask) -> None:
    signed_in.get("/")
    in_use = 'notejam_database_connections{role="primary",state="in_use"}'
    opened = 'notejam_database_connections{role="primary",state="open"}'
    found = counted(app)
    assert found[in_use] == 0
    assert found[opened] >= 1

    with app.extensions["notejam.engine"].connect():
        assert counted(app)[in_use] == 1
    app.extensions["notejam.engine"].dispose()
    assert counted(app)[opened] == 0


def test_an_outage_is_counted(make_app: MakeApp) -> None:
    app = make_app(NOWHERE)
    assert Auth(Visitor(app.test_client())).sign_in().status == 503

    found = counted(app)
    assert found["notejam_database_unavailable_total"] == 1
    assert found['notejam_http_requests_total{method="POST",route="/signin/",status="503"}'] == 1
    assert found['notejam_database_connections{role="primary",state="in_use"}'] == 0


def test_the_build(make_app: MakeApp, database: URL) -> None:
    found = counted(make_app(database, version="1.2.3", commit="abc"))

    assert found['notejam_build_info{commit="abc",version="1.2.3"}'] == 1


@pytest.fixture
def served(
    start: Start, make_database: MakeDatabase, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A gunicorn with two workers, its port, and that of its metrics."""
    metrics_port = find_free_port()
    with make_database("sqlite") as url:
        process, port = start(
            [*GUNICORN, "--bind", "127.0.0.1:PORT", "notejam.wsgi:app"],
            {
                "DATABASE_URL": str(url),
                "SECRET_KEY": SECRET,
                "WEB_CONCURRENCY": "2",
                "NOTEJAM_METRICS_PORT": str(metrics_port),
                "NOTEJAM_VERSION": "1.2.3",
                "TMPDIR": str(tmp_path),
            },
        )
        yield process, port, metrics_port
        process.terminate()
        assert process.wait(30) == 0


def scrape(port: int) -> dict[str, float]:
    status, body = get(port, "/metrics")
    assert status == 200
    return samples(body.decode())


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text(encoding="ascii").split()]


REQUESTS = 'notejam_http_requests_total{method="GET",route="/signin/",status="200"}'


def test_all_workers_together(served: tuple[subprocess.Popen[str], int, int], tmp_path: Path) -> None:
    process, port, metrics_port = served
    for _ in range(10):
        assert get(port, "/signin/")[0] == 200
    found = scrape(metrics_port)
    assert found[REQUESTS] == 10
    assert found['notejam_build_info{commit="unknown",version="1.2.3"}'] == 1
    assert get(metrics_port, "/")[0] == 404
    assert get(port, "/metrics")[0] == 404, "not for everybody"

    # A dead worker's counts stay, and the one in its place goes on with them, in the same files.
    for died in range(1, 4):
        os.kill(workers_of(process)[0], signal.SIGKILL)
        wait_for_text(tmp_path / "output", "Booting worker", times=2 + died)
        assert get(port, "/signin/")[0] == 200
    assert scrape(metrics_port)[REQUESTS] == 13
    assert scrape(metrics_port)["notejam_http_requests_in_flight"] == 0
    folder = tmp_path / f"notejam-metrics-{metrics_port}"
    places = {re.sub(r".*_|\.db", "", path.name) for path in folder.iterdir()}
    assert places <= {"0", "1", "parent"}


def test_formats(served: tuple[subprocess.Popen[str], int, int]) -> None:
    connection = HTTPConnection("127.0.0.1", served[2], timeout=10)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()

    assert response.getheader("Content-Type", "").startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")
    assert "Python" not in response.getheader("Server", "")


def test_the_folder_is_emptied_at_a_start(start: Start, make_database: MakeDatabase, tmp_path: Path) -> None:
    metrics_port = find_free_port()
    folder = tmp_path / f"notejam-metrics-{metrics_port}"
    folder.mkdir()
    (folder / "counter_0.db").write_text("left behind", encoding="utf-8")
    with make_database("sqlite") as url:
        start(
            [*GUNICORN, "--bind", "127.0.0.1:PORT", "notejam.wsgi:app"],
            {
                "DATABASE_URL": str(url),
                "SECRET_KEY": SECRET,
                "WEB_CONCURRENCY": "1",
                "NOTEJAM_METRICS_PORT": str(metrics_port),
                "TMPDIR": str(tmp_path),
            },
        )
        assert scrape(metrics_port)["notejam_http_requests_in_flight"] == 0
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_port_in_use() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="NOTEJAM_METRICS_PORT names a port that cannot be opened"):
            Exporter(port)
