"""Uninstall and install."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.database import Database, wait_until
from tests.faults.test_crashes import assert_nothing_lost
from tests.faults.trial import Trial

KINDS = "pvc,secret,configmap"
WAL_MEBIBYTES = 256


def left(database: Database) -> set[str]:
    names = database.kubectl("get", KINDS, "-o", "name").split()
    return {name for name in names if f"/{database.release}-" in name or f"-{database.release}-" in name}


def test_uninstall_keeps_and_install_takes_up(database: Database, trial: Trial) -> None:
    before = {name: database.secret(name) for name in ("db-app", "db-internal", "db-ca", "db-tls")}

    def again() -> None:
        database.helm("uninstall", database.release, "--wait")
        wait_until("the members are gone", lambda: not database.pods(), 120)
        database.apply("install")

    assert_nothing_lost(trial.play("uninstall and install", again))
    assert before == {name: database.secret(name) for name in before}


@pytest.fixture
def other(context: str, image: str, make_namespace: str) -> Iterator[Database]:
    """Return a second, smaller release."""
    found = Database(context, make_namespace, image, release="other")
    yield found
    found.helm("uninstall", found.release, "--ignore-not-found")


def test_removal_when_asked_for_and_a_clean_start(other: Database) -> None:
    other.apply("install", "uninstall.removeData=true", members=2)
    other.wait_well()
    other.sql("CREATE TABLE here (a int)")
    other.helm("uninstall", other.release)
    wait_until("nothing is left", lambda: left(other) == set(), 60)
    other.apply("install", "uninstall.removeData=true", members=2)
    other.wait_well()
    assert other.sql("SELECT to_regclass('here') IS NULL") == "t"
