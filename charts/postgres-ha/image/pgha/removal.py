"""The Job of `helm uninstall` where `uninstall.removeData` is set: removes what would outlive the release.

Exit code 0: removed. 1: something is in the way; the Job tries again, for as long as it may.
"""

import json
import os
import sys
import time

from pgha.kube import Api, tell

# How long after its grace a pod may still be there: it is told to stop a little late, and the node tells of
# its end later still.
MARGIN = 60.0
PAUSE = 1.0


def wait_for_members(api: Api, selector: str) -> None:
    """Wait until no member runs: one that does would write its state again. Raises TimeoutError."""
    begun, seconds = time.monotonic(), 0.0
    while pods := api.pods(selector):
        seconds = max(seconds, *(float(pod["spec"]["terminationGracePeriodSeconds"]) for pod in pods))
        if time.monotonic() > begun + seconds + MARGIN:
            names = ", ".join(pod["metadata"]["name"] for pod in pods)
            raise TimeoutError(f"{names} did not stop in time; nothing was removed")
        time.sleep(PAUSE)


def remove(api: Api, paths: list[str]) -> list[str]:
    """Delete objects by their paths; return those that were there."""
    return [path for path in paths if api.delete(path)]


def main() -> int:
    """Run once."""
    selector = os.environ["SELECTOR"]
    try:
        api = Api.in_cluster()
        wait_for_members(api, selector)
        removed = remove(api, json.loads(os.environ["REMOVE"]))
    except (OSError, ValueError, KeyError) as error:
        # What is removed already is not missed at the next attempt.
        sys.stderr.write(
            f"error: the release's data was not removed: {tell(error)}; the Job tries again, "
            f"and by hand it is: kubectl delete pvc,secret,configmap --selector {selector_of_all(selector)}\n"
        )
        return 1
    sys.stdout.write("".join(f"removed {path.lstrip('/')}\n" for path in removed))
    return 0


def selector_of_all(members: str) -> str:
    """Return the labels of everything that a release leaves, from those of its members."""
    return ",".join(
        part for part in members.split(",") if not part.startswith("app.kubernetes.io/component=")
    )
