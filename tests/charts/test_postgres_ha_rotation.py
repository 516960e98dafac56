"""A rotation goes one step at a time, up or down: two would change the password of a login that is in use."""

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
