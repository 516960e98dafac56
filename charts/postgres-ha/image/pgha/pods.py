"""Reads pods of the StatefulSet."""

import json
from typing import Any

from pgha.steps import Pod

HOPELESS = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "CrashLoopBackOff",
    )
)


def read_pod(pod: dict[str, Any], revision: str) -> Pod:
    """Take from a pod what the steps need."""
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
    waiting = {
        item.get("name"): item.get("state", {}).get("waiting", {})
        for item in status.get("containerStatuses", [])
    }
    trouble = {
        name: f"{item['reason']}: {item.get('message', '')}"
        for name, item in waiting.items()
        if item.get("reason") in HOPELESS
    }
    told = json.loads(metadata.get("annotations", {}).get("status", "{}"))
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        is_updated=metadata["labels"].get("controller-revision-hash") == revision,
        is_ready=conditions.get("Ready") == "True",
        is_ending="deletionTimestamp" in metadata,
        host=status.get("podIP", ""),
        is_tls=not str(told.get("api_url", "https:")).startswith("http:"),
        has_keeper=any(item["name"] == "keeper" for item in pod["spec"]["containers"]),
        has_keeper_trouble="keeper" in trouble,
        trouble=next(iter(trouble.values()), ""),
    )


def configs(spec: dict[str, Any]) -> set[str]:
    """Name the ConfigMaps that a pod is to read; that of Patroni has its content in the name."""
    sources = [one for volume in spec["volumes"] for one in volume.get("projected", {}).get("sources", [])]
    return {one["configMap"]["name"] for one in sources if "configMap" in one}
