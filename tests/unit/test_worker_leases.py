"""Which heartbeats are sent, and which leases count as lost, in virtual time."""

from collections.abc import Iterator

import pytest

from resonate_fleet.member.attempts import Attempt, Callee, Lease, Table
from resonate_fleet.member.leases import Heartbeats
from tests.support.model import BlockingModelWire, Model

LEASE = 6.0


class Ward:
    """Heartbeats for a table of attempts claimed on the model."""

    def __init__(self) -> None:
        self.model = Model(one_origin=True)
        self.table = Table()
        self.lost: list[tuple[str, str]] = []
        self.failures = 0
        wire = BlockingModelWire(self.model)
        self.heartbeats = Heartbeats(
            self.table,
            wire,
            "me",
            LEASE,
            self._lost,
            self._failed,
            now=lambda: self.model.seconds,
        )

    def _lost(self, attempt: Attempt, why: str) -> None:
        assert self.table.finish(attempt)
        self.lost.append((attempt.task, why))

    def _failed(self, _: Exception) -> None:
        self.failures += 1

    def claim(self, id: str) -> Attempt:
        version = self.model.claim(self.model.job(id), "me", LEASE)
        now = self.model.seconds
        attempt = Attempt(id, version, Callee("f", "f"), began=now, lease=Lease(now))
        self.table.add(attempt)
        return attempt


@pytest.fixture
def ward() -> Iterator[Ward]:
    made = Ward()
    yield made
    made.model.close()


def test_heartbeats_keep_leases_of_several_origins(ward: Ward) -> None:
    jobs = ["a", "b", "c.1", "c.2"]
    for job in jobs:
        ward.claim(job)
    for _ in range(10):
        ward.model.pass_time(LEASE / 3)
        assert ward.heartbeats.send()
    assert {ward.model.task(job)["version"] for job in jobs} == {1}
    assert {ward.model.task(job)["state"] for job in jobs} == {"acquired"}
    assert ward.model.kinds.count("task.heartbeat") == 10 * 4
    assert not ward.lost


def test_nothing_held_sends_nothing(ward: Ward) -> None:
    assert ward.heartbeats.send()
    assert ward.model.kinds == []
    assert ward.heartbeats.age() == 0


def test_without_heartbeats_the_lease_lapses(ward: Ward) -> None:
    ward.claim("a")
    ward.model.pass_time(LEASE + 0.1)
    ward.heartbeats.send()
    assert ward.lost == [("a", "lapsed")]


def test_a_lease_that_another_took(ward: Ward) -> None:
    ward.claim("a")
    ward.model.pass_time(LEASE + 0.1)
    ward.model.claim("a", "another", LEASE)
    ward.heartbeats.send()
    assert ward.lost == [("a", "taken")]


def test_a_halted_job_and_one_that_ran_out(ward: Ward) -> None:
    ward.claim("a")
    ward.claim("b")
    ward.model.call("task.halt", id="a")
    ward.model.call("promise.settle", id="b", state="rejected_canceled", value={})
    ward.model.seconds += LEASE / 6
    ward.heartbeats.send()
    assert ward.lost == [("a", "halted"), ("b", "gone")]


def test_a_write_on_its_way_is_no_loss(ward: Ward) -> None:
    ward.claim("a").lease.wrote_at = ward.model.seconds
    ward.model.call("task.halt", id="a")
    ward.model.seconds += LEASE / 6
    ward.heartbeats.send()
    assert not ward.lost


def test_silence_is_no_loss_until_the_lease_is_over(ward: Ward) -> None:
    ward.claim("a")
    ward.model.deaf = True
    ward.model.pass_time(LEASE - 0.1)
    assert not ward.heartbeats.send()
    assert (ward.lost, ward.failures) == ([], 1)
    assert ward.heartbeats.age() == pytest.approx(LEASE - 0.1)
    ward.model.seconds += 0.2
    assert not ward.heartbeats.send()
    assert ward.lost == [("a", "lapsed")]


def test_a_long_sleep_that_cost_nothing(ward: Ward) -> None:
    # The process was stopped past its lease, but the server has not looked yet, or was away too.
    ward.claim("a")
    ward.model.seconds += LEASE - 0.01
    assert ward.heartbeats.send()
    ward.model.seconds += LEASE - 0.01
    assert ward.heartbeats.send()
    assert not ward.lost
    assert ward.model.task("a")["state"] == "acquired"
