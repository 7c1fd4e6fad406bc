"""What the machine knows, and how it speaks."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import _proto
from ._driver import Driver
from ._states import Job, Link, Waiting

FIRST_DELAY = 0.1
MAX_DELAY = 5.0
MIN_HEARTBEAT = 0.01


@dataclass
class MachineState:
    driver: Driver
    hello: Any  # Register, sent at each new connection
    servers: Sequence[str]
    max_offline: float = math.inf
    random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.hello = _proto.Register.FromString(self.hello.SerializeToString())  # grows
        self._now = -math.inf
        self._link = Link.NONE
        self._link_deadline = math.inf
        self._connection = 0
        self._server = 0
        self._dial_failures = 0
        self._offline_since = 0.0
        self._up_since = 0.0
        self._last_error = ""
        self._exit_error: Exception | None = None
        self._registered: Any = None
        self._adopted = False
        self._run = ""
        self._term = 0
        self._notice = ""
        self._declines = False  # leaves this run only
        self._next_heartbeat = math.inf
        self._jobs = 0
        self._job: Job | None = None
        self._transfers = 0
        self._transfer = 0  # under way, or 0
        self._moved, self._moved_at = -1, 0.0  # its chunks, and since when so many
        self._next_look = math.inf  # at what it moves
        self._waiting = Waiting()

    def _send(self, **kind: Any) -> None:
        # Any message renews the lease.
        self._next_heartbeat = self._now + self._heartbeat_pause()
        self.driver.send(_proto.ClientMessage(run=self._run, term=self._term, **kind))

    def _heartbeat_pause(self) -> float:
        if self._registered is None or self._registered.heartbeat_ms <= 0:
            return math.inf
        return max(MIN_HEARTBEAT, float(self._registered.heartbeat_ms) / 1000)

    def _delay(self, failures: int, longest: float) -> float:
        full = min(longest, FIRST_DELAY * math.ldexp(1, min(failures, 20)))
        return full * (0.5 + 0.5 * self.random.random())

    def _say(self, level: int, text: str) -> None:
        self.driver.say(level, text)
