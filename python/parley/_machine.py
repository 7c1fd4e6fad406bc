"""What a client decides, as client/session/session_machine.h does: whom to dial
and when, what to say, what to do with a task and how long to keep the result.

No I/O, no threads, no clock: the driver hands in events with the time (seconds
of a clock that never goes back) and does what it is asked for.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from . import _proto
from ._dial import Refused, Unreachable
from ._driver import Ended
from ._machine_job import JobMachine
from ._machine_state import FIRST_DELAY, MAX_DELAY
from ._states import ANSWERING, Link, Stage, Waiting, waits_for_job
from ._wire import PROTOCOL_VERSION

DIAL_TIMEOUT = 20.0
LEAVE_TIMEOUT = 0.5
MAX_DELAY_LATER = 15.0  # once there was no coordinator for a minute
MAX_EXCEPT_RUNS = 100
REPORT_EVERY = 10.0


class Machine(JobMachine):
    # ------------------------------------------------------------------ events

    def on_start(self, now: float) -> None:
        self._now = self._offline_since = now
        self._dial()
        self._after()

    def on_message(self, connection: int, message: Any, now: float) -> None:
        self._now = now
        if connection == self._connection and self._link is not Link.OVER:
            self._hear(message)
        self._after()

    def on_closed(self, connection: int, why: str, now: float) -> None:
        self._now = now
        if connection == self._connection:
            if self._link is Link.LEAVING:
                self._left()
            elif self._link in (Link.DIALING, Link.WAITING, Link.UP):
                # A coordinator that was up is tried again before the others are.
                self._lose_link(why, try_next=self._link is Link.DIALING)
        self._after()

    def on_transfer_ended(self, transfer: int, ended: Ended, why: str, now: float) -> None:
        self._now = now
        if transfer == self._transfer and self._job:
            self._transfer = 0
            self._transfer_ended(self._job, ended, why)
        self._after()

    def on_worked(self, number: int, result: Any, why: str, now: float) -> None:
        """`result`: an UpdateReady without task and version; None: it failed."""
        self._now = now
        job = self._job
        if job and job.number == number and job.stage is Stage.WORKING:
            if result is None:
                self._fail(job, why)
            else:
                result.task.CopyFrom(job.task)
                result.base_version = job.model_version
                result.contributors = 1
                job.result, job.stage = result, Stage.ANSWERED
                scalars = "".join(f", {name} {value:g}"
                                  for name, value in sorted(result.scalars.items()))
                self._say(logging.INFO, f"done: {job}, {result.seconds:.1f} s{scalars}")
                self._answer(job)
        self._after()

    def on_timer(self, now: float) -> None:
        self._now = now
        self._after()

    def on_stop(self, reason: str, now: float) -> None:
        self._now = now
        if self._link in (Link.WAITING, Link.UP):
            self._leave(reason, None)
        elif self._link is not Link.OVER:
            leaves = self._link is Link.LEAVING and not self._declines
            self._exit(self._exit_error if leaves else None)
        self._after()

    @property
    def wake_at(self) -> float:
        """When on_timer is due; earlier or repeated ones do no harm."""
        if self._link is Link.OVER:
            return math.inf
        due = [self._link_deadline, self._next_heartbeat, self._waiting.report_at]
        if self._link in (Link.DIALING, Link.PAUSING):
            due.append(self._offline_since + self.max_offline)
        if self._job:
            due.append(self._job.retry_at)
        if self._transfer:
            due.append(self._next_look)
        return min(due)

    # ---------------------------------------------------------------- messages

    def _hear(self, message: Any) -> None:
        kind = message.WhichOneof("kind")
        if self._link is Link.LEAVING:
            if kind == "goodbye":
                self._left()
        elif kind == "registered":
            self._on_registered(message)
        elif kind == "notice":
            self._on_notice(message.notice.text)
        # A deposed coordinator may talk on; refusals may come without a term.
        elif (self._link is Link.UP and message.term != self._term
              and not (kind == "goodbye" and message.term == 0)):
            self._say(logging.WARNING, f"ignores a message of term {message.term}; "
                                       f"the term is {self._term}")
        elif kind == "goodbye":
            self._on_goodbye(message.run, message.goodbye)
        elif self._link is not Link.UP:
            pass
        elif kind == "task":
            self._on_task(message.task)
        elif kind == "grant_upload":
            self._on_grant(message.grant_upload)
        elif kind == "verdict":
            self._on_verdict(message.verdict)
        elif kind == "task_over":
            self._on_task_over(message.task_over)
        else:
            self._say(logging.WARNING, "ignores a message of a kind that it does not know; "
                                       "is the coordinator newer?")

    def _on_registered(self, message: Any) -> None:
        if self._link not in ANSWERING:
            return
        registered, server = message.registered, self.servers[self._server]
        if registered.protocol_version != PROTOCOL_VERSION:
            reason = (f"the coordinator at {server} speaks protocol version "
                      f"{registered.protocol_version} ({registered.software}), this client "
                      f"{PROTOCOL_VERSION} ({self.hello.software}); use programs of the same "
                      "version")
            return self._leave(reason, Refused(reason))
        if message.run == self._run and message.term < self._term:
            return self._lose_link(f"the coordinator at {server} is of term {message.term}, "
                                   f"but {self._term} has begun already", try_next=True)
        other_term = (message.run, message.term) != (self._run, self._term)
        known = self._registered
        other_model = not self._adopted or (registered.spec_hash != known.spec_hash
                                            or registered.run_id != known.run_id
                                            or registered.config != known.config)
        self._run, self._term, self._registered = message.run, message.term, registered
        if self._link is Link.DIALING:
            self._up_since = self._now
        self._link, self._link_deadline = Link.UP, math.inf
        self._last_error = ""
        self._next_heartbeat = self._now + self._heartbeat_pause()
        self._say(logging.INFO, f"joined run {self._run} at {server} as {self.hello.name}, "
                                f"term {self._term}")
        if self._job and (other_term or other_model):
            self._say(logging.INFO, f"drops the {self._job} of an earlier term")
            self._drop_job()
        if other_model:
            reason = self.driver.adopt(registered)
            self._adopted = not reason
            if reason:
                return self._leave(reason, Refused(reason), declines=registered.more_runs)
        if self._job and self._job.stage is Stage.DOWNLOADING:
            self._start_download(self._job)
        elif self._job:
            self._answer(self._job)  # again, if it was said before

    def _on_notice(self, text: str) -> None:
        self._notice = text
        if self._link is Link.DIALING:
            self._link, self._up_since, self._last_error = Link.WAITING, self._now, ""
            self._say(logging.INFO, self._waits_for())
        if self._link is Link.WAITING:
            self._link_deadline = self._now + DIAL_TIMEOUT

    def _on_goodbye(self, run: str, goodbye: Any) -> None:
        text = f"the coordinator at {self.servers[self._server]} says: {goodbye.reason}"
        fresh = self._link is not Link.UP and not self._run
        if goodbye.more_runs and (fresh or not goodbye.retry):
            self._say(logging.INFO if goodbye.run_over else logging.WARNING,
                      f"{text}; goes on to the next run")
            self._next_run(run or self._run)
        elif goodbye.run_over:
            self._say(logging.INFO, f"{text}; the run is over")
            self._exit(None)
        elif goodbye.retry:
            self._lose_link(text, try_next=True)
        else:
            self._exit(Refused(text))

    # ---------------------------------------------------------------- the link

    def _dial(self) -> None:
        self._link, self._link_deadline = Link.DIALING, self._now + DIAL_TIMEOUT
        self._connection += 1
        self.driver.dial(self._connection, self.servers[self._server])
        # Else any run will do: the coordinator has one.
        own = self._registered is not None and self._registered.more_runs
        self.driver.send(_proto.ClientMessage(run=self._run if own else "", register=self.hello))

    def _next_run(self, run: str) -> None:
        """Registers again, for any run but this one."""
        self._drop_job()
        del self.hello.except_runs[:1 - MAX_EXCEPT_RUNS]
        self.hello.except_runs.append(run)
        self._run, self._term, self._declines = "", 0, False
        self._hang_up()
        self._offline_since = self._now
        self._link, self._link_deadline = Link.PAUSING, self._now + FIRST_DELAY

    def _hang_up(self) -> None:
        self.driver.hang_up()
        self._connection += 1  # what it said last is not heard any more
        self._next_heartbeat, self._notice = math.inf, ""

    def _lose_link(self, why: str, try_next: bool) -> None:
        if self._link in (Link.WAITING, Link.UP):
            self._offline_since = self._now
            # One that keeps breaking at once is not dialled at full pace for ever.
            if self._now - self._up_since >= MAX_DELAY:
                self._dial_failures = 0
        self._stop_transfer()
        if self._job:
            self._job.retry_at = math.inf
            if self._job.stage is Stage.UPLOADING:
                self._job.stage = Stage.ANSWERED
        self._hang_up()
        self._last_error = why
        long = self._now - self._offline_since >= 60
        delay = self._delay(self._dial_failures, MAX_DELAY_LATER if long else MAX_DELAY)
        self._dial_failures += 1
        self._link, self._link_deadline = Link.PAUSING, self._now + delay
        lost = self.servers[self._server]
        if try_next:
            self._server = (self._server + 1) % len(self.servers)
        self._say(logging.WARNING, f"no connection to {lost} ({why}); tries "
                                   f"{self.servers[self._server]} in {delay:.1f} s")

    def _leave(self, reason: str, error: Exception | None, declines: bool = False) -> None:
        self._drop_job()
        if declines:
            self._say(logging.WARNING, f"leaves run {self._run}: {reason}")
        self._declines = declines
        self._send(leave=_proto.Leave(reason=reason))
        self._exit_error = error
        self._link, self._link_deadline = Link.LEAVING, self._now + LEAVE_TIMEOUT
        self._next_heartbeat = math.inf

    def _left(self) -> None:
        if self._declines:
            self._next_run(self._run)
        else:
            self._exit(self._exit_error)

    def _exit(self, error: Exception | None) -> None:
        self._drop_job()
        if self._link is not Link.NONE:
            self.driver.hang_up()
        self._link = Link.OVER
        self.driver.exit(error)

    # -------------------------------------------------------------------- time

    def _after(self) -> None:
        """What is due by now; ends every event."""
        if self._link in ANSWERING and self._now >= self._link_deadline:
            self._lose_link(f"no answer within {DIAL_TIMEOUT:.1f} s", try_next=True)
        offline = self._now - self._offline_since
        if self._link in (Link.DIALING, Link.PAUSING) and offline >= self.max_offline:
            self._exit(Unreachable(
                f"no coordinator at {', '.join(self.servers)} for {self.max_offline:.1f} s: "
                f"{self._last_error or 'no answer'}"))
        if self._link is Link.PAUSING and self._now >= self._link_deadline:
            self._dial()
        if self._link is Link.LEAVING and self._now >= self._link_deadline:
            self._left()
        if self._link is Link.UP:
            if self._job and self._now >= self._job.retry_at:
                if self._job.stage is Stage.DOWNLOADING:
                    self._start_download(self._job)
                else:
                    self._answer(self._job)
            if self._job and self._transfer and self._now >= self._next_look:
                self._look_at_transfer(self._job)
            if self._now >= self._next_heartbeat:
                self._beat()
        self._report_waiting()

    def _beat(self) -> None:
        working = self._job is not None and self._job.stage is Stage.WORKING
        fraction = self.driver.fraction() if working else None
        if self._job is None or fraction is None:
            self._send(heartbeat=_proto.Heartbeat())
        else:
            self._send(progress=_proto.TaskProgress(task=self._job.task, fraction=fraction))

    def _report_waiting(self) -> None:
        if self._link in (Link.LEAVING, Link.OVER):
            self._waiting = Waiting()
            return
        on = (self._link, self._jobs, self._job.stage if self._job else None)
        if on != self._waiting.on:
            self._waiting = Waiting(on, self._now, self._now + REPORT_EVERY)
        elif self._now >= self._waiting.report_at:
            self._waiting.report_at = self._now + REPORT_EVERY
            works = self._job is not None and self._job.stage is Stage.WORKING
            self._say(logging.INFO if works else logging.WARNING,
                      f"{self._waits_for()}, for {self._now - self._waiting.since:.1f} s")

    def _waits_for(self) -> str:
        if self._link is Link.WAITING:
            return f"the coordinator at {self.servers[self._server]} has no task yet: {self._notice}"
        if self._link is not Link.UP:
            why = f": {self._last_error}" if self._last_error else ""
            return f"waits for the coordinator at {self.servers[self._server]}{why}"
        return waits_for_job(self._job, self._notice)
