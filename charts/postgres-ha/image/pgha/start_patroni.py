"""Starts Patroni with less waiting. Each of these is measured in docs/postgres-ha-faults.md.

Patroni looks once a second whether Postgres has stopped, waits a second more for replicas that have
everything already, and lets replicas sleep for two seconds before they follow a leader that may be there at
once. A switchover consists of little else. What is waited for is the same here, only looked at more often.

A Patroni in which these places have moved makes `check` fail, which the image's build runs.
"""

import inspect
import sys
import time
from typing import Any

SHORT = 0.1


class Clock:
    """Stands for the module `time` in patroni.ha."""

    def __init__(self) -> None:
        self.event: Any = None

    def __getattr__(self, name: str) -> Any:
        """Be the module in everything else."""
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Sleep as long as the caller needs."""
        caller = sys._getframe(1).f_code.co_name  # noqa: SLF001 - there is no other way to tell
        if caller == "process_unhealthy_cluster" and self.event is not None:
            # Any news of the leader ends it.
            self.event.wait(seconds)
        elif caller in {"on_shutdown", "_on_shutdown"}:
            time.sleep(min(seconds, SHORT))
        else:
            time.sleep(seconds)


def check() -> None:
    """Raise RuntimeError unless Patroni is as this expects it."""
    import patroni.postgresql  # first: the two import each other
    import patroni.ha  # isort: skip

    source = inspect.getsource(patroni.ha.Ha)
    places = {
        "the second after a shutdown": "time.sleep(1)  # give replicas some more time to catch up",
        "the two seconds of a replica": "time.sleep(2)  # Give a time to somebody to take the leader lock",
        "the function of these seconds": "def process_unhealthy_cluster(",
    }
    for name, text in places.items():
        if text not in source:
            raise RuntimeError(f"this Patroni is another one: {name} is not where it was")
    if patroni.postgresql.STOP_POLLING_INTERVAL != 1:
        raise RuntimeError("this Patroni is another one: it polls a stop differently")


def main(arguments: list[str]) -> int:
    """Become Patroni, or only look whether it is the expected one."""
    check()
    if arguments == ["--check"]:
        return 0
    import patroni.__main__
    import patroni.ha

    clock = Clock()
    make = patroni.ha.Ha.__init__

    def init(self: Any, *words: Any, **named: Any) -> None:
        make(self, *words, **named)
        clock.event = self.dcs.event

    patroni.postgresql.STOP_POLLING_INTERVAL = SHORT  # type: ignore[assignment]
    patroni.ha.Ha.__init__ = init  # type: ignore[method-assign]
    patroni.ha.time = clock  # type: ignore[assignment]
    sys.argv = ["patroni", *arguments]
    patroni.__main__.main()
    return 0
