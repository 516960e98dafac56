"""The Job of `helm uninstall` where `uninstall.removeData` is set: removes what would outlive the release."""

import json
import os
import sys
import time

from pgha.kube import Api

STOP_SECONDS = 180.0
PAUSE = 1.0


def wait_for_members(api: Api, selector: str, seconds: float = STOP_SECONDS) -> None:
    """Wait until no member runs: one that does would write its state again. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while pods := api.pods(selector):
        if time.monotonic() > end:
            names = ", ".join(pod["metadata"]["name"] for pod in pods)
            raise TimeoutError(f"{names} did not stop in time; nothing was removed")
        time.sleep(PAUSE)


def remove(api: Api, paths: list[str]) -> list[str]:
    """Delete objects by their paths; return those that were there."""
    return [path for path in paths if api.delete(path)]


def main() -> int:
    """Run once."""
    api = Api.in_cluster()
    wait_for_members(api, os.environ["SELECTOR"])
    removed = remove(api, json.loads(os.environ["REMOVE"]))
    sys.stdout.write("".join(f"removed {path.lstrip('/')}\n" for path in removed))
    return 0
