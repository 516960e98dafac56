"""All output: plans, tables, progress, JSON. Progress goes to standard error, results to standard output."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from releaser.core.diff import short_digest
from releaser.core.gates import describe_age
from releaser.core.model import Phase, Promotion
from releaser.core.plan import ApplyStep, Plan, RevertStep, Step
from releaser.errors import ReleaserError
from releaser.status import StageStatus

PHASE_STYLES = {
    Phase.RUNNING: "cyan",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.ERRORED: "yellow",
    Phase.ABORTED: "yellow",
}


PIPE_WIDTH = 10_000
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Colours and other commands to the terminal, which the last words of a program may hold."""


class Console:
    """Writes for people, or JSON for programs; colours only on a terminal."""

    def __init__(self, *, as_json: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.as_json = as_json
        self._clock = clock
        self.out = RichConsole(highlight=False, soft_wrap=True)
        self.err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self._began = clock()

    # --- while a promotion runs ---

    def step(self, text: str) -> None:
        """Say which step begins."""
        self._began = self._clock()
        self._say("->", "bold", text)

    def progress(self, text: str) -> None:
        """Say what changed within a step, after how many seconds."""
        self._say(f"   {self._elapsed():>3} s ", "dim", text)

    def done(self, text: str) -> None:
        """Say that a step ended well."""
        self._say("   ok", "green", f"{text} ({self._elapsed()} s)")

    def failure(self, title: str, lines: Sequence[str]) -> None:
        """Say what failed and why."""
        self._say("   failed:", "bold red", title)
        for line in lines:
            self._say("     ", "", line)

    def error(self, error: ReleaserError) -> None:
        """Say what went wrong and what to type next."""
        if self.as_json:
            self.document({"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
        self._say("error:", "bold red", error.message)
        if error.hint:
            self._say("next: ", "bold", error.hint)

    def note(self, text: str) -> None:
        """Say something for people only."""
        self.err.print(Text(text))

    # --- results ---

    def document(self, data: Any) -> None:
        """Write one JSON document to standard output."""
        json.dump(to_json(data), sys.stdout, indent=2)
        sys.stdout.write("\n")

    def plan(self, plan: Plan) -> None:
        """Show a plan: gates with their reasons, then the steps."""
        if self.as_json:
            return
        self.out.print(Text.assemble((f"{plan.kind} to {plan.stage}: ", "bold"), plan.reason))
        for gate in plan.gates:
            mark, style = ("pass", "green") if gate.passed else ("STOP", "bold red")
            self.out.print(Text.assemble("  gate ", (mark, style), f" {gate.name}: {gate.reason}"))
            if not gate.passed and gate.hint:
                self.out.print(Text(f"            {gate.hint}", "dim"))
        if plan.is_unchanged:
            return
        for number, step in enumerate(plan.steps, 1):
            self.out.print(Text.assemble(f"  {number}. ", (step.title, "bold"), f"  {step.reason}"))
            for line in _details(step):
                self.out.print(Text(f"       {line}", "dim"))

    def status(self, rows: Sequence[StageStatus], notes: Sequence[str], now: datetime) -> None:
        """Show the matrix of the stages."""
        if self.as_json:
            self.document({"stages": rows, "notes": notes})
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("STAGE", "VERSION", "VERIFIED", "RELEASES", "HEALTH", "ADDRESS"):
            table.add_column(column, overflow="fold")
        for row in rows:
            verified = f"{describe_age(now - row.verified)} ago" if row.verified else "-"
            releases = "\n".join(f"{name} {text}" for name, text in row.releases.items()) or "-"
            health = Text(row.health.replace("; ", "\n"), "green" if row.is_healthy else "red")
            table.add_row(row.stage, row.version or "-", verified, releases, health, row.url or "-")
        self._table(table)
        for note in notes:
            self.out.print(Text(note))

    def history(self, promotions: Sequence[Promotion]) -> None:
        """Show promotions, newest first."""
        if self.as_json:
            self.document({"promotions": promotions})
            return
        if not promotions:
            self.out.print("no promotions yet")
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in (
            "STARTED (UTC)",
            "STAGE",
            "KIND",
            "VERSION",
            "BEFORE",
            "PHASE",
            "TOOK",
            "BY",
            "MESSAGE",
        ):
            table.add_column(column, overflow="fold")
        for promotion in promotions:
            took = describe_age(promotion.finished - promotion.started) if promotion.finished else "-"
            table.add_row(
                promotion.started.strftime("%Y-%m-%d %H:%M:%S"),
                promotion.stage,
                promotion.kind,
                promotion.bundle.version,
                promotion.former or "-",
                Text(promotion.phase, PHASE_STYLES[promotion.phase]),
                took,
                promotion.by,
                promotion.message,
            )
        self._table(table)

    def _table(self, table: Table) -> None:
        # a pipe has no width: a table folded there would break words that scripts look for
        wide = self.out if self.out.is_terminal else RichConsole(width=PIPE_WIDTH, highlight=False)
        wide.print(table)

    def _say(self, mark: str, style: str, text: str) -> None:
        self.err.print(Text.assemble((mark, style), " ", short_digest(CONTROL.sub("", text))))

    def _elapsed(self) -> int:
        return int(self._clock() - self._began)


def to_json(data: Any) -> Any:
    """Return data of the model as what JSON knows: times in ISO 8601, durations in seconds."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return {field.name: to_json(getattr(data, field.name)) for field in dataclasses.fields(data)}
    if isinstance(data, Mapping):
        return {_key(key): to_json(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [to_json(item) for item in data]
    return _leaf(data)


def _leaf(data: Any) -> Any:
    if isinstance(data, datetime):
        return data.isoformat()
    if isinstance(data, timedelta):
        return data.total_seconds()
    return data.value if isinstance(data, Enum) else data


def plan_document(plan: Plan, *, changed: bool, promotion: Promotion | None = None) -> dict[str, Any]:
    """Return a plan and its outcome as a document; the values themselves stay out of it."""
    steps = []
    for step in plan.steps:
        data = to_json(step)
        data.pop("values", None)
        data.pop("pins", None)
        steps.append({"step": type(step).__name__.removesuffix("Step").lower(), **data})
    return {
        "kind": plan.kind,
        "stage": plan.stage,
        "version": plan.bundle.version,
        "digest": plan.bundle.digest,
        "former": plan.former,
        "reason": plan.reason,
        "unchanged": plan.is_unchanged,
        "blocked": bool(plan.blocking),
        "changed": changed,
        "fingerprint": plan.fingerprint,
        "gates": to_json(plan.gates),
        "steps": steps,
        "promotion": to_json(promotion),
    }


def _key(key: Any) -> str:
    return ".".join(key) if isinstance(key, tuple) else str(key)


def _details(step: Step) -> Sequence[str]:
    return step.changes if isinstance(step, ApplyStep | RevertStep) else ()
