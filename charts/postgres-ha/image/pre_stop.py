#!/usr/bin/python3
"""Runs before the kubelet stops a member: hands the leader lock over, so that writers wait seconds only.

A member that is not the leader has nothing to do. The leader writes a checkpoint (its shutdown is short then)
and asks Patroni for a switchover until one succeeds, nobody could ever take over, or the time is up.
Then it waits until this member is a replica: the new primary may count on it for its first commits, and lets
it go in good order only from there.

Never fails: whatever happens here, the pod ends, and the automatic failover is what remains.

Environment: POD_NAME, PATRONI_RESTAPI_USERNAME, PATRONI_RESTAPI_PASSWORD, PRE_STOP_SECONDS (default 60).
"""

import base64
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

API_HOST = "127.0.0.1"
API_PORT = 8008
API_TIMEOUT = 5.0
# Patroni answers a switchover when it is done, after 20 s at the latest.
SWITCHOVER_TIMEOUT = 30.0
# How long the former leader may take to come back as a replica; it does in a few seconds, or not at all.
REJOIN_TIMEOUT = 20.0
PAUSE = 0.5


class Deadline:
    """The point in time at which the kubelet should get its pod back."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())


def ordinal(name: str) -> int:
    """Return the number at the end of a StatefulSet pod's name."""
    return int(name.rpartition("-")[2])


def choose_candidate(me: str, members: list[dict[str, Any]]) -> str | None:
    """Pick the member that takes over, or None if none streams from us.

    A StatefulSet restarts its pods from the highest ordinal down. Members above us are updated already, so
    the lock goes there; without one, to the lowest, which restarts last. A rolling restart then needs two
    switchovers at most.
    """
    streaming = [member for member in members if member["name"] != me and member["state"] == "streaming"]
    # With synchronous replication only a synchronous standby may be promoted.
    synchronous = [member for member in streaming if member["role"] in {"sync_standby", "quorum_standby"}]
    names = sorted((member["name"] for member in synchronous or streaming), key=ordinal)
    above = [name for name in names if ordinal(name) > ordinal(me)]
    return next(iter(above or names), None)


def call(
    method: str, path: str, timeout: float, *, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Send one request to the Patroni of this pod."""
    connection = http.client.HTTPConnection(API_HOST, API_PORT, timeout=timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def log(text: str) -> None:
    """Write to the container's log: what a hook prints is lost otherwise."""
    line = f"pre-stop: {text}\n"
    try:
        Path("/proc/1/fd/2").write_text(line, encoding="utf-8")
    except OSError:
        sys.stderr.write(line)


def is_leader() -> bool:
    """Ask Patroni whether this member holds the lock."""
    status, _ = call("GET", "/leader", API_TIMEOUT)
    return status == http.HTTPStatus.OK


def fetch_members() -> list[dict[str, Any]]:
    """Ask Patroni who is in the cluster, and in which state."""
    _, text = call("GET", "/cluster", API_TIMEOUT)
    found: list[dict[str, Any]] = json.loads(text)["members"]
    return found


def are_alone(me: str, members: list[dict[str, Any]]) -> bool:
    """Say whether no other member exists, in whatever state."""
    return all(member["name"] == me for member in members)


def checkpoint(deadline: Deadline) -> None:
    """Write dirty pages now, while clients are still served. Without it the switchover only takes longer."""
    command = ["psql", "--no-psqlrc", "--quiet", "--dbname=postgres", "--command=CHECKPOINT"]
    try:
        subprocess.run(command, check=True, timeout=deadline.left / 2)
    except (OSError, subprocess.SubprocessError) as error:
        log(f"no checkpoint: {error}")


def wait_for_rejoin(me: str, deadline: Deadline) -> bool:
    """Wait until this member streams from the new leader; say whether it does."""
    while deadline.left > 0:
        try:
            if any(member["name"] == me and member["state"] == "streaming" for member in fetch_members()):
                return True
        except TimeoutError:
            pass
        time.sleep(PAUSE)
    return False


def hand_over(env: Mapping[str, str], deadline: Deadline) -> str:
    """Switch over if this member leads; return what was done, for the log."""
    me = env["POD_NAME"]
    if not is_leader():
        return "not the leader, nothing to hand over"
    alone = "no other member, nobody to hand over to"
    if are_alone(me, fetch_members()):
        return alone
    checkpoint(deadline)
    secret = f"{env['PATRONI_RESTAPI_USERNAME']}:{env['PATRONI_RESTAPI_PASSWORD']}"
    headers = {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
    last = "no member streams"
    while deadline.left > 0:
        try:
            members = fetch_members()
            # When the whole cluster is taken down, the others leave while we wait for them.
            if are_alone(me, members):
                return alone
            candidate = choose_candidate(me, members)
            if candidate:
                body = {"leader": me, "candidate": candidate}
                timeout = max(1.0, min(SWITCHOVER_TIMEOUT, deadline.left))
                status, last = call("POST", "/switchover", timeout, body=body, headers=headers)
                if status == http.HTTPStatus.OK:
                    rejoined = wait_for_rejoin(me, Deadline(min(REJOIN_TIMEOUT, deadline.left)))
                    return last + ("" if rejoined else ", not a replica yet")
            # A failed attempt may still have moved the lock.
            if not is_leader():
                return "the lock is with another member"
        except TimeoutError:
            last = "Patroni does not answer in time"
        time.sleep(PAUSE)
    return f"gave up: {last}"


def main(env: Mapping[str, str]) -> None:
    """Hand over within the time given; report and swallow any error."""
    started = time.monotonic()
    try:
        outcome = hand_over(env, Deadline(float(env.get("PRE_STOP_SECONDS", "60"))))
    except Exception as error:  # noqa: BLE001 (a hook that fails would end the pod without its grace)
        outcome = f"failed: {error!r}"
    log(f"{outcome} ({time.monotonic() - started:.1f} s)")


if __name__ == "__main__":
    main(os.environ)
