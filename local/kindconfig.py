"""Texts that make the cluster: kind's configuration and the nodes' view of the registry. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local.settings import NODE_PORTS, ZONES

if TYPE_CHECKING:
    from local.settings import Settings

CERTS_FOLDER = "/etc/containerd/certs.d"
_REGISTRY_PATCH = f"""\
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{CERTS_FOLDER}"
"""
_CGROUP_V1_PATCH = """\
kind: KubeletConfiguration
failCgroupV1: false
"""
# All nodes share one disk, and with it the members' log: a sync of etcd that waits behind theirs, for up to
# 21 s as was seen, is an outage of the API server. A cluster of machines has a disk for it. A crash of this
# machine may cost the cluster, which `make up` notices. The version is that of what kind generates.
_ETCD_PATCH = """\
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
etcd:
  local:
    extraArgs:
      unsafe-no-fsync: "true"
"""


def kind_config(settings: Settings, *, built: bool, cgroup_v1: bool) -> str:
    """Return kind's configuration: one control plane with the ports, one worker per zone."""
    ports = [
        {
            "containerPort": port,
            "hostPort": settings.host_port(port),
            "listenAddress": "127.0.0.1",
            "protocol": "TCP",
        }
        for port in NODE_PORTS
    ]
    workers = [
        {
            "role": "worker",
            "labels": {"topology.kubernetes.io/region": "local", "topology.kubernetes.io/zone": zone},
        }
        for zone in ZONES
    ]
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": settings.cluster,
        "networking": {"apiServerAddress": "127.0.0.1"},
        "nodes": [{"role": "control-plane", "extraPortMappings": ports}, *workers],
        "kubeadmConfigPatches": [_ETCD_PATCH],
    }
    if built:  # the containerd of the published image looks there by itself
        config["containerdConfigPatches"] = [_REGISTRY_PATCH]
    if cgroup_v1:
        config["kubeadmConfigPatches"].append(_CGROUP_V1_PATCH)
    return json.dumps(config, indent=2) + "\n"


def hosts_toml(address: str) -> str:
    """Tell containerd where a registry really is, for a name that means the host's loopback elsewhere."""
    return f'server = "{address}"\n\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'
