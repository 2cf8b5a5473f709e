"""The SDK through the member's network, against the model: claims, writes, lost answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from resonate_fleet.contract.envelope import Raw
from tests.support.rig import Rig, lose_once
from tests.support.waiting import wait_until_async


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    made.sdk.start()
    yield made
    await made.sdk.stop()
    made.model.close()


async def test_a_job_from_hint_to_result(rig: Rig) -> None:
    job = rig.start("fine")
    assert await rig.outcome() == "resolved"
    await rig.told("done", job)
    assert rig.intake.told == [("granted", job), ("ending", job), ("done", job)]
    assert rig.model.promise(job)["state"] == "resolved"
    assert len(rig.table) == 0


async def test_a_refused_claim_frees_its_slot(rig: Rig) -> None:
    job = rig.model.job("job")
    rig.model.claim(job, "another", 60)
    rig.intake.hint(job, 0)
    await rig.told("done", job)
    assert rig.intake.told == [("refused", job), ("done", job)]
    assert rig.lines.of("claim.refused") == [
        {"at": rig.lines.of("claim.refused")[0]["at"], "who": "me", "task": job, "version": 0}
    ]


async def test_a_grant_whose_answer_was_lost_goes_back(rig: Rig) -> None:
    rig.model.lose = lose_once("task.acquire")
    job = rig.start("fine")
    await rig.told("done", job)
    task = rig.model.task(job)
    assert (task["state"], task["version"]) == ("pending", 1)
    rig.intake.hint(job, 1)
    assert await rig.outcome() == "resolved"


async def test_a_grant_that_lacks_its_promise_goes_back(rig: Rig) -> None:
    """Its answer is none: the claim is repeated, refused, and found to be this member's."""
    post, left = rig.model.post, ["task.acquire"]

    def without(body: bytes | str) -> Raw:
        raw = post(body)
        kind = rig.model.kinds[-1]
        return Raw(200, raw.body.replace(b'"promise"', b'"x"')) if kind in left[-1:] else raw

    rig.model.post = without  # type: ignore[method-assign]  # a server that is none of ours
    job = rig.start("fine")
    await wait_until_async(lambda: "task.acquire" in rig.model.kinds, 5, "it has answered")
    left.clear()
    await rig.told("done", job)
    task = rig.model.task(job)
    assert (task["state"], task["version"]) == ("pending", 1)
    rig.intake.hint(job, 1)
    assert await rig.outcome() == "resolved"


@pytest.mark.parametrize("kind", ["task.fulfill", "task.suspend", "task.fence"])
async def test_a_write_whose_answer_was_lost_counts_once(rig: Rig, kind: str) -> None:
    rig.model.lose = lose_once(kind)
    job = rig.start("fine" if kind == "task.fulfill" else "nap")
    assert await rig.outcome() == ("resolved" if kind == "task.fulfill" else "suspended")
    await rig.told("done", job)
    assert not rig.lines.of("lease.lost")
    assert rig.model.kinds.count("task.release") == 0


async def test_requests_ride_out_a_deaf_server(rig: Rig) -> None:
    job = rig.start("hold")
    await rig.line("job.claimed")
    rig.model.deaf = True
    await wait_until_async(lambda: job in rig.running, 5, "the body runs")
    rig.running[job].set()
    await asyncio.sleep(0.1)
    assert not rig.lines.of("job.ended")
    rig.model.deaf = False
    assert await rig.outcome() == "resolved"


async def test_nothing_is_written_for_a_lost_lease(rig: Rig) -> None:
    job = rig.start("hold")
    await wait_until_async(lambda: job in rig.running, 5, "the body runs")
    attempt = rig.table.find(job, 1)
    assert attempt is not None
    rig.table.finish(attempt)
    rig.running[job].set()
    await rig.told("done", job)
    assert "task.fulfill" not in rig.model.kinds
    assert "task.release" not in rig.model.kinds


async def test_a_late_result_is_refused(rig: Rig) -> None:
    job = rig.start("hold")
    await wait_until_async(lambda: job in rig.running, 5, "the body runs")
    rig.model.call("task.release", id=job, version=1)
    rig.model.claim(job, "another", 60)
    rig.running[job].set()
    assert await rig.outcome() == "refused"
    assert [line["why"] for line in rig.lines.of("lease.lost")] == ["taken"]
    assert rig.model.promise(job)["state"] == "pending"


async def test_a_refused_result_is_held_until_its_end_is_told(rig: Rig) -> None:
    """A drain ends the process once nothing is held: what is told later is told by nobody."""
    asked: list[list[str]] = []
    job = rig.start("hold")
    await wait_until_async(lambda: job in rig.running, 5, "the body runs")
    rig.table.changed = lambda _, held: None if held else asked.append(list(rig.model.kinds))
    rig.model.call("task.release", id=job, version=1)
    rig.model.claim(job, "another", 60)
    rig.running[job].set()
    assert await rig.outcome() == "refused"
    [before] = asked
    assert rig.model.kinds[len(before) :] == []


async def test_a_timer_that_is_not_due_goes_back(rig: Rig) -> None:
    timer = rig.model.job("job:1", timer="true")
    rig.intake.hint(timer, 0)
    await rig.told("done", timer)
    assert rig.model.task(timer)["state"] == "pending"
    assert not rig.lines.of("job.claimed")


async def test_a_call_that_cannot_be_read_is_avoided(rig: Rig) -> None:
    job = rig.model.job("job", {"data": "bm90IGpzb24="})
    rig.intake.hint(job, 0)
    assert await rig.outcome() == "released"
    await rig.told("avoid", job)
    assert rig.model.task(job)["state"] == "pending"


async def test_claims_granted_after_the_close_go_back_unbegun(rig: Rig) -> None:
    rig.claims.close()
    job = rig.start("hold")
    await rig.told("done", job)
    assert rig.model.task(job)["state"] == "pending"
    assert [line["attempt"] for line in rig.lines.of("job.claimed")] == [1]
    assert await rig.outcome() == "released"
    assert job not in rig.running
    assert len(rig.table) == 0


@pytest.mark.parametrize("function", ["fine", "at_once"])
async def test_what_a_free_slot_asks_goes_out_before_the_outcome(rig: Rig, function: str) -> None:
    """The slot is free when the body has returned, whether it ran on a thread or on the loop."""
    other = rig.model.job("another")
    rig.intake.at_ending = lambda: rig.intake.hint(other, 0)
    job = rig.start(function)
    await rig.told("done", job)
    await rig.told("done", other)
    written = rig.model.kinds.index("task.fulfill")
    assert rig.model.kinds[:written].count("task.acquire") == 2


async def overlap(rig: Rig) -> tuple[str, str]:
    """Return a job whose body is over and whose outcome the server does not hear, and the next."""
    job = rig.start("hold")
    await wait_until_async(lambda: job in rig.running, 5, "the body runs")
    rig.model.deaf = True
    rig.running[job].set()
    await rig.told("ending", job)
    return job, rig.start("hold", "next")


async def test_an_outcome_refused_after_the_next_claim_harms_the_old_job_only(rig: Rig) -> None:
    job, following = await overlap(rig)
    rig.model.call("task.release", id=job, version=1)
    rig.model.claim(job, "another", 60)
    rig.model.deaf = False
    await wait_until_async(lambda: following in rig.running, 5, "the next body runs")
    assert await rig.outcome() == "refused"
    assert [line["why"] for line in rig.lines.of("lease.lost")] == ["taken"]
    rig.running[following].set()
    assert await rig.outcome(2) == "resolved"
    assert rig.model.promise(job)["state"] == "pending"
    assert rig.model.promise(following)["state"] == "resolved"


async def test_a_result_on_its_way_is_the_servers_to_judge(rig: Rig) -> None:
    """This member's clock may say that the lease has lapsed: the server may say otherwise."""
    job, following = await overlap(rig)
    attempt = rig.table.find(job, 1)
    assert attempt is not None
    assert not rig.table.lose(attempt)
    rig.model.deaf = False
    assert await rig.outcome() == "resolved"
    await wait_until_async(lambda: following in rig.running, 5, "the next body runs")
    rig.running[following].set()
    assert await rig.outcome(2) == "resolved"
    assert not rig.lines.of("lease.lost")
    assert rig.model.promise(job)["state"] == "resolved"


async def test_a_drain_between_body_and_outcome_keeps_the_outcome(rig: Rig) -> None:
    """What is held is waited for: the outcome; the claim beside it goes back unbegun."""
    job, following = await overlap(rig)
    assert [one.task for one in rig.table.held()] == [job], "the lease is kept until the answer"
    await wait_until_async(lambda: rig.claims.pending == 1, 5, "the next claim is on its way")
    rig.claims.close()
    rig.model.deaf = False
    await rig.told("done", job)
    await rig.told("done", following)
    outcomes = {line["job"]: line["outcome"] for line in rig.lines.of("job.ended")}
    assert outcomes == {job: "resolved", following: "released"}
    assert following not in rig.running
    assert rig.claims.pending == 0
    assert len(rig.table) == 0


async def test_what_the_server_refused_is_told(rig: Rig) -> None:
    job = rig.start("misplaced")
    assert await rig.outcome() == "released"
    assert "task.fence: 400" in rig.lines.of("job.ended")[0]["error"]
    await rig.told("avoid", job)
