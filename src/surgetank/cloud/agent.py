"""The agent of one machine: installs what its goal state says, with its own retries."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from surgetank.cloud.client import ArtifactClient, ArtifactError, TokenClient
from surgetank.core.ports import Chance, Clock

TOKEN_ERROR = "ManagedIdentityTokenError"  # noqa: S105 - an error code
SETTINGS_ERROR = "VMExtensionHandlerNonTransientError"
"""The extension cannot read its settings: trying again cannot help."""


class _Settings(NamedTuple):
    manifest: str | None
    version: str
    resources: list[str]


@dataclass(frozen=True, slots=True)
class MachineAgent:
    """Applies extensions: one that reads artifacts, or one that needs tokens."""

    artifacts: ArtifactClient
    tokens: TokenClient
    clock: Clock
    chance: Chance
    token_gap_s: float
    """Mean seconds between the tokens that its programs ask for as they start; each gap is from
    half to one and a half of it."""
    _asked: set[str] = field(default_factory=set[str])
    """Resources asked for before: to ask again is no first try."""

    async def apply(self, settings: dict[str, Any]) -> str | None:
        """Install one extension: `{"manifest", "version"}` or `{"resources"}`; safe to repeat.

        Returns:
            None when it is in place, else the error code of what stood in its way.
        """
        read = _read(settings)
        if read is None:
            return SETTINGS_ERROR
        if read.manifest is not None:
            try:
                await self.artifacts.install(read.manifest, version=read.version)
            except ArtifactError as error:
                return error.error_code
        for resource in read.resources:
            gap_s = self.token_gap_s * (0.5 + self.chance.random())
            await self.clock.sleep_until(self.clock.now() + gap_s)
            is_again = resource in self._asked
            self._asked.add(resource)
            if not await self.tokens.get(resource, is_again=is_again):
                return TOKEN_ERROR
        return None


def _read(settings: dict[str, Any]) -> _Settings | None:
    """The settings by their types; None when they are not what this agent reads."""
    manifest: object = settings.get("manifest")
    version: object = settings.get("version", "")
    resources: object = settings.get("resources", [])
    if not (isinstance(manifest, str | None) and isinstance(version, str)):
        return None
    if not isinstance(resources, list):
        return None
    names = cast("list[object]", resources)
    if not all(isinstance(name, str) for name in names):
        return None
    return _Settings(manifest, version, cast("list[str]", names))
