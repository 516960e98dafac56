"""Waiting for a database that refuses connections, which in a failover it does for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import BoundedSemaphore, Lock
from typing import TypeVar

PAUSE_SECONDS = 0.2
# After this time without an attempt nobody knows any more whether the outage goes on.
FORGOTTEN_SECONDS = 5.0

Connection = TypeVar("Connection")
_impatient: ContextVar[bool] = ContextVar("impatient", default=False)


@contextmanager
def impatience() -> Iterator[None]:
    """Wait for nothing in this block: a probe wants to know how things stand now."""
    token = _impatient.set(True)
    try:
        yield
    finally:
        _impatient.reset(token)


class Patience:
    """How requests wait for a connection, together.

    In the first `seconds` of an outage they wait for its end. Later one of them at a time asks again, once,
    and the others fail at once. Of all threads some never wait, so that a probe of the process finds one.
    """

    def __init__(
        self,
        seconds: float,
        *,
        threads: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wait this long, with so many threads in the process."""
        self._seconds, self._now, self._sleep = seconds, now, sleep
        self._places = BoundedSemaphore(max(1, threads - 2))
        self._asking = Lock()
        self._began: float | None = None
        self._last = 0.0

    def connect(self, attempt: Callable[[], Connection], failure: type[Exception]) -> Connection:
        """Return what the attempt makes; raise `failure` when waiting has no point any more."""
        if self._has_lasted(self._now()):
            if not self._asking.acquire(blocking=False):
                raise failure("the database is away; another request is asking for it")
            try:
                return self._once(attempt, failure)
            finally:
                self._asking.release()
        try:
            return self._once(attempt, failure)
        except failure:
            if _impatient.get() or self._seconds <= 0 or not self._places.acquire(blocking=False):
                raise
        try:
            return self._until(self._now() + self._seconds, attempt, failure)
        finally:
            self._places.release()

    def _has_lasted(self, instant: float) -> bool:
        if self._began is None or instant - self._last > FORGOTTEN_SECONDS:
            self._began = None
            return False
        return instant - self._began > self._seconds > 0

    def _once(self, attempt: Callable[[], Connection], failure: type[Exception]) -> Connection:
        try:
            made = attempt()
        except failure:
            self._last = self._now()
            self._began = self._last if self._began is None else self._began
            raise
        self._began = None
        return made

    def _until(
        self, deadline: float, attempt: Callable[[], Connection], failure: type[Exception]
    ) -> Connection:
        while True:
            self._sleep(PAUSE_SECONDS)
            try:
                return self._once(attempt, failure)
            except failure:
                if self._now() + PAUSE_SECONDS > deadline:
                    raise
