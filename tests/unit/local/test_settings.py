from __future__ import annotations

from pathlib import Path

import pytest

from local.errors import LocalError
from local.settings import Settings, check_named, read_settings

ROOT = Path("/repo")


def read(**environment: str) -> Settings:
    return read_settings({"HOME": "/home/me", **environment}, ROOT)


def test_the_usual() -> None:
    settings = read()
    assert settings.context == "kind-notejam"
    assert settings.registry == "localhost:5001/notejam"
    assert settings.cache == Path("/home/me/.cache/notejam")
    assert settings.state == ROOT / ".local"
    assert settings.plain_http
    addresses = [settings.stage_address(stage) for stage in ("production", "development", "testing")]
    assert addresses == ["http://127.0.0.1:30080", "http://127.0.0.1:30081", "http://127.0.0.1:30082"]


def test_a_second_cluster_shares_nothing_but_the_programs() -> None:
    settings = read(NOTEJAM_CLUSTER="spare", NOTEJAM_PORT_BASE="31080", NOTEJAM_REGISTRY_PORT="5002")
    assert settings.context == "kind-spare"
    assert settings.registry == "localhost:5002/notejam"
    assert settings.registry_name == "spare-registry"
    assert settings.state == ROOT / ".local/clusters/spare"
    assert settings.bin == read().bin
    assert settings.stage_address("production") == "http://127.0.0.1:31080"


def test_a_cluster_of_the_user() -> None:
    settings = read(NOTEJAM_CONTEXT="lab", NOTEJAM_REGISTRY="reg.example.com/nj/", NOTEJAM_ADDRESS="10.0.0.7")
    assert settings.context == "lab"
    assert settings.registry == "reg.example.com/nj"
    assert not settings.plain_http
    assert settings.stage_address("testing") == "http://10.0.0.7:30082"


def test_naming_our_own_cluster_changes_nothing() -> None:
    named = read(NOTEJAM_CONTEXT="kind-notejam", NOTEJAM_REGISTRY="localhost:5001/notejam")
    assert check_named(named) == named
    assert not named.named_context
    assert named.registry == "localhost:5001/notejam"


def test_a_registry_alone_is_not_a_cluster() -> None:
    with pytest.raises(LocalError) as caught:
        check_named(read(NOTEJAM_REGISTRY="reg.example.com/nj"))
    assert "CONTEXT" in caught.value.hint


def test_a_cluster_needs_a_registry() -> None:
    with pytest.raises(LocalError) as caught:
        check_named(read(NOTEJAM_CONTEXT="lab"))
    assert "REGISTRY=" in caught.value.hint


@pytest.mark.parametrize("port", ["http", "80", "70000", "-1"])
def test_ports_are_checked(port: str) -> None:
    with pytest.raises(LocalError, match="NOTEJAM_PORT_BASE"):
        read(NOTEJAM_PORT_BASE=port)


def test_the_engine_is_checked() -> None:
    with pytest.raises(LocalError, match="NOTEJAM_ENGINE"):
        read(NOTEJAM_ENGINE="lxc")


def test_the_cache_can_be_elsewhere() -> None:
    assert read(NOTEJAM_CACHE="/big/cache").cache == Path("/big/cache")
    assert read(XDG_CACHE_HOME="/xdg").cache == Path("/xdg/notejam")
