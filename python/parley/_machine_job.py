"""The machine's part in a task: from the download to the verdict."""

from __future__ import annotations

import logging
import math
from typing import Any

from . import _proto
from ._driver import Ended
from ._machine_state import MAX_DELAY, MachineState
from ._states import Job, Link, Stage

STALL_LEASES = 2  # a transfer that moves no chunk for so long is given up


class JobMachine(MachineState):
    # ------------------------------------------------- what the coordinator says

    def _on_task(self, task: Any) -> None:
        name = task.task
        if (name.client, name.run, name.term) != (self.hello.name, self._run, self._term):
            return self._say(logging.WARNING, "ignores a task that is not for it")
        if self._job and self._job.task == name:
            return self._answer(self._job)
        self._drop_job()
        self._jobs += 1
        self._job = job = Job(self._jobs, name, task.kind, task.model_version)
        if task.kind not in self.hello.kinds:
            return self._fail(job, f"this client does not know tasks of kind {task.kind}")
        job.open = True
        self.driver.open_job(job.number, task)
        self._start_download(job)

    def _on_grant(self, grant: Any) -> None:
        job = self._job
        if not job or job.task != grant.task:
            return
        if job.stage is Stage.FAILED:
            return self._answer(job)
        if job.stage < Stage.ANSWERED:
            return self._say(logging.WARNING,
                             f"ignores leave to upload before the {job} is done")
        self._stop_transfer()
        job.stage, job.retry_at = Stage.UPLOADING, math.inf
        self.driver.start_upload(self._begin_transfer(), self._registered.token, grant.offset)

    def _on_verdict(self, verdict: Any) -> None:
        job = self._job
        if (not job or job.task != verdict.task
                or not Stage.ANSWERED <= job.stage < Stage.FAILED):
            return
        job.retry_at = math.inf
        if verdict.accepted:
            self._stop_transfer()
            job.stage = Stage.ACCEPTED
            return
        self._say(logging.WARNING, f"the coordinator refused the {job}: {verdict.reason}")
        self._free_numbers(job)
        job.stage, job.reason = Stage.FAILED, f"refused before: {verdict.reason}"

    def _on_task_over(self, over: Any) -> None:
        if not self._job or self._job.task != over.task:
            return
        if not over.counted:
            self._say(logging.INFO, f"the {self._job} does not count: {over.reason}")
        self._drop_job()

    # ---------------------------------------------------------- what becomes of it

    def _transfer_ended(self, job: Job, ended: Ended, why: str) -> None:
        download = job.stage is Stage.DOWNLOADING
        if ended is Ended.WELL:
            job.failures = 0
            job.stage = Stage.WORKING if download else Stage.UPLOADED
            if download:
                self.driver.work(job.number)
            return
        what = f"{'download' if download else 'upload'} for the {job}: {why}"
        if ended is Ended.OVER:
            self._say(logging.INFO, f"{what}; drops the task")
            return self._drop_job()
        if not download:
            job.stage = Stage.ANSWERED
        if ended is Ended.BROKEN:
            # For an upload: asks again for leave, unless it is granted anew before.
            delay = self._delay(job.failures, MAX_DELAY)
            job.failures += 1
            job.retry_at = self._now + delay
            self._say(logging.WARNING, f"{what}; tries again in {delay:.1f} s")
        elif download:
            self._fail(job, what)
        else:
            self._say(logging.WARNING, what)  # the verdict follows

    def _start_download(self, job: Job) -> None:
        job.retry_at = math.inf
        self.driver.start_download(self._begin_transfer(), self._registered.token)

    def _begin_transfer(self) -> int:
        self._transfers += 1
        self._transfer = self._transfers
        self._moved, self._moved_at = -1, self._now
        self._next_look = self._now + self._stall_time() / 4
        return self._transfer

    def _look_at_transfer(self, job: Job) -> None:
        self._next_look = self._now + self._stall_time() / 4
        moved = self.driver.moved()
        if moved != self._moved:
            self._moved, self._moved_at = moved, self._now
        elif self._now - self._moved_at >= self._stall_time():
            self._stop_transfer()
            self._transfer_ended(job, Ended.BROKEN,
                                 f"no chunk moved for {self._stall_time():.1f} s")

    def _stall_time(self) -> float:
        lease = self._registered.lease_ms
        return STALL_LEASES * float(lease) / 1000 if lease > 0 else math.inf

    def _stop_transfer(self) -> None:
        if self._transfer:
            self._transfer = 0
            self.driver.stop_transfer()

    def _answer(self, job: Job) -> None:
        """Tells how the task went, if that is known. To say it twice does no harm."""
        if self._link is not Link.UP or job.stage < Stage.ANSWERED:
            return
        job.retry_at = math.inf
        if job.stage is Stage.FAILED:
            self._send(task_failed=_proto.TaskFailed(task=job.task, reason=job.reason))
        else:
            self._send(update_ready=job.result)

    def _fail(self, job: Job, reason: str) -> None:
        self._free_numbers(job)
        job.stage, job.reason, job.retry_at = Stage.FAILED, reason, math.inf
        self._say(logging.WARNING, f"the {job} failed: {reason}")
        self._answer(job)

    def _drop_job(self) -> None:
        if self._job:
            self._free_numbers(self._job)
            self._job = None

    def _free_numbers(self, job: Job) -> None:
        self._stop_transfer()
        if job.open:
            job.open = False
            self.driver.drop_job()
