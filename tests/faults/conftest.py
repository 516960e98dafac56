"""The database that the fault suite breaks: a release of its own, in a namespace of its own.

`make up` must have run: the image is the one in its registry. Tests without the mark `quick` are left out
unless NOTEJAM_FAULTS=all, which `make test-faults` sets. The reports are shown at the end, also when all went
well, and with NOTEJAM_FAULTS=all they are in .local/faults.json.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.images import POSTGRES
from tests.faults.database import Database
from tests.faults.images import find_image
from tests.faults.nodes import Nodes
from tests.faults.record import FILE, Record, describe
from tests.faults.trial import Trial
from tests.namespaces import have_namespace

# The longest case waits for nodes, twice.
WATCHDOG_SECONDS = 900
RECORD = pytest.StashKey[Record]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not for every run."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(WATCHDOG_SECONDS))
    if os.environ.get("NOTEJAM_FAULTS") == "all":
        return
    left_out = [
        item for item in items if item.path.is_relative_to(here) and not item.get_closest_marker("quick")
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show every report, and keep them."""
    record = config.stash.get(RECORD, None)
    if record is None or not record.reports:
        return
    terminalreporter.write_sep("=", "faults")
    terminalreporter.write_line(", ".join(f"{name} {text}" for name, text in record.about.items()))
    for report in record.reports:
        terminalreporter.write_line(str(report))
    if os.environ.get("NOTEJAM_FAULTS") == "all":
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(record.dump(), encoding="utf-8")
        terminalreporter.write_line(f"JSON: {FILE}")


@pytest.fixture(scope="session")
def context() -> str:
    return os.environ.get("NOTEJAM_CONTEXT", "kind-notejam")


@pytest.fixture(scope="session")
def image() -> str:
    """Return repository@digest of the image of this checkout."""
    return find_image(POSTGRES)


@pytest.fixture(scope="session")
def make_namespace(context: str) -> Iterator[str]:
    """Make a namespace under the `restricted` policy; all that is in it goes at the end."""
    with have_namespace(context, f"faults-{secrets.token_hex(3)}") as name:
        yield name


@pytest.fixture(scope="session")
def database(context: str, image: str, make_namespace: str) -> Database:
    """Return three members, with the chart's defaults but for their size."""
    found = Database(context, make_namespace, image)
    found.apply("install")
    found.wait_well()
    return found


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest, context: str) -> Record:
    """Return where the reports of all cases go, whichever database they are about."""
    made = Record(describe(context))
    request.config.stash[RECORD] = made
    return made


@pytest.fixture(scope="session")
def trial(database: Database, record: Record) -> Trial:
    """Return the writers beside it."""
    made = Trial(database, record)
    made.start()
    return made


@pytest.fixture
def other(context: str, image: str, make_namespace: str) -> Iterator[Database]:
    """Return a second release, which leaves nothing behind."""
    found = Database(context, make_namespace, image, release="extra")
    yield found
    found.helm("uninstall", found.release, "--ignore-not-found")
    words = ("pvc,secret,configmap", "--selector", "app.kubernetes.io/instance=extra", "--ignore-not-found")
    found.kubectl("delete", *words)
    # Not of the release where cert-manager, or a test, made them; the next one would take them up.
    found.kubectl("delete", "secret", "extra-ca", "extra-tls", "--ignore-not-found")


@pytest.fixture
def nodes(database: Database) -> Nodes:
    return Nodes(database)


@pytest.fixture(autouse=True)
def show_why(request: pytest.FixtureRequest) -> Iterator[None]:
    """When a case fails, show what the members say."""
    failed = request.session.testsfailed
    databases: list[Database] = [
        request.getfixturevalue(name) for name in ("database", "other") if name in request.fixturenames
    ]
    yield
    if request.session.testsfailed == failed:
        return
    for database in databases:
        sys.stderr.write(database.kubectl("get", "pods", "-o", "wide", "--show-labels", check=False))
        for number in range(database.size):
            words = ("logs", f"{database.release}-{number}", "--all-containers", "--tail=40")
            sys.stderr.write(database.kubectl(*words, check=False))
