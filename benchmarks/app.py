"""`make bench-app`: how much work the app's pages are, side by side with the least that Flask can do.

One gunicorn worker on one core; PostgreSQL, as durable as it comes, and the load on the other. The pages take
turns for some rounds, so that a change of the machine's mood touches all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from notejam import schema
from notejam.engine import make_engine
from notejam.models import Note, Pad, User
from notejam.passwords import hash_password
from sqlalchemy import URL
from sqlalchemy.orm import Session

from benchmarks.generator import Measured, generate
from benchmarks.visitor import fetch, request_bytes, sign_in, token_in
from tests.app.postgres_server import find_free_port, make_data, make_folder, running

ROOT = Path(__file__).resolve().parent.parent
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=128MB")
PASSWORD = "violet-anchor-42"  # noqa: S105 - of an account in a database that is thrown away
THREADS = "8"
NOTES = 20
START_SECONDS = 60
CALM = 1.0
LIST, ONE_QUERY, HELLO = "list of 20 notes", "one query", "hello"
AIM_OF_LIST, AIM_OF_TAIL, AIM_OF_MEMORY = 0.60, 4.0, 120


@dataclass(frozen=True)
class Page:
    """A page to measure, as the bytes to send, on the server with this port and this worker."""

    name: str
    port: int
    worker: int
    request: bytes
    status: int = 200


def seed(url: URL) -> None:
    """Make two accounts: one whose pages are read, one that notes are written into."""
    engine = make_engine(url, pool_size=1)
    schema.upgrade(engine)
    now = datetime.now(UTC)
    with Session(engine) as session:
        reader = User(email="reader@example.com", password=hash_password(PASSWORD))
        writer = User(email="writer@example.com", password=hash_password(PASSWORD))
        session.add_all([reader, writer])
        session.flush()
        pads = [Pad(name=f"Pad {number}", user_id=reader.id) for number in range(3)]
        session.add_all(pads)
        session.flush()
        for number in range(NOTES):
            pad = pads[number % 4].id if number % 4 < len(pads) else None
            dates = {"created_at": now, "updated_at": now}
            session.add(
                Note(name=f"Note {number}", text="A line.\n" * 20, user_id=reader.id, pad_id=pad, **dates)
            )
        session.commit()
    engine.dispose()


@contextmanager
def serve(target: str, core: int, environment: dict[str, str], *options: str) -> Iterator[tuple[int, int]]:
    """Run a gunicorn with one worker on one core; yield its port and the worker's process id."""
    port = find_free_port()
    process = subprocess.Popen(
        [
            *("taskset", "--cpu-list", str(core), sys.executable, "-m", "gunicorn"),
            *(*options, "--bind", f"127.0.0.1:{port}", target),
        ],
        cwd=ROOT / "app",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'app'}:{ROOT}", **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while fetch(port, "GET", "/healthz")[0] == 0:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"bench-app: {target} did not start")
            time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
        yield port, int(children.split()[0])
    finally:
        process.terminate()
        process.wait(60)


def make_pages(baseline: int, bare_worker: int, app: int, worker: int) -> list[Page]:
    """Prepare what is measured."""
    bare = (baseline, bare_worker)
    reader, writer = (sign_in(app, f"{who}@example.com", PASSWORD) for who in ("reader", "writer"))
    _, body, writer = fetch(app, "GET", "/notes/create/", cookie=writer)
    form = {"csrf_token": token_in(body), "name": "A note", "text": "A line.\n" * 20, "pad": "0"}
    return [
        Page(HELLO, *bare, request_bytes("GET", "/hello")),
        Page(ONE_QUERY, *bare, request_bytes("GET", "/one-query")),
        Page(LIST, app, worker, request_bytes("GET", "/", reader)),
        Page("note", app, worker, request_bytes("GET", "/notes/1/", reader)),
        Page("create a note", app, worker, request_bytes("POST", "/notes/create/", writer, form), 302),
    ]


def memory_of(process: int) -> dict[str, float]:
    """Read a process's memory in MiB: all that it maps, and its share of what several map."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return {
        name: int(found[1]) / 1024
        for name in ("Rss", "Pss")
        if (found := re.search(rf"{name}: *(\d+)", text))
    }


def processor_seconds(process: int) -> float:
    """Read how long a process has had a processor."""
    parts = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """A page in one round, and the seconds of a processor that the worker took for it."""

    measured: Measured
    processor: float

    @property
    def cost(self) -> float:
        """Milliseconds of a processor for a request: what a busy machine changes least."""
        return 1000 * self.processor / len(self.measured.latencies)


def measure(pages: list[Page], rounds: int, seconds: float, connections: int) -> dict[str, list[Run]]:
    """Let the pages take turns."""
    found: dict[str, list[Run]] = {page.name: [] for page in pages}
    for number in range(rounds + 1):
        for page in pages:
            length = seconds if number else min(2.0, seconds)  # the first round warms up
            before = processor_seconds(page.worker)
            run = generate(
                page.port, page.request, status=page.status, connections=connections, seconds=length
            )
            if number:
                found[page.name].append(Run(run, processor_seconds(page.worker) - before))
        sys.stderr.write(f"round {number} of {rounds}\n" if number else "warm\n")
    return found


def summarise(found: dict[str, list[Run]], memory: dict[str, float]) -> dict[str, object]:
    """Take the medians of the rounds."""
    pages = {}
    for name, runs in found.items():
        pairs = list(zip(runs, found[ONE_QUERY], strict=True))
        rates = [run.measured.rate / base.measured.rate for run, base in pairs]
        halves = [1000 * run.measured.percentile(0.5) for run in runs]
        tails = [1000 * run.measured.percentile(0.99) for run in runs]
        pages[name] = {
            "requests_per_second": round(statistics.median(run.measured.rate for run in runs), 1),
            "of_one_query": round(statistics.median(rates), 3),
            "processor_ms": round(statistics.median(run.cost for run in runs), 2),
            "of_one_query_by_processor": round(
                statistics.median(base.cost / run.cost for run, base in pairs), 3
            ),
            "p50_ms": round(statistics.median(halves), 2),
            "p99_ms": round(statistics.median(tails), 2),
            "p99_of_p50": round(
                statistics.median(tail / half for tail, half in zip(tails, halves, strict=True)), 2
            ),
        }
    return {"pages": pages, "worker_mib": {name: round(value, 1) for name, value in memory.items()}}


def show(summary: dict[str, object]) -> Iterator[str]:
    """Write a table for people."""
    pages: dict[str, dict[str, float]] = summary["pages"]  # type: ignore[assignment]
    memory: dict[str, float] = summary["worker_mib"]  # type: ignore[assignment]
    yield (
        f"{'page':<18}{'requests/s':>11}{'of one query':>14}{'processor ms':>14}{'of one query':>14}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'p99/p50':>9}"
    )
    for name, page in pages.items():
        yield (
            f"{name:<18}{page['requests_per_second']:>11.0f}{page['of_one_query']:>13.0%} "
            f"{page['processor_ms']:>14.2f}{page['of_one_query_by_processor']:>13.0%} "
            f"{page['p50_ms']:>9.2f}{page['p99_ms']:>9.2f}{page['p99_of_p50']:>9.1f}"
        )
    yield f"worker: {memory['Rss']:.0f} MiB resident, {memory['Pss']:.0f} MiB its share"
    tail = max(page["p99_of_p50"] for name, page in pages.items() if name not in (HELLO, ONE_QUERY))
    # On a machine with nothing else to do the two are alike; else the better one may be luck.
    share = min(pages[LIST]["of_one_query"], pages[LIST]["of_one_query_by_processor"])
    for aim, value, met in (
        (
            "list at least 60% of one query",
            f"{share:.0%}",
            share >= AIM_OF_LIST,
        ),
        ("p99 of the app's pages below 4 times p50", f"{tail:.1f}", tail < AIM_OF_TAIL),
        ("worker below 120 MiB", f"{memory['Rss']:.0f} MiB", memory["Rss"] < AIM_OF_MEMORY),
    ):
        yield f"aim: {aim}: {value}, {'met' if met else 'not met'}"


def main() -> None:
    """Start everything, measure, tell."""
    parser = argparse.ArgumentParser(prog="make bench-app", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each page in each round")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="print one document")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:  # noqa: PLR2004 - one for each side
        sys.exit("bench-app: needs two cores, one for the worker and one for the load")
    load = os.getloadavg()[0]
    if load > CALM:
        sys.stderr.write(f"the machine is busy (load {load:.1f}): go by the processor times, not by p99\n")
    os.sched_setaffinity(0, {cores[1]})  # ours, and that of PostgreSQL, which inherits it
    with ExitStack() as stack:
        folder = stack.enter_context(make_folder())
        make_data(folder / "data", PASSWORD)
        port, _ = stack.enter_context(running(folder / "data", *DURABLE))
        url = URL.create("postgresql+psycopg", "postgres", PASSWORD, "127.0.0.1", port, "postgres")
        seed(url)
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        environment = {"DATABASE_URL": text, "SECRET_KEY": "k" * 32, "NOTEJAM_THREADS": THREADS}
        bare = (
            "--workers=1",
            "--worker-class=gthread",
            f"--threads={THREADS}",
            "--preload",
            "--keep-alive=75",
        )
        baseline, bare_worker = stack.enter_context(
            serve("benchmarks.baseline:app", cores[0], environment, *bare)
        )
        environment |= {"WEB_CONCURRENCY": "1", "NOTEJAM_METRICS_PORT": str(find_free_port())}
        app, worker = stack.enter_context(
            serve("notejam.wsgi:app", cores[0], environment, "--config", "gunicorn.conf.py")
        )
        found = measure(
            make_pages(baseline, bare_worker, app, worker),
            options.rounds,
            options.seconds,
            options.connections,
        )
        summary = summarise(found, memory_of(worker))
    sys.stdout.write(
        json.dumps(summary, indent=2) + "\n" if options.json else "\n".join(show(summary)) + "\n"
    )


if __name__ == "__main__":
    main()
