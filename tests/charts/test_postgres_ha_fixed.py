"""What is fixed at install is refused where the cluster tells otherwise."""

import json
from typing import Any

import pytest

from tests.charts.looked_up import Cluster, Release

LABELS = {"app.kubernetes.io/name": "postgres-ha", "app.kubernetes.io/instance": "demo"}
APP = {"username": "notejam", "database": "notejam", "password": "of-now", "rotation": "0"}
OWN = "credentials.app.existingSecret=mine"


def sized(name: str, size: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": size}}}}


def add_members(cluster: Cluster, name: str = "demo", **sizes: str) -> None:
    """A StatefulSet, with these sizes in its templates."""
    templates = [sized(claim, size) for claim, size in sizes.items()]
    cluster.add("StatefulSet", name, LABELS, spec={"volumeClaimTemplates": templates})


def declare(cluster: Cluster, name: str, user: str) -> None:
    """The application's database and another one."""
    wishes = {"databases": [{"name": name, "user": user}, {"name": "b", "user": "c"}]}
    cluster.add("ConfigMap", "demo-desired", LABELS, data={"desired.json": json.dumps(wishes)})


def claims(docs: list[dict[str, Any]]) -> dict[str, str]:
    """The sizes in the templates that are made."""
    (found,) = [doc for doc in docs if doc["kind"] == "StatefulSet"]
    templates = found["spec"]["volumeClaimTemplates"]
    return {one["metadata"]["name"]: one["spec"]["resources"]["requests"]["storage"] for one in templates}


@pytest.mark.parametrize(
    ("was", "sets", "wanted"),
    [("demo", ("fullnameOverride=accounts",), "accounts"), ("accounts", (), "demo")],
)
def test_another_name_is_refused(
    release: Release, cluster: Cluster, was: str, sets: tuple[str, ...], wanted: str
) -> None:
    add_members(cluster, was)
    error = release.error(*sets, is_upgrade=True)
    assert "fullnameOverride: is fixed at install. The release has" in error
    assert f"the StatefulSet {was}, and would get {wanted}: the volumes carry the name" in error
    assert f"Set it to {was}." in error


def test_the_same_name_is_taken(release: Release, cluster: Cluster) -> None:
    add_members(cluster, "accounts")
    assert release.docs("fullnameOverride=accounts", is_upgrade=True)


def test_neither_of_two_names_is_refused(release: Release, cluster: Cluster) -> None:
    """Otherwise none could be given, and the release could not be upgraded at all."""
    for name in ("demo", "accounts"):
        add_members(cluster, name)
    assert release.docs(is_upgrade=True)
    assert release.docs("fullnameOverride=accounts", is_upgrade=True)


@pytest.mark.parametrize("label", LABELS)
def test_members_of_another_release_or_chart_are_left_alone(
    release: Release, cluster: Cluster, label: str
) -> None:
    cluster.add("StatefulSet", "others", {**LABELS, label: "other"}, spec={})
    cluster.objects.append({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "bare"}})
    assert release.docs(is_upgrade=True)


def test_an_install_may_take_another_name(release: Release, cluster: Cluster) -> None:
    add_members(cluster, "accounts")
    declare(cluster, "accounts", "accounts")
    assert release.docs("fullnameOverride=other")


@pytest.mark.parametrize("sets", [(), (OWN,)])
@pytest.mark.parametrize("key", ["name", "user"])
def test_another_database_and_another_user_are_refused(
    release: Release, cluster: Cluster, key: str, sets: tuple[str, ...]
) -> None:
    declare(cluster, **{"name": "notejam", "user": "notejam", key: "accounts"})
    error = release.error(*sets, is_upgrade=True)
    assert f"database.{key}: is fixed at install. The ConfigMap demo-desired has accounts, and" in error
    assert "the values have notejam: an upgrade would make another one" in error
    assert "Set it to accounts." in error


@pytest.mark.parametrize("text", ['{"databases": [{"name": "notejam", "user": "notejam"}]}', "{}", "nothing"])
def test_the_same_database_is_taken_and_so_is_no_word_of_it(
    release: Release, cluster: Cluster, text: str
) -> None:
    cluster.add("ConfigMap", "demo-desired", LABELS, data={"desired.json": text})
    assert release.docs(OWN, is_upgrade=True)


@pytest.mark.parametrize(
    ("login", "rotation", "user", "has"),
    [
        ("notejam", "0", "notejam_2", "notejam"),
        ("notejam_2", "1", "notejam_2", "notejam"),
        ("notejam_2", "0", "notejam", "notejam_2"),
        ("accounts", "0", "notejam", "accounts"),
    ],
)
def test_the_user_of_a_kept_secret_must_be_the_same(
    release: Release, cluster: Cluster, login: str, rotation: str, user: str, has: str
) -> None:
    cluster.secrets = {"demo-app": {**APP, "username": login, "rotation": rotation}}
    error = release.error(f"database.user={user}", f"credentials.app.rotation={rotation}")
    assert f"are fixed at install. The Secret demo-app has {has} and notejam. Set them so" in error


@pytest.mark.parametrize(
    ("login", "rotation", "user"),
    [
        ("notejam", "0", "notejam"),
        ("notejam_2", "1", "notejam"),
        ("notejam_2", "0", "notejam_2"),
        ("notejam_2_2", "1", "notejam_2"),
    ],
)
def test_either_login_of_the_user_is_taken(
    release: Release, cluster: Cluster, login: str, rotation: str, user: str
) -> None:
    cluster.secrets = {"demo-app": {**APP, "username": login, "rotation": rotation}}
    made = release.secrets(f"database.user={user}", f"credentials.app.rotation={rotation}")["demo-app"]
    assert (made["data"]["username"], made["data"]["password"]) == (login, "of-now")


@pytest.mark.parametrize(
    ("claim", "key", "others"),
    [("data", "storage.size", ()), ("wal", "storage.wal.size", ("storage.wal.enabled=true",))],
)
@pytest.mark.parametrize("is_upgrade", [True, False])
def test_volumes_that_have_grown_never_shrink(
    release: Release, cluster: Cluster, claim: str, key: str, others: tuple[str, ...], *, is_upgrade: bool
) -> None:
    """Not below the largest, and of an install that takes up kept volumes no more than of an upgrade."""
    if is_upgrade:
        add_members(cluster, data="1Gi", wal="1Gi")
    for ordinal, size in enumerate(("20Gi", "20480Mi", "21Gi", "9Ti")):
        name = f"{claim}-demo-{ordinal}"
        cluster.add("PersistentVolumeClaim", name, LABELS, spec=sized(name, size)["spec"])
    error = release.error(*others, f"{key}=20Gi", is_upgrade=is_upgrade)
    assert (
        f"{key}: is 20Gi, and the volume {claim}-demo-2 has 21Gi: volumes never shrink. Set it to 21Gi"
        in error
    )
    # The fourth belongs to no member now. A template cannot change, and a new one is made as the values say.
    made = claims(release.docs(*others, f"{key}=21Gi", is_upgrade=is_upgrade))
    assert made[claim] == ("1Gi" if is_upgrade else "21Gi")


def test_a_template_does_not_shrink_where_no_volume_tells(release: Release, cluster: Cluster) -> None:
    add_members(cluster, data="8Gi")
    error = release.error("storage.size=7Gi", is_upgrade=True)
    assert "storage.size: is 7Gi, and the template data of the StatefulSet has 8Gi: volumes never" in error
    assert claims(release.docs("storage.size=1Ti", is_upgrade=True)) == {"data": "8Gi"}


def pem(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


OURS, THEIRS = pem("ours"), pem("theirs")


def show_certificates(cluster: Cluster, name: str, **authorities: str) -> None:
    """Members with the certificates of a Secret, and Secrets with these authorities."""
    volumes = [{"name": "data"}, {"name": "tls", "secret": {"secretName": name}}]
    cluster.add("StatefulSet", "demo", LABELS, spec={"template": {"spec": {"volumes": volumes}}})
    cluster.secrets = {name.replace("_", "-"): {"ca.crt": text} for name, text in authorities.items()}


TO_MINE = ("tls.mode=existingSecret", "tls.existingSecret=mine")


@pytest.mark.parametrize(
    ("authorities", "why"),
    [
        ({"demo_tls": OURS, "mine": THEIRS}, "the Secret mine has another authority (ca.crt)"),
        ({"demo_tls": OURS, "mine": OURS + THEIRS}, "the Secret mine has another authority (ca.crt)"),
        ({"demo_tls": OURS}, "there is no Secret mine"),
    ],
)
def test_certificates_of_another_authority_are_refused_and_the_way_is_named(
    release: Release, cluster: Cluster, authorities: dict[str, str], why: str
) -> None:
    show_certificates(cluster, "demo-tls", **authorities)
    cluster.add("CronJob", "demo-certificates")
    error = release.error(*TO_MINE, is_upgrade=True)
    assert "tls.mode: is existingSecret now, and the members show certificates" in error
    assert f"of the Secret demo-tls; {why}." in error
    assert "kubectl --namespace default patch cronjob demo-certificates --patch" in error
    assert "put tls.crt, tls.key and ca.crt into the Secret demo-tls" in error


def test_cert_manager_must_not_write_its_own_again(release: Release, cluster: Cluster) -> None:
    show_certificates(cluster, "demo-tls", demo_tls=OURS, mine=THEIRS)
    cluster.add("Certificate", "demo")
    error = release.error(*TO_MINE, is_upgrade=True)
    assert "kubectl --namespace default delete certificate demo" in error
    assert "cronjob" not in error


def test_where_nobody_writes_it_nobody_is_stopped(release: Release, cluster: Cluster) -> None:
    show_certificates(cluster, "theirs", theirs=THEIRS, mine=OURS)
    error = release.error(*TO_MINE, is_upgrade=True)
    assert "put tls.crt, tls.key and ca.crt into the Secret theirs" in error
    assert "kubectl" not in error


@pytest.mark.parametrize("was", ["mine", "demo-tls", "removed"])
@pytest.mark.parametrize("shape", ["{}", "of ours:\n{}", "{}\n\n"])
def test_certificates_of_the_same_authority_are_taken(
    release: Release, cluster: Cluster, was: str, shape: str
) -> None:
    show_certificates(cluster, was, demo_tls=OURS + THEIRS, mine=shape.format(THEIRS + OURS))
    assert release.docs(*TO_MINE, is_upgrade=True)
