from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.contract.ids import Ids, new_id, origin_of, root_of
from resonate_fleet.contract.words import anycast, group_of


@given(st.lists(st.integers(0, 3), min_size=1, max_size=300), st.integers(0, 2**48 - 10_000))
def test_ids_increase_whatever_the_clock_does(steps: list[int], start: int) -> None:
    clock = [start]

    def now() -> int:
        clock[0] += steps[clock[0] % len(steps)] - 1  # stands still, goes back, goes on
        return max(clock[0], 0)

    source = Ids(now_ms=now)
    ids = [source.new() for _ in range(200)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_five_thousand_ids_in_one_millisecond_keep_their_order() -> None:
    source = Ids(now_ms=lambda: 1_700_000_000_000)
    ids = [source.new() for _ in range(5000)]
    assert ids == sorted(set(ids))


def test_an_id_is_a_version_7_uuid_that_tells_its_time() -> None:
    made = Ids(now_ms=lambda: 1_700_000_000_123).new()
    assert UUID(made).version == 7
    assert UUID(made).variant == "specified in RFC 4122"
    assert UUID(made).int >> 80 == 1_700_000_000_123


def test_children_belong_to_their_job() -> None:
    job = new_id()
    assert root_of(f"{job}:1.2") == root_of(job) == job


def test_origins_agree_with_both_readings() -> None:
    assert origin_of("a:1.1") == origin_of("a:1.2")
    assert origin_of("a:1") != origin_of("a:2"), "the server's main branch splits at the first dot"
    assert origin_of("a") != origin_of("b")
    assert origin_of("a.1") != origin_of("a.2"), "the SDK would take these for two jobs"


def test_addresses_name_their_group() -> None:
    assert group_of(anycast("bulk")) == "bulk"
    assert group_of("poll://any@bulk/member-1") == "bulk"
    assert group_of("https://example.org/hook") is None
