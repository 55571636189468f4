"""An orchestrator without safeguards: tries, waits, tries again, until its owner gives up."""

import json
from dataclasses import dataclass

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
    patience_s: float

    async def run(self, wanted: Wanted, steps: tuple[StepRequest, ...]) -> None:
        """Work on one operation until it is done or nobody wants it."""
        gives_up_at = wanted.submitted_at + self.patience_s
        done = 0
        tried: set[str] = set()
        while True:
            while done < len(steps):
                step = steps[done]
                self.ledger.call(is_first=step.name not in tried)
                tried.add(step.name)
                if not await self._try(step):
                    break
                done += 1
            else:
                self.ledger.end(wanted, Fate.SUCCEEDED)
                return
            self.ledger.first_attempt(wanted, is_ok=False)
            self.ledger.wait(wanted, is_waiting=True)
            pause_s = spread_s(self.retry_s, chance=self.chance.random())
            retry_at = self.clock.now() + pause_s
            await self.clock.sleep_until(min(retry_at, gives_up_at))
            if retry_at >= gives_up_at:
                self.ledger.end(wanted, Fate.FAILED)
                return
            self.ledger.wait(wanted, is_waiting=False)

    async def _try(self, step: StepRequest) -> bool:
        try:
            put = Request.to("PUT", step.url, body=step.body.encode())
            answer = await self.http.send(put, timeouts=_TIMEOUTS)
            operation_url = answer.headers.get("azure-asyncoperation")
            if operation_url is None:
                return answer.status in (200, 201)
            poll = Request.to("GET", operation_url, headers={"prefer": f"wait={WAIT_S}"})
            while True:
                answer = await self.http.send(poll, timeouts=_TIMEOUTS)
                status = json.loads(answer.body).get("status")
                if status != "InProgress":
                    return bool(status == "Succeeded")
        except DependencyError:
            return False
