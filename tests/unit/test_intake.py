"""The intake's slots: what is claimed, offered and told."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from resonate_fleet.contract.stream import Stream
from resonate_fleet.member.intake import Intake


class Heard:
    """Both ways to work, which keep what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **named: self.told.append((name, *args, *named.values()))


def opened(slots: int = 1) -> tuple[Intake, Heard, list[str]]:
    stream = Stream("http://nowhere", None, lambda _: None, lambda _: None)
    heard, given = Heard(), list[str]()
    intake = Intake(slots, "me", stream)
    both: Any = heard
    intake.join(both, both)
    intake.recv(lambda text: given.append(json.loads(text)["data"]["task"]["id"]))
    return intake, heard, given


def test_each_free_slot_is_offered_once() -> None:
    intake, _, given = opened(slots=3)
    assert [intake.offer(), intake.offer()] == [3, 0]
    intake.assigned([("a", 0), ("b", 0)], offered=True)
    assert given == ["a", "b"]
    assert intake.offer() == 0
    intake.done("a")
    assert intake.offer() == 1


def test_no_more_bodies_run_than_slots_whatever_is_still_being_written() -> None:
    """The server is away: outcomes pile up, and free no more slots than there are."""
    intake, _, given = opened(slots=2)
    for number in range(20):
        for task in range(intake.offer()):
            name = f"job-{number}-{task}"
            intake.assigned([(name, 0)], offered=True)
            intake.granted(name)
            intake.ending(name)
    assert len(given) == 4, "two outcomes are being written, two bodies are the last"
    assert intake.free == 0


def test_what_another_steward_assigns_is_given_back_when_all_slots_are_offered() -> None:
    intake, heard, given = opened()
    intake.offer()
    intake.assigned([("late", 0)], offered=False)
    assert given == []
    assert ("returned", "late") in heard.told
    intake.withdrawn()
    intake.assigned([("soon", 0)], offered=False)
    assert given == ["soon"], "a free slot that nobody was offered takes it"


def test_every_assignment_is_answered() -> None:
    intake, heard, _ = opened(slots=2)
    intake.offer()
    intake.assigned([("refused", 3), ("dropped", 0)], offered=True)
    intake.refused("refused")
    intake.done("refused")
    intake.done("dropped")
    answers = [one for one in heard.told if one[0] == "refused"]
    assert answers == [("refused", "refused", 3), ("refused", "dropped", 0)]


def test_a_task_that_comes_back_before_its_last_claim_has_ended_is_claimed_then() -> None:
    intake, heard, given = opened(slots=2)
    intake.offer()
    intake.assigned([("parent", 0)], offered=True)
    intake.granted("parent")
    intake.assigned([("parent", 1)], offered=True)
    assert given == ["parent"]
    intake.done("parent")
    assert given == ["parent", "parent"]
    assert not [one for one in heard.told if one[0] == "returned"]


def test_the_slot_of_a_task_that_comes_back_before_its_last_claim_has_ended_is_not_offered() -> (
    None
):
    intake, _, given = opened(slots=1)
    intake.offer()
    intake.assigned([("parent", 0)], offered=True)
    intake.granted("parent")
    intake.ending("parent")
    assert intake.offer() == 1
    intake.assigned([("parent", 1)], offered=True)
    assert not intake.ending("parent")
    assert intake.offer() == 0, "the steward would not count it, and never hear of it again"
    intake.done("parent")
    intake.granted("parent")
    assert (given, intake.free) == (["parent", "parent"], 0)
    intake.ending("parent")
    assert intake.offer() == 1


def test_a_closed_intake_takes_nothing() -> None:
    intake, heard, given = opened()
    intake.offer()
    intake.close()
    assert ("drain",) in heard.told
    intake.assigned([("late", 0)], offered=True)
    assert given == []
    assert ("returned", "late") in heard.told


def test_a_task_that_is_here_already_and_one_beyond_the_slots_are_not_taken() -> None:
    intake, _, given = opened(slots=2)
    assert intake.take("a", 4)
    assert not intake.take("a", 5)
    assert intake.take("b", 0)
    assert not intake.take("c", 0)
    assert given == ["a", "b"]
    assert (intake.used, intake.free) == (2, 0)


def test_an_assignment_uses_up_an_offer() -> None:
    intake, heard, given = opened(slots=3)
    intake.offer()
    intake.assigned([("a", 0)], offered=True)
    intake.done("a")
    intake.assigned([("b", 0)], offered=False)
    assert given == ["a", "b"], "the third slot is offered no more"
    assert ("refused", "a", 0) in heard.told
    assert intake.offer() == 0
    intake.withdrawn()
    assert intake.offer() == 2


def test_more_assignments_than_offers_leave_no_debt() -> None:
    intake, _, given = opened(slots=2)
    intake.assigned([("a", 0), ("b", 0)], offered=True)
    assert given == ["a", "b"]
    intake.done("a")
    assert intake.offer() == 1


def test_what_another_steward_assigns_takes_a_slot_that_is_free_of_offers() -> None:
    intake, heard, given = opened(slots=3)
    intake.take("own", 0)
    intake.offer()
    intake.assigned([("late", 0)], offered=False)
    assert given == ["own"]
    intake.done("own")
    intake.assigned([("soon", 0), ("too-late", 0)], offered=False)
    assert given == ["own", "soon"]
    assert [one for one in heard.told if one[0] == "returned"] == [
        ("returned", "late"),
        ("returned", "too-late"),
    ]


def test_a_granted_claim_has_its_answer() -> None:
    intake, heard, _ = opened(slots=2)
    intake.offer()
    intake.assigned([("granted", 2), ("open", 5)], offered=True)
    intake.granted("granted")
    intake.refused("granted")
    intake.done("granted")
    assert [one for one in heard.told if one[0] == "refused"] == []
    intake.take("own", 0)
    intake.done("own")
    intake.refused("stranger")
    assert [one for one in heard.told if one[0] == "refused"] == []


def test_a_body_that_is_over_frees_its_slot_once() -> None:
    intake, heard, _ = opened()
    intake.take("a", 0)
    heard.told.clear()
    assert intake.ending("a")
    assert heard.told == [("fill",), ("freed",)]
    assert not intake.ending("a")
    assert not intake.ending("stranger")
    assert heard.told == [("fill",), ("freed",)]
    assert intake.free == 1
    intake.done("a")
    assert intake.free == 1
    assert heard.told == [("fill",), ("freed",)] * 2
    intake.done("stranger")
    assert intake.free == 1
    assert intake.take("a", 1)
    assert intake.ending("a"), "another claim of it has a body of its own"


def test_a_task_that_came_back_and_cannot_be_claimed_any_more_is_returned() -> None:
    intake, heard, given = opened()
    intake.offer()
    intake.assigned([("parent", 0)], offered=True)
    intake.granted("parent")
    intake.assigned([("parent", 3)], offered=True)
    intake.close()
    intake.done("parent")
    assert given == ["parent"]
    assert ("returned", "parent") in heard.told


def test_it_is_claimed_at_the_version_that_it_came_back_with() -> None:
    intake, heard, _ = opened()
    intake.offer()
    intake.assigned([("parent", 0)], offered=True)
    intake.granted("parent")
    intake.assigned([("parent", 3)], offered=True)
    intake.done("parent")
    intake.done("parent")
    assert [one for one in heard.told if one[0] == "refused"] == [("refused", "parent", 3)]


def test_it_closes_once_for_good() -> None:
    intake, heard, given = opened()
    intake.fall_back(on=True)
    intake.fall_back(on=False)
    intake.close()
    intake.close()
    intake.fall_back(on=True)
    assert [one[-1] for one in heard.told] == [True, False, False, "drain", False]
    assert intake.free == intake.offer() == 0
    assert not intake.take("late", 0)
    assert given == []


def test_a_job_that_is_given_up_here_is_left_alone_for_a_while() -> None:
    intake, heard, _ = opened()
    intake.avoid("a", "f@2")
    intake.avoid("b", "")
    assert heard.told == [
        ("declined", "a", "f@2"),
        ("avoid", "a", 10.0, True),
        ("declined", "b", ""),
        ("avoid", "b", 1.0, False),
    ]


class Sent(Stream):
    """Says to its listener what a test wants said, until it is cancelled."""

    def __init__(self, *texts: str) -> None:
        super().__init__("http://nowhere", None, lambda _: None, lambda _: None)
        self.texts = texts
        self.said = asyncio.Event()
        self.over = asyncio.Event()

    async def run(self, heard: Callable[[str], None]) -> None:
        for text in self.texts:
            heard(text)
        self.said.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.over.set()


async def test_the_source_takes_hints_by_slots_and_hands_on_the_rest() -> None:
    hint = '{"kind":"execute","data":{"task":{"id":"a","version":4}}}'
    other = '{"kind":"invoke","data":{}}'
    stream, given = Sent("no message", hint, hint, other), list[str]()
    intake = Intake(1, "me", stream)
    both: Any = Heard()
    intake.join(both, both)
    intake.recv(given.append)
    await intake.start()
    await stream.said.wait()
    assert given == [hint, other]
    await intake.stop()
    await stream.over.wait()
    assert intake.free == 0


async def test_closing_ends_what_is_sent_to_this_member_alone() -> None:
    stream = Sent()
    intake = Intake(1, "me", stream)
    both: Any = Heard()
    intake.join(both, both)
    await intake.start()
    await stream.said.wait()
    intake.close()
    await stream.over.wait()


def test_the_addresses_of_the_source() -> None:
    intake = Intake(1, "me", Sent())
    assert intake.unicast() == "poll://uni@me/me"
    assert intake.resolve_target("group") == "poll://any@group"


async def test_a_source_that_nobody_started_closes_and_hears_without_a_listener() -> None:
    intake = Intake(1, "me", Sent())
    both: Any = Heard()
    intake.join(both, both)
    assert intake.take("a", 0), "the hint goes nowhere"
    await intake.stop()
    assert intake.free == 0
