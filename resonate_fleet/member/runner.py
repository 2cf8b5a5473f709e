"""What finds, claims and runs jobs, from an assignment to the outcome."""

import secrets
from functools import partial

from resonate_fleet.contract.presence import Hello
from resonate_fleet.member.attempts import Table
from resonate_fleet.member.bodies import Bodies
from resonate_fleet.member.claims import Claims
from resonate_fleet.member.fallback import Fallback
from resonate_fleet.member.intake import Intake
from resonate_fleet.member.leases import Revocation
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.link import Connector
from resonate_fleet.member.presence import Presence
from resonate_fleet.member.process import OnLoop
from resonate_fleet.member.registry import Registry
from resonate_fleet.member.sdk import build
from resonate_fleet.member.settings import Settings
from resonate_fleet.member.upstream import Upstream
from resonate_fleet.member.writes import Writes


class JobRunner:
    """The SDK with the member's own parts around it.

    `intake` lets the SDK claim what a steward assigns (`presence`) or what `fallback` finds. The
    SDK runs the functions, as `Bodies` wraps them. Its claims go through `claims`, its outcomes
    through `Writes`.

    Raises:
        BadFunctions: the SDK refuses a function.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        table: Table,
        ledger: Ledger,
        upstream: Upstream,
        on_loop: OnLoop,
    ) -> None:
        name, group, counts = ledger.journal.who, settings.group, ledger.metrics.count
        self.table = table
        self.ledger = ledger
        self.on_loop = on_loop
        self.revocation = Revocation(table, ledger, on_loop)
        self.intake = intake = Intake(settings.slots, name, upstream.stream)
        hints = upstream.group_stream(group)
        self.fallback = Fallback(upstream.wire, hints, group, intake, counts, registry.runs)
        self.presence = Presence(intake, table, self.revocation, on_loop, upstream.ready)
        reporter = self.presence.reporter
        intake.join(reporter, self.fallback)
        ledger.on_claimed, ledger.on_ended = reporter.claimed, reporter.ended
        self.functions = tuple(registry.names())
        hello = Hello(name, group, settings.slots, self.functions, secrets.token_hex(16))
        failed = partial(counts, "steward_failures")
        self._connector = Connector(
            settings.stewards, hello, settings.secret, self.presence, failed
        )
        writes = Writes(upstream.channel, table, ledger, intake.avoid, intake.ending)
        self.claims = Claims(upstream.channel, table, ledger, registry, writes, intake)
        install = partial(registry.install, bodies=Bodies(ledger.step_began, intake.ending, name))
        self.sdk = build(settings, name, self.claims, intake, install, ledger)

    async def run(self) -> None:
        """Work, until cancelled."""
        self.sdk.start()
        await self._connector.run()
