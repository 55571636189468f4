"""An orchestrator without safeguards: tries, waits, tries again, until its owner gives up."""

import json
from dataclasses import dataclass
from typing import Any

from surgetank.core.errors import DependencyError
from surgetank.core.http import Request, Timeouts
from surgetank.core.ports import Chance, Clock, HttpClient
from surgetank.rehearsal.drill.ledger import Fate, Ledger, Wanted
from surgetank.rehearsal.drill.request import StepRequest
from surgetank.rehearsal.scenario.fleet import spread_s

WAIT_S = 3600
"""Seconds that a poll asks to be held."""
_TIMEOUTS = Timeouts(connect_s=10.0, read_s=WAIT_S + 60.0, pool_s=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """Drives one region's creates as reconcilers and pipelines do today."""

    http: HttpClient
    clock: Clock
    chance: Chance
    ledger: Ledger
    retry_s: float
    """Pause before the first retry."""
    retry_s_max: float
    """Each pause is twice the last one, up to this: equal to `retry_s` for a fixed period."""
    retry_spread_ratio: float
    """Each pause is the period give or take this share of it."""
    patience_s: float

    async def run(self, wanted: Wanted, steps: tuple[StepRequest, ...]) -> None:
        """Work on one operation until it is done or nobody wants it."""
        gives_up_at = wanted.submitted_at + self.patience_s
        period_s = min(self.retry_s, self.retry_s_max)
        done = 0
        tried: set[str] = set()
        while True:
            while done < len(steps):
                step = steps[done]
                self.ledger.call(wanted, step.name, is_first=step.name not in tried)
                tried.add(step.name)
                failure = await self._try(step)
                self.ledger.answer(wanted, step.name, "failed" if failure else "ok", failure)
                if failure:
                    break
                done += 1
            else:
                self.ledger.end(wanted, Fate.SUCCEEDED)
                return
            self.ledger.first_attempt(wanted, is_ok=False)
            retry_at = self.clock.now() + spread_s(
                period_s, ratio=self.retry_spread_ratio, chance=self.chance.random()
            )
            period_s = min(2.0 * period_s, self.retry_s_max)
            self.ledger.wait(
                wanted, is_waiting=True, why="before it is tried again", until=retry_at
            )
            await self.clock.sleep_until(min(retry_at, gives_up_at))
            if retry_at >= gives_up_at:
                self.ledger.end(wanted, Fate.FAILED)
                return
            self.ledger.wait(wanted, is_waiting=False)

    async def _try(self, step: StepRequest) -> str:
        """Make the calls of one step; empty when it is done, else what stood in the way."""
        try:
            put = Request.to("PUT", step.url, body=step.body.encode())
            answer = await self.http.send(put, timeouts=_TIMEOUTS)
            operation_url = answer.headers.get("azure-asyncoperation")
            if operation_url is None:
                return "" if answer.status in (200, 201) else f"HTTP {answer.status}"
            poll = Request.to("GET", operation_url, headers={"prefer": f"wait={WAIT_S}"})
            while True:
                answer = await self.http.send(poll, timeouts=_TIMEOUTS)
                said: dict[str, Any] = json.loads(answer.body)
                if said.get("status") != "InProgress":
                    return "" if said.get("status") == "Succeeded" else _code(said)
        except DependencyError as error:
            return str(error)


def _code(said: dict[str, Any]) -> str:
    """The innermost error code of a long-running operation that failed."""
    error: dict[str, Any] = said.get("error", {})
    details: list[dict[str, Any]] = error.get("details") or [error]
    return str(details[0].get("code", "unknown"))
