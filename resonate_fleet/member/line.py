"""The jobs that a member believes to wait, oldest id first."""

import bisect

from resonate_fleet.member.choice import Waiting, spot_of


class Line:
    """Jobs of the member's group, unclaimed as far as it knows, in the order of their ids.

    Some come from pages of looks, some from hints; `heard` are the latter and when they came.
    At most `hints` hints are held: the oldest jobs among those heard of.
    """

    def __init__(self, hints: int) -> None:
        self.hints = hints
        self.jobs: list[Waiting] = []
        self.heard: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.jobs)

    def __contains__(self, id: str) -> bool:
        at = bisect.bisect_left(self.jobs, (id,))
        return at < len(self.jobs) and self.jobs[at].id == id

    @property
    def head(self) -> str | None:
        return self.jobs[0].id if self.jobs else None

    def show(self, id: str, version: int, *, settled: bool) -> None:
        """Add a job that a look has found, or what is new about it."""
        self._add(id, version, vouched=True, settled=settled)

    def _add(self, id: str, version: int, *, vouched: bool, settled: bool) -> None:
        at = bisect.bisect_left(self.jobs, (id,))
        heard = id in self.heard
        if at == len(self.jobs) or self.jobs[at].id != id:
            job = Waiting(id, version, heard, vouched, settled, spot_of(id))
            self.jobs.insert(at, job)
            return
        known = self.jobs[at]
        self.jobs[at] = known._replace(
            version=max(known.version, version),
            heard=heard,
            vouched=known.vouched or vouched,
            settled=known.settled or settled,
        )

    def hear(self, now: float, id: str, version: int, *, vouched: bool) -> bool:
        """Add a job that was hinted at; False where there is no room for a younger hint.

        `vouched`: the hint may be believed.
        """
        if id not in self.heard and len(self.heard) >= self.hints:
            youngest = max(self.heard)
            if youngest < id:
                return False
            self.remove(youngest)
        self.heard[id] = now
        self._add(id, version, vouched=vouched, settled=False)
        return True

    def remove(self, id: str) -> None:
        at = bisect.bisect_left(self.jobs, (id,))
        if at < len(self.jobs) and self.jobs[at].id == id:
            del self.jobs[at]
        self.heard.pop(id, None)

    def keep(self, page: set[str], after: str | None, end: str | None, sent: float) -> None:
        """Drop what a page would have shown if it still waited when the look was sent.

        The page covers the ids after `after` up to `end` (None: to the end of all).
        """

        def stands(job: Waiting) -> bool:
            if job.id in page or (after is not None and job.id <= after):
                return True
            heard = self.heard.get(job.id)
            return heard is not None and (heard >= sent or (end is not None and job.id > end))

        self.jobs = [job for job in self.jobs if stands(job)]
        if self.heard:
            left = {job.id for job in self.jobs}
            self.heard = {job: at for job, at in self.heard.items() if job in left}

    def clear(self) -> None:
        self.jobs, self.heard = [], {}
