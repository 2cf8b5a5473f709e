"""The autoscaler of Kubernetes in virtual time, driving a fleet in virtual time.

The rule is the documented one of the HorizontalPodAutoscaler (v2): desired = ceil(metric / target),
left alone within a tolerance of 10 %, looked at every 15 s; what goes up is limited by the policies
of `behavior.scaleUp`, what goes down by those of `scaleDown` after its stabilisation window, in
which the highest wish wins. A metric that cannot be had changes nothing. KEDA adds the step between
zero and one, looked at every `pollingInterval`, back to zero after `cooldownPeriod` without work.
An empty answer of Prometheus is 0 to KEDA, or a failure where `ignoreNullValues` is "false"; while
a trigger fails nothing goes to zero, and after `fallback.failureThreshold` failures in a row the
autoscaler is given what makes `fallback.replicas` (`behavior` `currentReplicasIfHigher`: or what
there is, if that is more).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SYNC_SECONDS = 15
TOLERANCE = 0.1


@dataclass
class Rule:
    """What a ScaledObject or a HorizontalPodAutoscaler says."""

    target: float
    least: int
    most: int
    behavior: dict[str, Any]
    polling: int = SYNC_SECONDS
    cooldown: int = 0
    #: What KEDA makes of an empty answer: 0, or else a failure.
    empty_is_zero: bool = False
    fallback: dict[str, Any] | None = None

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> "Rule":
        spec = manifest["spec"]
        if manifest["kind"] == "ScaledObject":
            return cls(
                target=float(spec["triggers"][0]["metadata"]["threshold"]),
                least=spec["minReplicaCount"],
                most=spec["maxReplicaCount"],
                behavior=spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
                polling=spec["pollingInterval"],
                cooldown=spec["cooldownPeriod"],
                empty_is_zero=spec["triggers"][0]["metadata"].get("ignoreNullValues") != "false",
                fallback=spec.get("fallback"),
            )
        return cls(
            target=float(spec["metrics"][0]["external"]["target"]["averageValue"]),
            least=spec["minReplicas"],
            most=spec["maxReplicas"],
            behavior=spec["behavior"],
        )


@dataclass
class Autoscaler:
    rule: Rule
    replicas: int
    _wishes: list[tuple[int, int]] = field(default_factory=list)
    _changes: list[tuple[int, int]] = field(default_factory=list)
    _idle_since: int | None = None
    _failures: int = 0

    def look(self, now: int, work: float | None) -> int:
        """Return the number of replicas from `now` (seconds) on.

        `work` is the metric, None where Prometheus answers and has nothing.
        """
        before = self.replicas
        if work is None and self.rule.empty_is_zero:
            work = 0.0
        if self.rule.least == 0 and now % self.rule.polling == 0 and work is not None:
            self._between_zero_and_one(now, work)
        if self.replicas and now % SYNC_SECONDS == 0:
            self._failures = self._failures + 1 if work is None else 0
            known = self._fallback() if work is None else work
            if known is not None:
                self._between_one_and_most(now, known)
        if self.replicas != before:
            self._changes.append((now, self.replicas - before))
        return self.replicas

    def _fallback(self) -> float | None:
        """Return the metric that stands in for one that failed too often, None before that."""
        rule = self.rule.fallback
        if rule is None or self._failures <= rule["failureThreshold"]:
            return None
        higher = rule.get("behavior", "static") == "currentReplicasIfHigher"
        replicas = max(rule["replicas"], self.replicas if higher else 0)
        return float(replicas * self.rule.target)

    def _between_zero_and_one(self, now: int, work: float) -> None:
        if work > 0:
            self._idle_since = None
            self.replicas = max(self.replicas, 1)
        elif self.replicas:
            self._idle_since = now if self._idle_since is None else self._idle_since
            if now - self._idle_since >= self.rule.cooldown:
                self.replicas = 0

    def _between_one_and_most(self, now: int, work: float) -> None:
        ratio = work / (self.rule.target * self.replicas)
        wish = self.replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(work / self.rule.target)
        wish = min(max(wish, 1, self.rule.least), self.rule.most)
        down = self.rule.behavior["scaleDown"]
        window = down["stabilizationWindowSeconds"]
        self._wishes = [(at, w) for at, w in self._wishes if now - at < window] + [(now, wish)]
        if wish > self.replicas:
            self.replicas = min(wish, self._limit("scaleUp", now, 1))
        else:
            calm = max(w for _, w in self._wishes)
            self.replicas = min(self.replicas, max(calm, self._limit("scaleDown", now, -1)))

    def _limit(self, side: str, now: int, sign: int) -> int:
        """How far the policies let the replicas go; the most generous one counts."""
        limits: list[int] = []
        for policy in self.rule.behavior[side]["policies"]:
            recent = sum(d for at, d in self._changes if now - at < policy["periodSeconds"])
            start = self.replicas - (recent if recent * sign > 0 else 0)
            step = int(policy["value"])
            if policy["type"] == "Percent":
                step = (
                    math.ceil(start * policy["value"] / 100)
                    if sign > 0
                    else start - math.ceil(start * (1 - policy["value"] / 100))
                )
            limits.append(start + sign * step)
        return max(limits) if sign > 0 else min(limits)


@dataclass
class Moment:
    """The fleet at one second: `ready` members work, `replicas` are wanted."""

    at: int
    waiting: int
    running: int
    ready: int
    replicas: int


def follow(
    rule: Rule,
    arrivals: list[list[float]],
    slots: int,
    start: int,
    blind: range = range(0),
) -> Iterator[Moment]:
    """Yield each second of a fleet under `rule`.

    `arrivals[t]` holds the costs (seconds) of the jobs that come at second t; a member needs
    `start` seconds to be ready; a scaled-in member finishes what it holds (the drain). In the
    seconds of `blind` nobody exports the metric.
    """
    scaler = Autoscaler(rule, replicas=rule.least)
    starting: list[int] = []
    ready = rule.least
    waiting: list[float] = []
    running: list[float] = []
    for now, fresh in enumerate(arrivals):
        waiting += fresh
        ready += sum(1 for at in starting if at <= now)
        starting = [at for at in starting if at > now]
        running = [left - 1 for left in running if left > 1]
        while waiting and len(running) < ready * slots:
            running.append(waiting.pop(0))
        wanted = scaler.look(now, None if now in blind else len(waiting) + len(running))
        if wanted > ready + len(starting):
            starting += [now + start] * (wanted - ready - len(starting))
        elif wanted < ready + len(starting):
            surplus = ready + len(starting) - wanted
            starting, surplus = starting[surplus:], max(0, surplus - len(starting))
            ready -= surplus
        yield Moment(now, len(waiting), len(running), ready, wanted)
