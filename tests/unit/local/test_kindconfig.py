from __future__ import annotations

import json
import tomllib
from pathlib import Path

from local.kindconfig import hosts_toml, kind_config
from local.settings import Settings


def settings(**values: object) -> Settings:
    return Settings(root=Path("/repo"), cache=Path("/cache"), **values)  # type: ignore[arg-type]  # a test's shorthand


def test_one_control_plane_and_a_worker_in_each_zone() -> None:
    config = json.loads(kind_config(settings(), built=True, cgroup_v1=True))
    roles = [node["role"] for node in config["nodes"]]
    zones = [node["labels"]["topology.kubernetes.io/zone"] for node in config["nodes"][1:]]
    assert roles == ["control-plane", "worker", "worker", "worker"]
    assert zones == ["zone-a", "zone-b", "zone-c"]


def test_ports_are_open_to_this_machine_only() -> None:
    config = json.loads(kind_config(settings(), built=True, cgroup_v1=True))
    ports = config["nodes"][0]["extraPortMappings"]
    assert {port["listenAddress"] for port in ports} == {"127.0.0.1"}
    expected = [30080, 30081, 30082, 30090, 30091, 30092, 30093, 30094, 30095]
    assert sorted(port["hostPort"] for port in ports) == expected
    assert all(port["hostPort"] == port["containerPort"] for port in ports)
    assert config["networking"]["apiServerAddress"] == "127.0.0.1"


def test_a_second_cluster_has_ports_of_its_own() -> None:
    config = json.loads(kind_config(settings(port_base=31080), built=True, cgroup_v1=True))
    ports = {port["containerPort"]: port["hostPort"] for port in config["nodes"][0]["extraPortMappings"]}
    assert ports[30080] == 31080
    assert ports[30095] == 31095


def test_patches_are_for_those_who_need_them() -> None:
    built = json.loads(kind_config(settings(), built=True, cgroup_v1=False))
    published = json.loads(kind_config(settings(), built=False, cgroup_v1=True))
    assert len(built["kubeadmConfigPatches"]) == 1
    assert "containerdConfigPatches" not in published
    patch = tomllib.loads(built["containerdConfigPatches"][0])
    assert (
        patch["plugins"]["io.containerd.grpc.v1.cri"]["registry"]["config_path"] == "/etc/containerd/certs.d"
    )
    assert "failCgroupV1: false" in published["kubeadmConfigPatches"][1]


def test_nodes_learn_where_the_registry_is() -> None:
    told = tomllib.loads(hosts_toml("http://notejam-registry:5000"))
    assert told["server"] == "http://notejam-registry:5000"
    assert told["host"]["http://notejam-registry:5000"]["capabilities"] == ["pull", "resolve"]
