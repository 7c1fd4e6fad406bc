"""The machine's decisions, in virtual time."""

import random

import pytest

from parley import Refused, Unreachable
from parley import _proto as p
from parley._driver import Ended
from parley._machine import Machine


class Recorder:
    """A driver that does nothing and remembers what it was asked for."""

    def __init__(self):
        self.done = []
        self.refusal = ""
        self.chunks = 0
        self.done_of_work = None
        self.errors = []

    def __getattr__(self, name):
        return lambda *words: self.done.append((name, *words))

    def adopt(self, registered):
        self.done.append(("adopt",))
        return self.refusal

    def fraction(self):
        return self.done_of_work

    def moved(self):
        return self.chunks

    def exit(self, error):
        self.errors.append(error)

    def take(self, *names):
        """What was asked for since, of these kinds; forgets it all."""
        taken = [d for d in self.done if d[0] in names]
        self.done.clear()
        return taken

    def sent(self):
        return [m.WhichOneof("kind") for _, m in self.take("send")]


class World:
    def __init__(self, servers=("a:1", "b:2"), **options):
        self.driver = Recorder()
        hello = p.Register(name="me", incarnation=7, kinds=[p.TRAIN, p.EVALUATE])
        self.machine = Machine(self.driver, hello, servers, random=random.Random(1), **options)
        self.now, self.connection = 0.0, 0
        self.machine.on_start(self.now)

    def hear(self, term=1, run="r", **kind):
        self.connection = max([d[1] for d in self.driver.done if d[0] == "dial"],
                              default=self.connection)
        message = p.ServerMessage(run=run, term=term, **kind)
        self.machine.on_message(self.connection, message, self.now)

    def join(self, term=1, **fields):
        self.hear(term, registered=p.Registered(protocol_version=1, token=b"t", heartbeat_ms=5000,
                                                **fields))

    def pass_time(self, until):
        """Lets everything happen that is due until then."""
        while self.machine.wake_at <= until:
            self.now = self.machine.wake_at
            self.machine.on_timer(self.now)
        self.now = until

    def lose(self):
        self.machine.on_closed(self.connection, "UNAVAILABLE: gone", self.now)

    def task(self, round=1, attempt=1, kind=p.TRAIN, term=1):
        name = p.TaskId(run="r", term=term, round=round, client="me", attempt=attempt)
        self.hear(term, task=p.Task(task=name, kind=kind, model_version=round - 1))
        return name

    def transfer_ends(self, ended=Ended.WELL):
        self.machine.on_transfer_ended(self.machine._transfer, ended, "why", self.now)

    def works(self, result=None):
        (effect,) = self.driver.take("work")
        self.machine.on_worked(effect[1], result or p.UpdateReady(weight=3), "", self.now)


@pytest.fixture
def world():
    world = World()
    world.join()
    return world


def test_a_task_from_its_coming_to_its_end(world):
    name = world.task(round=4)
    assert [d[0] for d in world.driver.take("open_job", "start_download")] == [
        "open_job", "start_download"]
    world.transfer_ends()
    world.works()
    ((_, ready),) = world.driver.take("send")
    assert ready.run == "r" and ready.term == 1
    ready = ready.update_ready
    assert (ready.task, ready.weight, ready.base_version, ready.contributors) == (name, 3, 3, 1)
    world.hear(grant_upload=p.GrantUpload(task=name, offset=40))
    assert world.driver.take("start_upload")[0][2:] == (b"t", 40)
    world.transfer_ends()
    world.hear(verdict=p.Verdict(task=name, accepted=True))
    assert not world.driver.take("drop_job")  # kept until the round is committed
    world.hear(task_over=p.TaskOver(task=name, counted=True))
    assert world.driver.take("drop_job")


def test_heartbeats_come_only_when_nothing_else_is_said(world):
    world.driver.take()
    world.pass_time(4)
    assert world.driver.sent() == []
    world.task(kind=9)  # answered at once
    assert world.driver.sent() == ["task_failed"]
    world.pass_time(8.9)
    assert world.driver.sent() == []
    world.pass_time(9.1)
    assert world.driver.sent() == ["heartbeat"]


def test_heartbeats_tell_how_far_the_work_is(world):
    name = world.task()
    world.driver.done_of_work = 0.25
    world.driver.take()
    world.pass_time(5)
    assert world.driver.sent() == ["heartbeat"]  # still downloads
    world.transfer_ends()
    world.pass_time(10)
    ((_, message),) = world.driver.take("send")
    assert message.progress == p.TaskProgress(task=name, fraction=0.25)
    world.driver.done_of_work = None
    world.pass_time(15)
    assert world.driver.sent() == ["heartbeat"]


def test_what_is_announced_is_announced_again_after_a_reconnect_and_goes_on(world):
    name = world.task()
    world.transfer_ends()
    world.works()
    world.hear(grant_upload=p.GrantUpload(task=name))
    world.lose()
    assert [d[0] for d in world.driver.take("stop_transfer", "hang_up", "drop_job")] == [
        "stop_transfer", "hang_up"]
    world.pass_time(1)
    assert world.driver.done[0][:3] == ("dial", world.machine._connection, "a:1")
    world.join()
    assert world.driver.sent() == ["register", "update_ready"]
    world.hear(grant_upload=p.GrantUpload(task=name, offset=8))
    assert world.driver.take("start_upload")[0][3] == 8


def test_another_term_or_model_drops_the_task(world):
    world.task()
    world.lose()
    world.pass_time(1)
    world.join(term=2)
    assert world.driver.take("drop_job") and not world.driver.take("adopt")
    world.task(term=2)
    world.lose()
    world.pass_time(2)
    world.join(term=2, spec_hash=5)
    assert [d[0] for d in world.driver.take("drop_job", "adopt")] == ["drop_job", "adopt"]


def test_another_run_of_the_same_name_is_another(world):
    world.driver.take()
    for run_id, adopted in ((0, 0), (5, 1), (5, 0), (6, 1)):
        world.lose()
        world.pass_time(world.now + 1)
        world.join(run_id=run_id)
        assert len(world.driver.take("adopt")) == adopted, run_id


def test_the_next_server_is_tried_and_pauses_grow_with_jitter():
    world = World()
    dials = []
    for _ in range(12):
        ((_, world.connection, address),) = world.driver.take("dial")
        dials.append((world.now, address))
        world.lose()
        world.pass_time(world.machine._link_deadline)
    assert [a for _, a in dials[:4]] == ["a:1", "b:2", "a:1", "b:2"]
    pauses = [b[0] - a[0] for a, b in zip(dials, dials[1:])]
    for i, pause in enumerate(pauses):
        full = min(5, 0.1 * 2 ** i)
        assert full / 2 <= pause <= full
    assert len(set(pauses)) == len(pauses)


def test_a_coordinator_that_says_nothing_is_given_up():
    world = World(max_offline=70)
    world.pass_time(19.9)
    assert not world.driver.take("hang_up")
    world.pass_time(20.1)
    assert world.driver.take("hang_up")
    world.pass_time(100)
    (error,) = world.driver.errors
    assert isinstance(error, Unreachable) and "a:1, b:2 for 70.0 s" in str(error)


def test_a_broken_transfer_is_tried_again_and_a_refused_one_fails_the_task(world):
    world.task()
    world.driver.take()
    world.transfer_ends(Ended.BROKEN)
    world.pass_time(1)
    assert world.driver.take("start_download")
    world.transfer_ends(Ended.REFUSED)
    assert world.driver.sent() == ["task_failed"]

    world.task(round=2)
    world.driver.take()
    world.transfer_ends(Ended.OVER)
    assert [d[0] for d in world.driver.take("drop_job", "send")] == ["drop_job"]


def test_a_transfer_that_stalls_is_given_up_and_tried_again():
    world = World()
    world.join(lease_ms=10000)
    world.task()
    for now in (15, 30, 45):  # slow, but it moves
        world.pass_time(now)
        world.driver.chunks += 1
    world.driver.take()
    world.pass_time(60)
    assert not world.driver.take("stop_transfer", "start_download")
    world.pass_time(75)
    assert [d[0] for d in world.driver.take("stop_transfer", "start_download")] == [
        "stop_transfer", "start_download"]


def test_a_broken_upload_asks_for_leave_again(world):
    name = world.task()
    world.transfer_ends()
    world.works()
    world.hear(grant_upload=p.GrantUpload(task=name))
    world.driver.take()
    world.transfer_ends(Ended.BROKEN)
    world.pass_time(1)
    assert world.driver.sent() == ["update_ready"]


def test_a_refusal_frees_the_numbers_and_is_remembered(world):
    name = world.task()
    world.transfer_ends()
    world.works()
    world.hear(verdict=p.Verdict(task=name, reason="too heavy"))
    assert world.driver.take("drop_job")
    world.hear(grant_upload=p.GrantUpload(task=name))
    ((_, message),) = world.driver.take("send")
    assert message.task_failed.reason == "refused before: too heavy"


def test_messages_of_others_are_not_heard(world):
    world.driver.take()
    world.hear(term=9, task=p.Task(task=p.TaskId(run="r", term=9, client="me"), kind=p.TRAIN))
    world.hear(task=p.Task(task=p.TaskId(run="r", term=1, client="you"), kind=p.TRAIN))
    world.hear()  # of a kind that only newer programs know
    assert {d[0] for d in world.driver.done} == {"say"}


def test_the_ways_to_an_end(world):
    world.machine.on_stop("enough", world.now)
    *_, (_, message) = world.driver.take("send")
    assert message.leave.reason == "enough"
    assert world.driver.errors == []
    world.pass_time(world.now + 1)  # no goodbye comes
    assert world.driver.errors == [None]

    over = World()
    over.join()
    over.hear(goodbye=p.Goodbye(run_over=True, reason="all rounds are done"))
    assert over.driver.errors == [None]
    assert over.machine.wake_at == float("inf")

    away = World()
    away.hear(term=0, goodbye=p.Goodbye(reason="the name is taken"))
    assert isinstance(away.driver.errors[0], Refused)

    later = World()
    later.hear(term=0, goodbye=p.Goodbye(reason="full", retry=True))
    assert later.driver.errors == []
    later.pass_time(1)
    assert later.driver.done[-2][2] == "b:2"

    other = World()
    other.hear(registered=p.Registered(protocol_version=2))
    assert other.driver.sent()[-1] == "leave"
    other.pass_time(1)
    assert "protocol version 2" in str(other.driver.errors[0])


def test_a_model_that_does_not_fit_is_refused_with_the_reason():
    world = World()
    world.driver.refusal = "'w' is missing"
    world.join()
    ((_, _hello), (_, leave)) = world.driver.take("send")
    assert leave.leave.reason == "'w' is missing"
    world.pass_time(1)
    assert isinstance(world.driver.errors[0], Refused)


def test_whoever_waits_says_for_what(world):
    world.hear(notice=p.Notice(text="1 of 2 clients"))
    world.driver.take()
    world.pass_time(10)
    assert [d[2] for d in world.driver.take("say")] == [
        "waits for a task: 1 of 2 clients, for 10.0 s"]


def notice(world):
    world.hear(run="", term=0, notice=p.Notice(text="waits for a run"))


def dialled_again(world):
    """What it says first, once it has dialled again."""
    world.pass_time(world.now + 1)
    world.connection = [d[1] for d in world.driver.done if d[0] == "dial"][-1]
    return world.driver.take("send")[-1][1]


def test_waits_for_a_run_while_it_is_told_so():
    world = World(max_offline=25)
    for _ in range(6):  # for a minute
        notice(world)
        world.pass_time(world.now + 10)
    assert not world.driver.errors
    said = [words for _, level, words in world.driver.take("say")]
    assert any("waits for a run" in words for words in said)
    world.join()
    assert not world.driver.take("dial")
    world.lose()
    dialled_again(world)
    notice(world)
    world.driver.take()
    world.pass_time(world.now + 21)  # silent for longer
    assert [d[0] for d in world.driver.take("hang_up", "dial")] == ["hang_up", "dial"]


def test_goes_on_to_the_next_run():
    world = World()
    world.join(more_runs=True)
    world.lose()
    assert dialled_again(world).run == "r"  # its own
    world.join(more_runs=True)
    for over in (True, False):  # finished, stopped
        world.hear(goodbye=p.Goodbye(reason="because", run_over=over, more_runs=True))
        hello = dialled_again(world)
        assert hello.run == "" and hello.register.except_runs[-1] == "r"
        notice(world)
        world.join(more_runs=True)
    assert not world.driver.errors


def test_leaves_a_run_that_it_cannot_train():
    world = World()
    world.driver.refusal = "is too large"
    world.join(more_runs=True)
    assert world.driver.sent()[-1] == "leave"
    world.hear(goodbye=p.Goodbye())
    assert dialled_again(world).register.except_runs == ["r"]
    # A run may turn it away before it is in.
    world.hear(run="s", term=2, goodbye=p.Goodbye(reason="full", retry=True, more_runs=True))
    assert dialled_again(world).register.except_runs == ["r", "s"]
    assert not world.driver.errors
    world.machine.on_stop("enough", world.now)
    assert world.driver.errors == [None]
