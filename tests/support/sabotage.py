"""Ways to spoil an honest run: each is what a broken worker, client, server or chaos leaves behind.

Each function changes a played run (tests.support.runs) as the defect it is named after would, and
returns what the judge must call it.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.calls import result_of
from resonate_fleet.contract.envelope import Value, encode_value
from resonate_fleet.contract.run import Guarantees, Record
from tests.support.runs import Blow, Run, play

Sabotage = Callable[[Run], str]
SABOTAGES: dict[str, tuple[Sabotage, str]] = {}


def sabotage(verdict: str) -> Callable[[Sabotage], Sabotage]:
    """Register a sabotage with the verdict that it must lead to."""

    def register(do: Sabotage) -> Sabotage:
        SABOTAGES[do.__name__] = (do, verdict)
        return do

    return register


# Finding one's way in a run.


def members(run: Run) -> list[str]:
    return [who for who in run.journals if who.startswith("worker-")]


def quiet_job(run: Run) -> str:
    """Return a job in the middle of the run that was claimed once and has no steps."""
    jobs = [one.id for one in run.plan.jobs if not one.steps]
    return next(job for job in jobs[5:] if _version(run, job) == 1)


def _version(run: Run, job: str) -> int:
    task = _record(run, job).task
    return task.version if task else 0


def _record(run: Run, job: str) -> Any:
    return next(one for one in run.records if one.promise.id == job)


def claimant(run: Run, job: str) -> str:
    return line_of(run, job, j.Claimed).who


def line_of[L: j.Line](run: Run, job: str, kind: type[L]) -> L:
    return next(
        line
        for lines in run.journals.values()
        for line in lines
        if isinstance(line, kind) and getattr(line, "job", "") == job
    )


def drop(run: Run, *gone: j.Line) -> None:
    """Take lines out of the journals."""
    for who, lines in run.journals.items():
        run.journals[who] = [line for line in lines if not any(line is one for one in gone)]


def add(run: Run, who: str, line: j.Line, at: float) -> None:
    """Put a line into a journal, where its time belongs."""
    run.journals[who].append(replace(line, at=at, who=who))
    run.journals[who].sort(key=lambda one: one.at)


def set_record(run: Run, job: str, task: dict[str, Any], promise: dict[str, Any]) -> None:
    index = next(i for i, one in enumerate(run.records) if one.promise.id == job)
    one = run.records[index]
    assert one.task is not None
    changed = replace(one.task, **task)
    run.records[index] = replace(one, task=changed, promise=replace(one.promise, **promise))


def set_result(run: Run, job: str, **changes: Any) -> None:
    result = result_of(_record(run, job).promise)
    assert result is not None
    value = Value(data=encode_value(replace(result, **changes))["data"])
    set_record(run, job, {}, {"value": value})


def again(run: Run, job: str, *, by: str, number: int, after: float, cost: float) -> None:
    """Let `by` claim the job and end it once more."""
    began = line_of(run, job, j.Claimed).at + after
    claimed = replace(line_of(run, job, j.Claimed), attempt=number)
    ended = replace(line_of(run, job, j.Ended), attempt=number, seconds=cost)
    add(run, by, claimed, began)
    add(run, by, ended, began + cost)


def someone_else(run: Run, job: str) -> str:
    at = line_of(run, job, j.Ended).at
    return next(
        who
        for who in members(run)
        if who != claimant(run, job)
        and run.journals[who][0].at < at
        and isinstance(run.journals[who][-1], j.MemberStopped)
        and run.journals[who][-1].at > at + 2
    )


def last_at(run: Run) -> float:
    return max(line.at for lines in run.journals.values() for line in lines)


def _replay(run: Run, blows: list[Blow], **more: Any) -> None:
    """Play another run in its place."""
    new = play(blows, **more)
    run.plan, run.journals, run.records, run.at = new.plan, new.journals, new.records, new.at


def _renamed(one: Record) -> Record:
    """Return the record as that of another job."""
    promise = replace(one.promise, id=f"other-{one.promise.id}")
    return replace(one, promise=promise, task=one.task and replace(one.task, id=promise.id))


# Workers.


@sabotage("FAIL")
def worker_drops_a_result(run: Run) -> str:
    """It says it brought the result; the server still waits for it."""
    unsettled = {"state": "pending", "settled_at": None, "value": Value()}
    set_record(run, quiet_job(run), {"state": "pending"}, unsettled)
    return "dropped-result"


@sabotage("FAIL")
def worker_reports_twice(run: Run) -> str:
    """The same attempt brings its result two times."""
    ended = line_of(run, quiet_job(run), j.Ended)
    add(run, ended.who, ended, ended.at + 0.001)
    return "double-result"


@sabotage("FAIL")
def server_grants_a_claim_twice(run: Run) -> str:
    """Two members hold the same claim of one job; one of them is refused at the end."""
    job = quiet_job(run)
    claimed, ended = line_of(run, job, j.Claimed), line_of(run, job, j.Ended)
    other = someone_else(run, job)
    add(run, other, claimed, claimed.at + 0.001)
    add(run, other, replace(ended, outcome="refused"), ended.at + 0.001)
    return "claimed-twice"


@sabotage("FAIL")
def two_workers_bring_one_result(run: Run) -> str:
    """A second member did the job under a claim of its own, and both say it was theirs."""
    job = quiet_job(run)
    again(run, job, by=someone_else(run, job), number=2, after=0.2, cost=0.5)
    set_record(run, job, {"version": 2}, {})
    return "double-result"


@sabotage("FAIL")
def worker_ignores_its_lease(run: Run) -> str:
    """Its lease went to somebody else; it worked on for half a minute and was refused."""
    job = quiet_job(run)
    ended = line_of(run, job, j.Ended)
    other = someone_else(run, job)
    again(run, job, by=other, number=2, after=0.1, cost=0.5)
    drop(run, ended)
    stopped = run.journals[ended.who].pop()
    late = replace(ended, outcome="refused", seconds=40.0)
    add(run, ended.who, late, ended.at + 40)
    add(run, ended.who, stopped, max(stopped.at, ended.at + 41))
    set_record(run, job, {"version": 2}, {})
    set_result(run, job, member=other, attempt=2)
    return "lease-ignored"


@sabotage("FAIL")
def worker_forgets_to_renew(run: Run) -> str:
    """A lease lapsed under a healthy member, which noticed and stopped."""
    job = quiet_job(run)
    ended = line_of(run, job, j.Ended)
    other = someone_else(run, job)
    again(run, job, by=other, number=2, after=0.1, cost=0.5)
    drop(run, ended)
    add(run, ended.who, replace(ended, outcome="lost"), ended.at)
    set_record(run, job, {"version": 2}, {})
    set_result(run, job, member=other, attempt=2)
    return "unexplained-lapse"


@sabotage("FAIL")
def result_by_a_member_without_claim(run: Run) -> str:
    job = quiet_job(run)
    set_result(run, job, member=someone_else(run, job))
    drop(run, line_of(run, job, j.Ended))
    return "result-without-claim"


@sabotage("FAIL")
def worker_hides_a_claim(run: Run) -> str:
    """Neither the claim nor its end were written down."""
    job = quiet_job(run)
    drop(run, line_of(run, job, j.Claimed), line_of(run, job, j.Ended))
    return "unrecorded-claim"


@sabotage("FAIL")
def worker_skips_the_work(run: Run) -> str:
    """The result is there a millisecond after the claim."""
    job = quiet_job(run)
    claimed, ended = line_of(run, job, j.Claimed), line_of(run, job, j.Ended)
    drop(run, ended)
    add(run, ended.who, replace(ended, seconds=0.001), claimed.at + 0.001)
    set_record(run, job, {}, {"settled_at": int(claimed.at * 1000) + 1})
    return "work-skipped"


@sabotage("FAIL")
def worker_brings_another_result(run: Run) -> str:
    set_result(run, quiet_job(run), cost=99.0)
    return "result-disagrees"


@sabotage("FAIL")
def worker_falls_silent(run: Run) -> str:
    """The end of an attempt is missing although the member lived on."""
    drop(run, line_of(run, quiet_job(run), j.Ended))
    return "attempt-without-end"


@sabotage("FAIL")
def worker_runs_a_stored_step_again(run: Run) -> str:
    step = next(
        line for lines in run.journals.values() for line in lines if isinstance(line, j.StepEnded)
    )
    began = next(
        line
        for line in run.journals[step.who]
        if isinstance(line, j.StepBegan) and line.promise == step.promise
    )
    add(run, step.who, began, step.at + 0.001)
    return "step-checkpointed-twice"


@sabotage("FAIL")
def worker_ends_what_it_never_claimed(run: Run) -> str:
    ended = line_of(run, quiet_job(run), j.Ended)
    add(run, someone_else(run, ended.job), replace(ended, outcome="lost"), ended.at)
    return "end-without-claim"


@sabotage("INCONCLUSIVE")
def a_member_does_nothing(run: Run) -> str:
    """One more member was up all the time and took nothing."""
    first = run.journals["client"][0].at
    who = "worker-9-abcdef"
    add(run, who, j.MemberStarted(group="g", slots=1, process=9, version="0.1.0"), first - 1)
    add(run, who, j.MemberReady(), first - 1)
    stopped = j.MemberStopped(done=0, failed=0, handed_back=0, lost=0)
    add(run, who, stopped, last_at(run))
    return "idle-member"


# The client.


@sabotage("FAIL")
def client_loses_an_acknowledged_id(run: Run) -> str:
    drop(run, line_of(run, quiet_job(run), j.Confirmed))
    return "forgotten-by-client"


@sabotage("INCONCLUSIVE")
def client_never_sends_a_job(run: Run) -> str:
    job = quiet_job(run)
    gone = [line_of(run, job, kind) for kind in (j.Confirmed, j.Claimed, j.Ended)]
    drop(run, *gone)
    run.records[:] = [one for one in run.records if one.promise.id != job]
    end = next(one for one in run.journals["client"] if isinstance(one, j.ClientEnded))
    drop(run, end)
    add(run, "client", replace(end, confirmed=end.confirmed - 1), end.at)
    return "unsent-job"


@sabotage("INCONCLUSIVE")
def somebody_else_sends_a_job(run: Run) -> str:
    run.plan = replace(run.plan, jobs=run.plan.jobs[1:])
    return "unplanned-job"


# The server.


@sabotage("FAIL")
def server_forgets_a_promise(run: Run) -> str:
    job = quiet_job(run)
    run.records[:] = [one for one in run.records if one.promise.id != job]
    return "missing-promise"


@sabotage("FAIL")
def server_forgets_a_result(run: Run) -> str:
    """Nobody works on it and nobody will."""
    job = quiet_job(run)
    drop(run, line_of(run, job, j.Ended), line_of(run, job, j.Claimed))
    unsettled = {"state": "pending", "settled_at": None, "value": Value()}
    set_record(run, job, {"state": "pending", "version": 0}, unsettled)
    return "lost-job"


@sabotage("FAIL")
def server_counts_too_many_claims(run: Run) -> str:
    job = quiet_job(run)
    set_record(run, job, {"version": 3}, {})
    set_result(run, job, attempt=3)
    return "unrecorded-claim"


@sabotage("FAIL")
def server_counts_too_few_claims(run: Run) -> str:
    job = quiet_job(run)
    set_record(run, job, {"version": 0}, {})
    return "claim-count-disagrees"


@sabotage("FAIL")
def server_makes_up_a_result(run: Run) -> str:
    ended = line_of(run, quiet_job(run), j.Ended)
    drop(run, ended)
    add(run, ended.who, replace(ended, outcome="released"), ended.at)
    return "unrecorded-result"


@sabotage("FAIL")
def a_job_ends_with_an_error(run: Run) -> str:
    job = quiet_job(run)
    ended = line_of(run, job, j.Ended)
    drop(run, ended)
    add(run, ended.who, replace(ended, outcome="rejected", error="boom"), ended.at)
    set_record(run, job, {}, {"state": "rejected"})
    return "rejected-job"


@sabotage("FAIL")
def a_promise_runs_out_of_time(run: Run) -> str:
    set_record(run, quiet_job(run), {}, {"state": "rejected_timedout"})
    return "timed-out-job"


@sabotage("FAIL")
def a_job_ends_after_the_deadline(run: Run) -> str:
    run.plan = replace(run.plan, deadline=1.0)
    return "late-job"


@sabotage("FAIL")
def server_forgets_what_a_result_was(run: Run) -> str:
    set_record(run, quiet_job(run), {}, {"value": Value()})
    return "result-disagrees"


@sabotage("FAIL")
def server_forgets_a_stored_step(run: Run) -> str:
    step = next(
        line for lines in run.journals.values() for line in lines if isinstance(line, j.StepEnded)
    )
    run.records[:] = [one for one in run.records if one.promise.id != step.promise]
    return "dropped-result"


@sabotage("INCONCLUSIVE")
def server_says_two_things_of_a_job(run: Run) -> str:
    one = _record(run, quiet_job(run))
    run.records.insert(0, replace(one, promise=replace(one.promise, state="pending")))
    return "missing-source"


@sabotage("INCONCLUSIVE")
def server_says_nothing_of_a_jobs_claims(run: Run) -> str:
    index = run.records.index(_record(run, quiet_job(run)))
    run.records[index] = replace(run.records[index], task=None)
    return "missing-source"


@sabotage("INCONCLUSIVE")
def server_dates_a_result_after_it_was_asked(run: Run) -> str:
    set_record(run, quiet_job(run), {}, {"settled_at": int(run.at * 1000) + 60_000})
    return "clock-nonsense"


# The steward.


@sabotage("FAIL")
def a_job_is_parked(run: Run) -> str:
    job = quiet_job(run)
    parked = j.Parked(job=job, task=job, crashes=4, members=[])
    add(run, "steward", parked, last_at(run) - 0.1)
    unsettled = {"state": "pending", "settled_at": None, "value": Value()}
    set_record(run, job, {"state": "halted"}, unsettled)
    return "parked-unexpectedly"


@sabotage("FAIL")
def a_member_dies_for_no_reason(run: Run) -> str:
    struck = {line.target for line in run.journals["chaos"] if isinstance(line, j.StrikeDone)}
    died = j.Died(member=next(who for who in members(run) if who not in struck), tasks=[])
    add(run, "steward", died, line_of(run, quiet_job(run), j.Ended).at)
    return "unexplained-death"


# Chaos.


def _strike(run: Run) -> j.StrikeDone:
    return next(line for line in run.journals["chaos"] if isinstance(line, j.StrikeDone))


def _shift(run: Run, who: str, seconds: float) -> None:
    """Let a journal be written by a clock that is off."""
    run.journals[who] = [
        replace(line, at=line.at + seconds, asked=line.asked + seconds)
        if isinstance(line, j.StrikeDone | j.StrikeHealed) and line.asked
        else replace(line, at=line.at + seconds)
        for line in run.journals[who]
    ]


def _pretend(run: Run, **changes: Any) -> None:
    """Replace chaos's first strike by one that it only says it did."""
    old = _strike(run)
    drop(run, old)
    add(run, "chaos", replace(old, **changes), old.at)


@sabotage("FAIL")
def chaos_pretends_to_strike(run: Run) -> str:
    """It says that it killed a member, which goes on working."""
    job = quiet_job(run)
    other = claimant(run, job)
    claimed = line_of(run, job, j.Claimed)
    struck = replace(_strike(run), target=other, held=[(job, 1)])
    add(run, "chaos", struck, claimed.at + 0.01)
    return "strike-without-effect"


@sabotage("FAIL")
def chaos_makes_up_its_proof(run: Run) -> str:
    job = quiet_job(run)
    other = next(
        who for who in members(run) if who not in (claimant(run, job), _strike(run).target)
    )
    assert other
    _pretend(run, held=[(job, 1)])
    return "strike-proof-disagrees"


@sabotage("INCONCLUSIVE")
def chaos_strikes_an_idle_member(run: Run) -> str:
    _pretend(run, held=[])
    return "strike-hit-nothing"


@sabotage("INCONCLUSIVE")
def chaos_strikes_too_softly(run: Run) -> str:
    """A pause far shorter than the lease is all there was: nothing had to be recovered."""
    _replay(run, [Blow("pause", 15, seconds=0.8)], jobs=30, seed=11)
    return "nothing-recovered"


@sabotage("INCONCLUSIVE")
def chaos_pretends_to_heal(run: Run) -> str:
    """The member stands still for good, its lease lapses, its presence ends."""
    _replay(run, [Blow("pause", 6, 0.2, seconds=9)], jobs=20, lease=2.0)
    strike = _strike(run)
    drop(run, *(one for one in run.journals[strike.target] if one.at > strike.at))
    add(run, "steward", j.Died(member=strike.target, tasks=strike.held), strike.at + 3)
    return "strike-not-healed"


@sabotage("INCONCLUSIVE")
def chaos_misses(run: Run) -> str:
    strike = replace(run.plan.strikes[0], strike=len(run.plan.strikes))
    run.plan = replace(run.plan, strikes=[*run.plan.strikes, strike])
    missed = j.StrikeMissed(strike=strike.strike, fault="kill", why="no job was that far")
    add(run, "chaos", missed, last_at(run) - 0.3)
    return "strike-missed"


@sabotage("INCONCLUSIVE")
def chaos_keeps_silent(run: Run) -> str:
    strike = replace(run.plan.strikes[0], strike=len(run.plan.strikes))
    run.plan = replace(run.plan, strikes=[*run.plan.strikes, strike])
    return "strike-not-done"


@sabotage("INCONCLUSIVE")
def chaos_strikes_unplanned(run: Run) -> str:
    _pretend(run, strike=7)
    return "strike-unplanned"


# Journals.


@sabotage("INCONCLUSIVE")
def a_journal_is_cut_at_its_end(run: Run) -> str:
    """Half a second before the member's last word, nothing more was kept."""
    who = next(one for one in members(run) if isinstance(run.journals[one][-1], j.MemberStopped))
    run.journals[who] = [
        line for line in run.journals[who] if not isinstance(line, j.DrainStep | j.MemberStopped)
    ]
    return "journal-cut"


@sabotage("INCONCLUSIVE")
def a_members_journal_is_missing(run: Run) -> str:
    del run.journals[claimant(run, quiet_job(run))]
    return "missing-source"


@sabotage("INCONCLUSIVE")
def a_killed_members_journal_is_cut_short(run: Run) -> str:
    """The killed have no last word that could lack; others know what it had brought and held."""
    killed = _strike(run).target
    run.journals[killed] = run.journals[killed][:2]
    return "journal-cut"


@sabotage("INCONCLUSIVE")
def a_killed_members_last_claim_is_cut_off(run: Run) -> str:
    """It had worked on the job for longer than a line takes; steward and chaos name it."""
    _replay(run, [Blow("kill", 7, 0.8)], jobs=20, seed=5)
    lines, job = run.journals[_strike(run).target], _strike(run).job
    begun = next(i for i, one in enumerate(lines) if isinstance(one, j.Claimed) and one.job == job)
    del lines[begun:]
    return "journal-cut"


@sabotage("INCONCLUSIVE")
def an_end_of_a_killed_member_is_missing(run: Run) -> str:
    """The server has the result that it brought seconds before it was killed."""
    _replay(run, [Blow("kill", 18, 0.8)], jobs=20, seed=5)
    first = next(x for x in run.journals[_strike(run).target] if isinstance(x, j.Ended))
    drop(run, first)
    return "journal-cut"


@sabotage("INCONCLUSIVE")
def the_stewards_journal_ends_before_the_run(run: Run) -> str:
    over = next(one.at for one in run.journals["chaos"] if isinstance(one, j.RunEnded))
    drop(run, *[one for one in run.journals["steward"] if one.at > over - 1])
    return "journal-cut"


@sabotage("INCONCLUSIVE")
def a_line_of_chaos_is_missing(run: Run) -> str:
    """A member died of a strike of which nothing is said."""
    drop(run, _strike(run))
    return "strike-not-done"


@sabotage("INCONCLUSIVE")
def the_records_are_of_another_run(run: Run) -> str:
    run.records[:] = [_renamed(one) for one in run.records]
    return "missing-source"


@sabotage("INCONCLUSIVE")
def the_plan_is_of_another_run(run: Run) -> str:
    """What it promises was not promised here."""
    jobs = [replace(job, id=f"other-{job.id}") for job in run.plan.jobs]
    run.plan = replace(run.plan, jobs=jobs, guarantees=Guarantees(redone=0, recovery_seconds=0.01))
    return "missing-source"


@sabotage("INCONCLUSIVE")
def a_clients_line_of_another_run_is_among_them(run: Run) -> str:
    confirmed = line_of(run, quiet_job(run), j.Confirmed)
    run.journals["client"].append(replace(confirmed, job="other", who="client-of-another-run"))
    return "unplanned-job"


@sabotage("INCONCLUSIVE")
def a_job_was_parked_and_the_plan_is_of_another_run(run: Run) -> str:
    """How many were to be parked nobody knows."""
    job = quiet_job(run)
    parked = j.Parked(job=job, task=job, crashes=4, members=[])
    add(run, "steward", parked, line_of(run, job, j.Claimed).at - 0.001)
    run.plan = replace(run.plan, jobs=[replace(job, id=f"x-{job.id}") for job in run.plan.jobs])
    return "parked-unexpectedly"


@sabotage("INCONCLUSIVE")
def the_stewards_journal_is_missing(run: Run) -> str:
    del run.journals["steward"]
    return "missing-source"


@sabotage("INCONCLUSIVE")
def the_journal_of_a_killed_steward_is_missing(run: Run) -> str:
    """What would show that the steward was killed is not there."""
    strike = replace(run.plan.strikes[0], strike=len(run.plan.strikes), fault="steward-kill")
    run.plan = replace(run.plan, strikes=[*run.plan.strikes, strike])
    done = replace(_strike(run), strike=strike.strike, fault="steward-kill", target="steward")
    add(run, "chaos", done, done.at + 1)
    healed = j.StrikeHealed(strike=strike.strike, fault="steward-kill", target="steward")
    add(run, "chaos", healed, done.at + 2)
    del run.journals["steward"]
    return "missing-source"


@sabotage("INCONCLUSIVE")
def the_clients_clock_is_behind(run: Run) -> str:
    who = next(who for who, lines in run.journals.items() if isinstance(lines[0], j.ClientStarted))
    _shift(run, who, -3600)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def a_members_clock_is_behind(run: Run) -> str:
    who = claimant(run, quiet_job(run))
    _shift(run, who, -3600)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def a_clock_goes_backwards(run: Run) -> str:
    """A line in the middle of a member's journal is dated an hour and a half earlier."""
    lines = run.journals[claimant(run, quiet_job(run))]
    middle = len(lines) // 2
    lines.insert(middle, replace(lines[1], at=lines[middle].at - 5400))
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def a_killed_members_journal_is_missing(run: Run) -> str:
    del run.journals[_strike(run).target]
    return "missing-source"


@sabotage("INCONCLUSIVE")
def the_journal_of_chaos_is_missing(run: Run) -> str:
    del run.journals["chaos"]
    return "missing-source"


@sabotage("INCONCLUSIVE")
def a_members_clock_is_ahead(run: Run) -> str:
    who = claimant(run, quiet_job(run))
    _shift(run, who, 60)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def the_clock_of_chaos_is_behind(run: Run) -> str:
    _shift(run, "chaos", -20)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def the_clock_of_chaos_is_a_little_behind(run: Run) -> str:
    """The member that was killed wrote on, by its own clock, and a steward saw it die."""
    _replay(run, [Blow("kill", 7, 0.8)], jobs=20, seed=5)
    _shift(run, "chaos", -0.9)
    return "strike-without-effect"


@sabotage("INCONCLUSIVE")
def the_clock_of_chaos_is_a_little_ahead_and_no_steward_is_there(run: Run) -> str:
    """What the killed member had held was claimed again before chaos killed it."""
    _replay(run, [Blow("kill", 7)], jobs=20, seed=5, steward=False, lease=0.5)
    _shift(run, "chaos", 1.6)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def the_clock_of_chaos_is_ahead(run: Run) -> str:
    _shift(run, "chaos", 3)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def a_stewards_clock_is_behind(run: Run) -> str:
    _shift(run, "steward", -3)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def a_stewards_clock_is_ahead(run: Run) -> str:
    _shift(run, "steward", 60)
    return "clock-nonsense"


@sabotage("INCONCLUSIVE")
def a_journal_of_another_run_is_among_them(run: Run) -> str:
    lines = run.journals[claimant(run, quiet_job(run))]
    other = [replace(line, who="worker-9-abcdef") for line in lines]
    run.journals["worker-9-abcdef"] = [
        replace(line, job=f"other-{line.job}", task=f"other-{line.task}")
        if isinstance(line, j.Claimed | j.Ended)
        else line
        for line in other
        if not isinstance(line, j.StepBegan | j.StepEnded)
    ]
    return "missing-source"


@sabotage("INCONCLUSIVE")
def chaos_of_another_run_is_among_them(run: Run) -> str:
    started = j.RunStarted(scenario="another", seed=1, place="processes")
    run.journals["chaos-2"] = [replace(started, at=run.at - 60, who="chaos")]
    return "missing-source"


# What the scenario guarantees.


@sabotage("FAIL")
def more_is_done_again_than_promised(run: Run) -> str:
    run.plan = replace(run.plan, guarantees=replace(run.plan.guarantees, redone=0))
    return "redone-too-often"


@sabotage("FAIL")
def more_steps_are_done_again_than_promised(run: Run) -> str:
    run.plan = replace(run.plan, guarantees=replace(run.plan.guarantees, redone_steps=0))
    return "steps-redone"


@sabotage("FAIL")
def recovery_is_slower_than_promised(run: Run) -> str:
    run.plan = replace(run.plan, guarantees=replace(run.plan.guarantees, recovery_seconds=0.01))
    return "recovery-too-slow"


@sabotage("FAIL")
def the_run_takes_too_long(run: Run) -> str:
    run.plan = replace(run.plan, guarantees=replace(run.plan.guarantees, makespan_over_bound=0.1))
    return "makespan-too-long"
