"""From the version before, 0.1.0, with its data and with writers at work."""

from __future__ import annotations

import io
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.faults.database import CHART, ROOT, Database
from tests.faults.images import push_upon
from tests.faults.record import Record
from tests.faults.trial import Trial
from tests.namespaces import have_namespace

# The last commit with version 0.1.0 of the chart; it spoke no TLS, and had no keeper and no rollout Job.
COMMIT = "f4c4a823c188a8c9b78ac3a01e3de697563b1245"
FOLDER = "charts/postgres-ha"
# Its own scripts in the image of today: the packages of then are not to be had again.
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY --chmod=0755 entrypoint.sh /usr/local/bin/postgres-ha-entrypoint
COPY --chmod=0755 post_bootstrap.sh /usr/local/bin/postgres-ha-post-bootstrap
COPY --chmod=0755 pre_stop.py /usr/local/bin/postgres-ha-pre-stop
COPY --chmod=0755 on_role_change.py /usr/local/bin/postgres-ha-on-role-change
CMD ["/etc/patroni/patroni.yml"]
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Return the chart of then."""
    words = ("git", "-C", str(ROOT), "archive", COMMIT, FOLDER)
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 0, f"{done.stderr.decode()}without its history: git fetch --unshallow"
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(tmp_path, filter="data")
    found = tmp_path / FOLDER
    assert version(found) == "0.1.0"
    return found


@pytest.fixture
def previous(context: str, image: str, chart: Path) -> Iterator[Database]:
    """Return three members of then."""
    (chart / "image" / "Dockerfile").write_text(DOCKERFILE)
    old = push_upon(image, chart / "image", f"{image.partition('@')[0]}-0.1.0:test")
    with have_namespace(context, f"faults-{secrets.token_hex(3)}") as namespace:
        found = Database(context, namespace, old)
        found.apply("install", chart=chart)
        found.wait_well()
        yield found


def version(chart: Path) -> str:
    return str(yaml.safe_load((chart / "Chart.yaml").read_text())["version"])


def test_an_upgrade_from_the_version_before_keeps_data_logins_and_writers(
    previous: Database, image: str, record: Record
) -> None:
    database = previous
    assert version(CHART) != "0.1.0"
    database.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS a")
    before = database.secret("db-app")
    trial = Trial(database, record)
    trial.start()
    database.image = image
    report = trial.play("upgrade from 0.1.0", lambda: database.apply("upgrade"))
    assert report.lost == 0
    assert report.writers_at_once == 1
    assert report.timelines == 2, "the primary moves once"

    after = database.secret("db-app")
    assert {key: after[key] for key in ("username", "password")} == {
        key: before[key] for key in ("username", "password")
    }
    assert database.sql("SELECT count(*), sum(a) FROM kept") == "1000|500500"
    assert database.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)") == "t"
    assert "keeper" in {item["name"] for pod in database.pods() for item in pod["spec"]["containers"]}
    moved = trial.play("switchover after it", lambda: database.pgha("switchover"))
    assert (moved.lost, moved.writers_at_once) == (0, 1)
