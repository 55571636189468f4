"""The agent of one machine: installs what its goal state says, with its own retries."""

from dataclasses import dataclass
from typing import Any

from surgetank.cloud.client import ArtifactClient, ArtifactError, TokenClient
from surgetank.core.ports import Chance, Clock

TOKEN_ERROR = "ManagedIdentityTokenError"  # noqa: S105 - an error code


@dataclass(frozen=True, slots=True)
class MachineAgent:
    """Applies extensions: one that reads artifacts, or one that needs tokens."""

    artifacts: ArtifactClient
    tokens: TokenClient
    clock: Clock
    chance: Chance
    token_gap_s: float
    """Mean seconds between the tokens that its programs ask for as they start."""

    async def apply(self, settings: dict[str, Any]) -> str | None:
        """Install one extension: `{"manifest", "version"}` or `{"resources"}`.

        Returns:
            None when it is in place, else the error code of what stood in its way.
        """
        if "manifest" in settings:
            try:
                await self.artifacts.install(settings["manifest"], version=settings["version"])
            except ArtifactError as error:
                return error.error_code
        if "resources" in settings:
            for resource in settings["resources"]:
                gap_s = self.token_gap_s * (0.5 + self.chance.random())
                await self.clock.sleep_until(self.clock.now() + gap_s)
                if not await self.tokens.get(resource):
                    return TOKEN_ERROR
        return None
