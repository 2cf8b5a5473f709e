"""The intake's slots: what is claimed, offered and told."""

import json
from collections.abc import Callable
from typing import Any

from resonate_fleet.contract.stream import Stream
from resonate_fleet.member.intake import Inbox, Intake


class Heard:
    """Both ways to work, which keep what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **named: self.told.append((name, *args, *named.values()))


def opened(slots: int = 1) -> tuple[Intake, Heard, list[str]]:
    stream = Stream("http://nowhere", None, lambda _: None, lambda _: None)
    inbox, heard, given = Inbox("me", stream), Heard(), list[str]()
    intake = Intake(slots, inbox)
    intake.join(heard, heard)
    inbox.recv(lambda text: given.append(json.loads(text)["data"]["task"]["id"]))
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


def test_a_closed_intake_takes_nothing() -> None:
    intake, heard, given = opened()
    intake.offer()
    intake.close()
    assert ("drain",) in heard.told
    intake.assigned([("late", 0)], offered=True)
    assert given == []
    assert ("returned", "late") in heard.told
