"""Patroni runs this on a role change: a new primary takes the role label, from every other member too.

The Service of the primary selects pods by that label. A primary that is frozen, or on a node that is cut off,
cannot give its label back; Kubernetes notices it after 40 s and more. Until then the Service would have two
pods, one of them unable to write. A member that is alive sets its own label again within one loop of Patroni.

Patroni labels the new primary in its next loop only; here it is done with the promotion, since the Service
takes a second to follow.
"""

import os
import sys

from pgha.kube import Api


def take_label(api: Api, me: str, scope: str) -> list[str]:
    """Put role=primary on this pod and take it from every other; return the names of those others."""
    leader = api.call("GET", f"/configmaps/{scope}-leader")
    # The callback may run late. Whoever holds the lock by now does this itself.
    if leader["metadata"].get("annotations", {}).get("leader") != me:
        return []
    labelled = api.pods(f"cluster-name={scope},role=primary")
    stripped = []
    for pod in labelled:
        name = pod["metadata"]["name"]
        if name != me:
            # The version makes the API refuse the patch if the pod changed meanwhile.
            version = pod["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version, "labels": {"role": None}}}
            api.call("PATCH", f"/pods/{name}", patch)
            stripped.append(name)
    if all(pod["metadata"]["name"] != me for pod in labelled):
        api.call("PATCH", f"/pods/{me}", {"metadata": {"labels": {"role": "primary"}}})
    return stripped


def main(arguments: list[str]) -> int:
    """Run for Patroni, which logs the exit status and goes on. Arguments: action, role, scope."""
    action, role, scope = arguments
    if action != "on_role_change" or role != "primary":
        return 0
    try:
        stripped = take_label(Api.in_cluster(), os.environ["POD_NAME"], scope)
    except OSError as error:
        sys.stderr.write(f"on-role-change: could not move the role label: {error}\n")
        return 1
    if stripped:
        sys.stderr.write(f"on-role-change: took role=primary from {', '.join(stripped)}\n")
    return 0
