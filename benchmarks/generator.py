"""A load generator: some connections, each of which sends its next request when the last is answered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One run: how many requests were answered in how many seconds, and how long each took, in seconds."""

    seconds: float
    latencies: tuple[float, ...]  # ascending

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, part: float) -> float:
        """Return the time within which this part of the requests was answered."""
        return self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))]


class WrongAnswerError(Exception):
    """An answer has another status than expected; a figure of it would mean nothing."""


class _Connection(asyncio.Protocol):
    """Sends one request again and again."""

    def __init__(self, request: bytes, status: bytes, deadline: float) -> None:
        self._request, self._status, self._deadline = request, b"HTTP/1.1 " + status, deadline
        self._buffer = b""
        self._begun = 0.0
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._begun = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take an answer, or a part of one."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        now = time.perf_counter()
        self.latencies.append(now - self._begun)
        self._buffer = b""
        if not head.startswith(self._status):
            self.done.set_exception(WrongAnswerError(head.decode("latin-1").partition("\r\n")[0]))
            self._transport.close()
        elif now >= self._deadline:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell when the server closed it."""
        if not self.done.done():
            self.done.set_exception(exc or WrongAnswerError("the server closed the connection"))


async def _generate(port: int, request: bytes, status: int, connections: int, seconds: float) -> Measured:
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    made = [
        (
            await loop.create_connection(
                lambda: _Connection(request, str(status).encode(), begun + seconds), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for connection in made))
    latencies = sorted(latency for connection in made for latency in connection.latencies)
    return Measured(time.perf_counter() - begun, tuple(latencies))


def generate(port: int, request: bytes, *, status: int, connections: int, seconds: float) -> Measured:
    """Load a server on this machine for some seconds; raises WrongAnswerError."""
    return asyncio.run(_generate(port, request, status, connections, seconds))
