"""Measures how long writes pause: median of five, for a held connection and for new ones.

python -m tests.faults.bench [--runs 5] [--cases switchover,force-delete] [--namespace NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from typing import Any

from tests.faults.benchmark import count, have_database, own
from tests.faults.database import Database
from tests.faults.ledger import Report
from tests.faults.machine import Speed, Watch, sum_up
from tests.faults.nodes import Nodes
from tests.faults.record import FAILOVER, Record, describe
from tests.faults.trial import Trial

# Seconds, with the chart's defaults.
AIMS = {"switchover": 2.0, "delete": 2.0, "kill": 5.0, "force-delete": 5.0, "node-stop": 25.0, "rolling": 3.0}


class Bench:
    """The cases, on one database."""

    def __init__(self, database: Database) -> None:
        """Take the database; it is there."""
        self.database = database
        self.record = Record(describe(database.context))
        self.trial = Trial(database, self.record)
        self.nodes = Nodes(database)
        self.changes = 0
        self.cases: dict[str, Callable[[], Report]] = {
            "switchover": lambda: self._play("switchover", lambda: database.pgha("switchover")),
            "delete": lambda: self._play("delete", self._delete),
            "kill": lambda: self._play("kill", self._kill),
            "force-delete": lambda: self._play(
                "force-delete", lambda: self._delete("--force", "--grace-period=0")
            ),
            "rolling": lambda: self._play("rolling", self._change),
            "node-stop": self._stop_node,
        }

    def _play(self, case: str, fault: Callable[[], object]) -> Report:
        return self.trial.play(case, fault)

    def _delete(self, *words: str) -> None:
        self.database.kubectl("delete", "pod", self.database.primary(), "--wait=false", *words)

    def _kill(self) -> None:
        self.database.inside(self.database.primary(), 'kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"')

    def _change(self) -> None:
        self.changes += 1
        self.database.apply("upgrade", f"podAnnotations.bench=change-{os.getpid()}-{self.changes}")

    def _stop_node(self) -> Report:
        self.database.wait_well()
        node = self.nodes.of(self.database.primary())
        return self.trial.play(
            "node-stop", lambda: self.nodes.stop(node), recover=lambda: self.nodes.start(node)
        )


def watch(play: Callable[[], Report]) -> tuple[Report, Speed]:
    """Play a case and look at the machine meanwhile."""
    machine = Watch()
    return play(), machine.stop()


def summarize(case: str, runs: list[tuple[Report, Speed]]) -> dict[str, Any]:
    """Put the runs of one case together."""
    reports = [report for report, _ in runs]
    held = [round(report.held_gap, 2) for report in reports]
    new = [round(report.new_gap, 2) for report in reports]
    return {
        "case": case,
        "aim": AIMS[case],
        "held": round(statistics.median(held), 2),
        "new": round(statistics.median(new), 2),
        "held_runs": held,
        "new_runs": new,
        "lost": sum(report.lost for report in reports),
        "writers_at_once": max(report.writers_at_once for report in reports),
        "machine": sum_up([speed for _, speed in runs]),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Measure how long writes pause.")
    parser.add_argument("--runs", type=count, default=5, help="of each case (5)")
    parser.add_argument("--cases", default=",".join(AIMS), help="some of them, separated by commas (all)")
    parser.add_argument(
        "--namespace", type=own, default="faults-bench", help="made and removed (faults-bench)"
    )
    arguments = parser.parse_args()
    unknown = [case for case in arguments.cases.split(",") if case not in AIMS]
    if unknown:
        parser.error(f"unknown case {', '.join(unknown)}; there are {', '.join(AIMS)}")
    with have_database(arguments.namespace) as database:
        database.apply("install")
        bench = Bench(database)
        database.wait_well()
        bench.trial.start()
        results = []
        for case in arguments.cases.split(","):
            results.append(summarize(case, [watch(bench.cases[case]) for _ in range(arguments.runs)]))
            FAILOVER.parent.mkdir(exist_ok=True)
            found = {"about": bench.record.about, "results": results}
            FAILOVER.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for result in results:
        machine = result["machine"]
        sys.stdout.write(
            f"{result['case']:<14} held {result['held']:>6} s  new {result['new']:>6} s  "
            f"aim {result['aim']:>5} s  lost {result['lost']}  (a fixed loop: {machine['loop_ms']} ms, "
            f"stolen: {machine['stolen_percent']} %, load: {machine['load']})\n"
        )
    sys.stdout.write(f"JSON: {FAILOVER}\n")


if __name__ == "__main__":
    main()
