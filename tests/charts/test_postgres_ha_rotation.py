"""A rotation goes one step at a time, up or down: two would change the password of a login that is in use."""

import json

import pytest

from tests.charts.looked_up import Cluster, Release

APP = {"username": "notejam_2", "database": "notejam", "password": "of-now", "rotation": "1"}
INTERNAL = {
    "replication-password": "a",
    "rewind-password": "b",
    "restapi-password": "c",
    "backup-password": "d",
    "rotation": "1",
}


@pytest.fixture(autouse=True)
def rotated_once(cluster: Cluster) -> None:
    cluster.secrets = {"demo-app": dict(APP), "demo-internal": dict(INTERNAL)}


@pytest.mark.parametrize(
    ("rotation", "login"),
    [(0, "notejam"), (1, "notejam_2"), (2, "notejam")],
)
def test_a_step_and_the_way_back_are_taken(release: Release, rotation: int, login: str) -> None:
    made = release.secrets(
        f"credentials.app.rotation={rotation}", f"credentials.internal.rotation={rotation}"
    )
    app, internal = made["demo-app"]["data"], made["demo-internal"]["data"]
    assert (app["username"], app["rotation"], internal["rotation"]) == (login, str(rotation), str(rotation))
    # The same login keeps its password, the other one gets another.
    is_same = rotation == 1
    assert (app["password"] == "of-now") is is_same
    assert (internal["replication-password"] == "a") is is_same


@pytest.mark.parametrize("key", ["app", "internal"])
def test_two_steps_at_once_are_refused(release: Release, key: str) -> None:
    others = {"app": "internal", "internal": "app"}
    error = release.error(f"credentials.{key}.rotation=3", f"credentials.{others[key]}.rotation=1")
    assert f"credentials.{key}.rotation: is 3, and the Secret demo-{key} has 1." in error
    assert "Set it to 2, restart who uses it" in error


@pytest.mark.parametrize("key", ["app", "internal"])
@pytest.mark.parametrize(("there", "wanted"), [("2", 0), ("4", 1)])
def test_two_steps_down_at_once_are_refused(
    release: Release, cluster: Cluster, key: str, there: str, wanted: int
) -> None:
    """As by values from before, or by an install that leaves the rotation out."""
    cluster.secrets[f"demo-{key}"] |= {"rotation": there}
    if key == "app":
        cluster.secrets["demo-app"]["username"] = "notejam"
    others = {"app": "internal", "internal": "app"}
    error = release.error(f"credentials.{key}.rotation={wanted}", f"credentials.{others[key]}.rotation=1")
    assert f"credentials.{key}.rotation: is {wanted}, and the Secret demo-{key} has {there}." in error
    assert f"Set it to {there}, as it is there, or to {int(there) - 1} to go one step back" in error


def test_one_step_down_from_an_even_rotation_is_taken(release: Release, cluster: Cluster) -> None:
    cluster.secrets["demo-app"] |= {"rotation": "2", "username": "notejam"}
    cluster.secrets["demo-internal"] |= {"rotation": "2"}
    made = release.secrets("credentials.app.rotation=1", "credentials.internal.rotation=1")
    assert made["demo-app"]["data"]["username"] == "notejam_2"


def test_a_secret_from_before_rotations_is_at_the_beginning(release: Release, cluster: Cluster) -> None:
    for data in cluster.secrets.values():
        del data["rotation"]
    cluster.secrets["demo-app"]["username"] = "notejam"
    assert release.secrets("credentials.app.rotation=1")["demo-app"]["data"]["username"] == "notejam_2"
    assert "has 0." in release.error("credentials.internal.rotation=2")


def test_a_first_install_may_begin_anywhere(release: Release, cluster: Cluster) -> None:
    cluster.secrets = {}
    made = release.secrets("credentials.app.rotation=5", "credentials.internal.rotation=4")
    assert made["demo-app"]["data"]["username"] == "notejam_2"


@pytest.mark.parametrize(("wanted", "is_taken"), [(0, True), (1, True), (2, True), (3, False)])
def test_with_a_secret_of_one_s_own_the_last_revision_tells(
    release: Release, cluster: Cluster, wanted: int, *, is_taken: bool
) -> None:
    cluster.secrets = {}
    cluster.add("ConfigMap", "demo-desired", data={"desired.json": '{"internalRotation": 1}'})
    sets = ("credentials.internal.existingSecret=ours", f"credentials.internal.rotation={wanted}")
    if is_taken:
        assert release.docs(*sets, is_upgrade=True)
    else:
        error = release.error(*sets, is_upgrade=True)
        assert "credentials.internal.rotation: is 3, and the ConfigMap demo-desired has 1." in error


@pytest.mark.parametrize("key", ["app", "internal"])
def test_the_keeper_is_told_which_rotation_a_password_is_of(release: Release, key: str) -> None:
    """Of the chart's own Secrets: in another one there is none."""
    sets = ("credentials.app.rotation=1", "credentials.internal.rotation=1")

    def told(*sets: str) -> dict[str, object]:
        (found,) = [doc for doc in release.docs(*sets) if doc["metadata"]["name"] == "demo-desired"]
        roles = json.loads(found["data"]["desired.json"])["roles"]
        return {role["name"]: role["secret"].get("rotation") for role in roles if "secret" in role}

    logins = {"app": {"notejam_2"}, "internal": {"replicator_2", "rewind_2"}}
    everybody = {"backup": None} | dict.fromkeys(set[str]().union(*logins.values()), 1)
    assert told(*sets) == everybody
    own = told(f"credentials.{key}.existingSecret=ours", "credentials.internal.rotation=1")
    assert all(own[name] is None for name in own if name.removesuffix("_2") + "_2" in logins[key])
