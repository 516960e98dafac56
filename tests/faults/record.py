"""What one run of the suite found: its reports, and what they are about."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import yaml

from tests.faults.database import CHART, ROOT, run
from tests.faults.ledger import Report

FILE = ROOT / ".local" / "faults.json"
FAILOVER = ROOT / ".local" / "failover.json"
# Prints what `read_versions` reads; Patroni's own option would start all of it.
VERSIONS = "postgres --version; python3 -c 'import patroni.version as v; print(\"patroni\", v.__version__)'"


@dataclass
class Record:
    """The reports of all cases; `about` has date, commit, chart and the versions of what was broken."""

    about: dict[str, str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)

    def dump(self) -> str:
        """Return it as JSON."""
        found = {"about": self.about, "reports": [report.as_dict() for report in self.reports]}
        return json.dumps(found, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Record:
        """Read what `dump` made; raise ValueError, KeyError or TypeError where it is something else."""
        found = json.loads(text)
        return cls(dict(found["about"]), [Report(**report) for report in found["reports"]])


def read_versions(said: str) -> dict[str, str]:
    """Take the versions from what the programs say; what says none is left out."""
    patterns = {"postgresql": r"\(PostgreSQL\) (\S+)", "patroni": r"(?m)^patroni (\S+)"}
    found = {name: re.search(pattern, said) for name, pattern in patterns.items()}
    return {name: match[1] for name, match in found.items() if match}


def describe(context: str) -> dict[str, str]:
    """Say what this checkout and this cluster are."""
    git = ("git", "-C", str(ROOT))
    # Where this is no checkout of git, nothing is said of it.
    commit = run(*git, "rev-parse", "--short", "HEAD", check=False).strip()
    # `make up` writes pins into the values.
    if commit and run(*git, "status", "--porcelain", "--", ".", ":!values"):
        commit += "-dirty"
    server = json.loads(run("kubectl", "--context", context, "version", "--output=json"))["serverVersion"]
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "chart": str(yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]),
        "kubernetes": str(server["gitVersion"]).removeprefix("v"),
    }
    return {name: text for name, text in about.items() if text}
