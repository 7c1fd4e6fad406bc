"""What the machine remembers: its link, its task, what it waits for."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

from . import _proto


class Link(enum.Enum):
    NONE, DIALING, PAUSING, UP, LEAVING, OVER = range(6)
    WAITING = 6  # the coordinator has no run for this client yet


ANSWERING = (Link.DIALING, Link.WAITING)  # it is the coordinator's turn


class Stage(enum.IntEnum):
    DOWNLOADING, WORKING = range(2)
    ANSWERED = 2  # the result is there; the coordinator may not know yet
    UPLOADING = 3
    UPLOADED = 4  # waits for the verdict
    ACCEPTED = 5  # kept until TaskOver
    FAILED = 6  # `reason` says why; no numbers are held


@dataclass
class Job:
    number: int
    task: Any  # TaskId
    kind: int
    model_version: int
    stage: Stage = Stage.DOWNLOADING
    failures: int = 0  # of transfers, since one that worked
    retry_at: float = math.inf
    result: Any = None
    reason: str = ""
    open: bool = False  # the driver holds numbers of it

    def __str__(self) -> str:
        what = "evaluation" if self.kind == _proto.EVALUATE else "training"
        return f"{what} of round {self.task.round}"


@dataclass
class Waiting:
    """For what, since when, and when to say so again."""

    on: tuple[Any, ...] = ()
    since: float = 0.0
    report_at: float = math.inf


def waits_for_job(job: Job | None, notice: str) -> str:
    if job is None:
        return "waits for a task" + (f": {notice}" if notice else "")
    return {
        Stage.DOWNLOADING: f"downloads for the {job}",
        Stage.WORKING: f"works on the {job}",
        Stage.ANSWERED: f"waits for the coordinator to ask for the {job}",
        Stage.UPLOADING: f"uploads the {job}",
        Stage.UPLOADED: f"waits for the verdict on the {job}",
    }.get(job.stage, f"waits for the end of the {job}")
