"""One case: writers at work, a fault, recovery, and the ledger against what is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.database import Database, FaultError, names_of, wait_until
from tests.faults.ledger import MODES, Report, Row, make_report, parse_ledger
from tests.faults.record import VERSIONS, Record, read_versions

WRITER = Path(__file__).with_name("writer.py")
STEADY_ROWS = 30
CALM_SECONDS = 2.0
# The wait for rows: an outage of the API server ends it, so it is begun anew after a while.
LOOK_SECONDS, LOOKS = 0.5, 60


class Trial:
    """The writers' pod beside a database."""

    def __init__(self, database: Database, record: Record | None = None) -> None:
        """Take the database, which may be installed later, and where the reports go."""
        self.database = database
        self.record = Record() if record is None else record
        self.pod = f"{database.release}-writer"
        self._number = 0
        # Of the last case.
        self.rows: dict[str, list[Row]] = {}

    def start(self) -> None:
        """Make the pod, on the control plane, which no case stops."""
        kubectl = self.database.kubectl
        # Writers of a run that was broken off would go on in it.
        kubectl("delete", "pod", self.pod, "--ignore-not-found", "--grace-period=1")
        text = WRITER.read_text(encoding="utf-8")
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.pod},
            "data": {"writer.py": text},
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(config))
        kubectl("apply", "-f", "-", stdin=json.dumps(make_pod(self.pod, self.database)))
        kubectl("wait", "pod", self.pod, "--for=condition=Ready", "--timeout=120s")
        self.record.about |= read_versions(self._inside(VERSIONS))

    def restart(self) -> None:
        """Make the pod anew, with the Secret as it is now."""
        self.start()

    def play(
        self,
        case: str,
        fault: Callable[[], object],
        *,
        size: int = 0,
        recover: Callable[[], object] | None = None,
    ) -> Report:
        """Write, do it, wait until all is well again, and count."""
        database = self.database
        database.wait_well()
        self._number += 1
        name = f"r{int(time.time())}n{self._number}"
        self._begin(name)
        since = time.time()
        try:
            fault()
            # Rows from before would let a frozen node go on before anybody noticed.
            self._wait_for_rows(name, time.time())
        finally:
            if recover is not None:
                recover()
        database.wait_well(size=size, seconds=300)
        self._wait_for_rows(name, time.time() + CALM_SECONDS)
        self._inside(f"touch /tmp/stop-{name}; until [ -e /tmp/done-{name} ]; do sleep 0.1; done")
        self.rows = self.ledgers(name)
        report = make_report(case, self.rows, self._present(name), since)
        self.record.reports.append(report)
        print(report, flush=True)  # noqa: T201 - the suite's result
        return report

    def ledgers(self, name: str) -> dict[str, list[Row]]:
        """Read the ledgers of a run."""
        return {mode: parse_ledger(self._inside(f"cat /tmp/{name}-{mode}.ledger")) for mode in MODES}

    def errors(self, name: str) -> str:
        """Read what the writers met."""
        return self._inside(f"cat /tmp/{name}-*.errors")

    def _begin(self, name: str) -> None:
        members = " ".join(names_of(self.database.release, max(self.database.size, 3)))
        self._inside(f"nohup python3 /writer/writer.py {name} {members} > /tmp/{name}.log 2>&1 &")
        try:
            wait_until("the writers write", lambda: self._rows(name) >= STEADY_ROWS, 60)
        except FaultError as error:
            said = self._inside(f"tail -n 20 /tmp/{name}.log /tmp/{name}-*.errors || true")
            raise FaultError(f"{error}\n{said}") from error

    def _rows(self, name: str) -> int:
        text = self._inside(f"wc -l < /tmp/{name}-held.ledger; wc -l < /tmp/{name}-new.ledger")
        return min(int(word) for word in text.split())

    def _wait_for_rows(self, name: str, since: float) -> None:
        """Wait until both writers have rows that were sent after a moment."""
        # It waits in the pod: a look from outside is a process here and one there, which take their time
        # from what is measured.
        script = f"""
            left={LOOKS}
            while [ $left -gt 0 ]; do
                last=$(tail -qn 1 /tmp/{name}-held.ledger /tmp/{name}-new.ledger)
                [ "$(echo "$last" | awk '$2 > {since:.6f}' | wc -l)" = 2 ] && echo both && exit
                left=$((left - 1))
                sleep {LOOK_SECONDS}
            done"""
        wait_until(
            f"rows after the fault (log: {name})",
            lambda: self._inside(script).strip() == "both",
            240,
            pause=1,
        )

    def _inside(self, script: str) -> str:
        return self.database.kubectl("exec", self.pod, "--", "sh", "-c", script)

    def _present(self, name: str) -> dict[str, set[int]]:
        text = self.database.sql(f"SELECT mode, seq FROM ledger WHERE run = '{name}'")  # noqa: S608 - ours
        found: dict[str, set[int]] = {mode: set() for mode in MODES}
        for line in text.splitlines():
            mode, _, seq = line.partition("|")
            found[mode].add(int(seq))
        if not text:
            raise FaultError("the table of the ledger is empty")
        return found


def make_pod(name: str, database: Database) -> dict[str, Any]:
    """Return the writers' pod, with a ConfigMap of the same name.

    The database's own image has Python and a driver.
    """

    def from_secret(variable: str, key: str) -> dict[str, object]:
        reference = {"name": f"{database.release}-app", "key": key}
        return {"name": variable, "valueFrom": {"secretKeyRef": reference}}

    container = {
        "name": "writer",
        "image": database.image,
        "command": ["sleep", "infinity"],
        "env": [
            from_secret("PGHOST", "host"),
            from_secret("PGUSER", "username"),
            from_secret("PGPASSWORD", "password"),
            from_secret("PGDATABASE", "database"),
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "script", "mountPath": "/writer"}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    spec = {
        "containers": [container],
        "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 999,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "script", "configMap": {"name": name}}, {"name": "tmp", "emptyDir": {}}],
    }
    labels = {"app.kubernetes.io/name": "writer"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
