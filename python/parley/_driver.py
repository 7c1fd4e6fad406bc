"""What the machine wants done, and how a transfer that it wanted ended."""

from __future__ import annotations

import enum
from typing import Any, Protocol


class Driver(Protocol):
    """Does what the machine wants; answers by its on_... methods."""

    def dial(self, connection: int, address: str) -> None: ...
    def hang_up(self) -> None: ...
    def send(self, message: Any) -> None: ...
    def adopt(self, registered: Any) -> str:
        """Gets ready for a run; the reason where that cannot be, else ""."""
    def open_job(self, job: int, task: Any) -> None: ...
    def start_download(self, transfer: int, token: bytes) -> None: ...
    def work(self, job: int) -> None: ...
    def start_upload(self, transfer: int, token: bytes, offset: int) -> None: ...
    def fraction(self) -> float | None:
        """How much of the work is done, 0..1, where the user's function says so."""
    def moved(self) -> int:
        """Chunks that the transfer under way has moved."""
    def stop_transfer(self) -> None: ...
    def drop_job(self) -> None: ...
    def say(self, level: int, text: str) -> None: ...
    def exit(self, error: Exception | None) -> None:
        """The last call ever."""


class Ended(enum.Enum):
    """How a transfer ended."""

    WELL = 0
    BROKEN = 1  # trying again may help
    REFUSED = 2  # it will not
    OVER = 3  # the coordinator wants it no more
