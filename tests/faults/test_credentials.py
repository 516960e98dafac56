"""Certificates and passwords that change: by their owners, by a rotation, and by a rollback."""

from __future__ import annotations

import shlex

import pytest

from tests.faults.certificates import authority_pair, give_certificate, mounted, short_lived, wait_shown
from tests.faults.database import Database, FaultError, wait_until
from tests.faults.test_access import ask


def test_a_certificate_of_another_authority_is_taken_up(other: Database) -> None:
    """At once and without a restart, by Postgres and by Patroni; afterwards the members still talk."""
    give_certificate(other)
    other.apply("install", "tls.mode=existingSecret", "tls.existingSecret=given", members=2)
    other.wait_well()
    starts = other.starts()
    give_certificate(other)
    given = other.secret("given")
    wait_shown(other, given["tls.crt"])
    wait_until(
        "the application trusts it", lambda: other.secret("extra-app")["ca.crt"] == given["ca.crt"], 60
    )
    other.wait_well()
    other.pgha("switchover", pod=other.replicas()[0])
    other.wait_well()
    assert other.starts() == starts


def test_to_a_secret_of_ones_own_by_the_way_that_the_refusal_names(other: Database) -> None:
    """Members of one authority trust none of another: the Secret alone cannot be exchanged."""
    other.apply("install", members=2)
    other.wait_well()
    give_certificate(other)
    own = ("tls.mode=existingSecret", "tls.existingSecret=given")
    with pytest.raises(FaultError, match=r"tls\.mode: .* another authority") as refused:
        other.apply("upgrade", *own, members=2)
    given = other.secret("given")
    suspend = """patch cronjob extra-certificates --patch '{"spec": {"suspend": true}}'"""
    assert suspend in str(refused.value)
    other.kubectl(*shlex.split(suspend))
    other.patch_secret("extra-tls", given)
    wait_shown(other, given["tls.crt"])
    other.wait_well()
    other.apply("upgrade", *own, members=2)
    other.wait_well()
    assert mounted(other) == {"given"}
    wait_until(
        "the application trusts it", lambda: other.secret("extra-app")["ca.crt"] == given["ca.crt"], 60
    )


def test_a_rollback_brings_no_old_certificate_back(other: Database) -> None:
    other.apply("install", members=1)
    other.wait_well()
    authority = authority_pair()
    renewed = {**short_lived(authority), "ca.crt": authority["ca.crt"]}
    for name, data in (("extra-ca", authority), ("extra-tls", renewed)):
        other.patch_secret(name, data)

    def trusted() -> bool:
        return other.secret("extra-app")["ca.crt"] == authority["ca.crt"]

    wait_until("the application trusts it", trusted, 180)
    # The manifest of this revision would have the new ones, that of the first the old ones.
    other.apply("upgrade", "networkPolicy.enabled=false", members=1)
    other.helm("rollback", other.release, "1", "--wait", "--timeout", "5m")
    assert other.kubectl("get", "networkpolicy", "extra", "--output", "name").strip()
    assert other.secret("extra-tls") == renewed
    assert other.secret("extra-ca") == authority
    assert trusted()


def test_a_password_that_was_changed_by_hand_comes_back_with_a_rollback(other: Database) -> None:
    other.apply("install", members=1)
    other.wait_well()
    former = other.secret("extra-internal")["backup-password"]
    changed = {"backup-password": "changed by hand"}

    def may_connect(password: str) -> bool:
        dsn = f"host=extra-primary user=backup dbname=notejam sslmode=require password='{password}'"
        return ask(other, "extra-0", dsn, "SELECT 1") == "1"

    wait_until("backup connects", lambda: may_connect(former), 60)
    other.patch_secret("extra-internal", changed)
    wait_until("the new one is set", lambda: may_connect(changed["backup-password"]), 60)
    other.apply("upgrade", "podAnnotations.change=one", members=1)
    assert may_connect(changed["backup-password"])
    with pytest.raises(FaultError, match=r"conflict with .*\.data\.backup-password"):
        other.helm("rollback", other.release, "1", "--timeout", "5m")
    other.helm("rollback", other.release, "1", "--timeout", "5m", "--force-conflicts")
    wait_until("the former one is set again", lambda: may_connect(former), 60)


def test_passwords_of_a_given_secret_are_rotated(other: Database) -> None:
    """Another password alone would keep a replica out that connects again."""

    def give(word: str) -> None:
        names = ("replication-password", "rewind-password", "restapi-password", "backup-password")
        # The one of Patroni's interface stays.
        data = {name: "stays" if name.startswith("restapi") else f"{word}-{name}" for name in names}
        other.make_secret("ours", data)

    setting = "credentials.internal.existingSecret=ours"
    give("first")
    other.apply("install", setting, members=2)
    other.wait_well()
    assert other.sql("SELECT usename FROM pg_stat_replication") == "replicator"
    give("second")
    other.apply("upgrade", setting, "credentials.internal.rotation=1", members=2)
    other.wait_well()
    assert other.sql("SELECT usename FROM pg_stat_replication") == "replicator_2"
    for pod in ("extra-0", "extra-1"):
        assert (
            other.inside(pod, 'echo "$PATRONI_REPLICATION_PASSWORD"').strip() == "second-replication-password"
        )
