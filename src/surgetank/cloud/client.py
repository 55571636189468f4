"""What unmodified clients do today when a dependency fails: the agent's and the SDK's own retries.

These rules are the load that an outage makes; how long each waits stands in `control.backoff`.
Source: WALinuxAgent 2.15 (`restutil.py`, `wire.py`), azure-identity 1.27 (`imds.py`) and msal 1.39,
seen by running them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import quote
from xml.etree import ElementTree as ET

from surgetank.control.backoff import AGENT_THROTTLED, IMDS, NEVER, Schedule, agent_schedule
from surgetank.control.outcome import parse_retry_after
from surgetank.core.errors import DependencyError
from surgetank.core.http import Headers, Request, Response, Timeouts
from surgetank.core.ports import Clock, HttpClient

RETRY_AFTER_S_MAX = 60.0
"""The longest Retry-After that is honoured. Assumed; keeps a drill's waits bounded."""
STORAGE = "https://storage.azure.com/"
"""The resource of a token that reads storage."""
_METADATA: Headers = {"metadata": "true"}
_IMDS = "169.254.169.254"
_OK, _NOT_FOUND, _GONE, _THROTTLED, _FAULT, _TIMEOUT = 200, 404, 410, 429, 500, 504
_IMDS_GONE = Schedule("azure-identity IMDS, gone", (0.0, 5.0, 10.0, 20.0, 40.0))


def token_schedule(status: int) -> Schedule:
    """What azure-identity does after `status`: 404, 410, 429 and 5xx are retried, all else never.

    Source: azure-identity, `ImdsRetryPolicy`; a 410 is waited for longer, 75 s in all.
    """
    if status == _GONE:
        return _IMDS_GONE
    return IMDS if status in (_NOT_FOUND, _THROTTLED) or status >= _FAULT else NEVER


class TokenTry(NamedTuple):
    """One try for a token, as its caller saw it."""

    is_first: bool
    """The first of all that its caller makes for this token."""
    is_ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClient:
    """Asks for managed-identity tokens as msal does."""

    http: HttpClient
    clock: Clock
    timeouts: Timeouts
    watch: Callable[[TokenTry], None]
    """Told of every try."""
    authority: str = _IMDS

    async def get(self, resource: str, *, is_again: bool = False) -> bool:
        """Ask for one token, trying again as msal does; whether one came.

        Args:
            resource: What the token is for.
            is_again: The caller has asked before and failed: no try is then a first one.
        """
        request = Request(
            "GET",
            self.authority,
            "/metadata/identity/oauth2/token",
            f"api-version=2018-02-01&resource={quote(resource, safe='')}",
            _METADATA,
        )
        tries = 0
        while True:
            status, retry_after_s = await self._try(request)
            tries += 1
            self.watch(TokenTry(tries == 1 and not is_again, status == _OK))
            delay_s = token_schedule(status).delay_s(tries)
            if delay_s is None:
                return status == _OK
            pause_s = delay_s if retry_after_s is None else retry_after_s
            await self.clock.sleep_until(self.clock.now() + pause_s)

    async def _try(self, request: Request) -> tuple[int, float | None]:
        try:
            response = await self.http.send(request, timeouts=self.timeouts)
        except DependencyError:
            return _TIMEOUT, None
        after_s = parse_retry_after(response.headers.get("retry-after"))
        return response.status, None if after_s is None else min(after_s, RETRY_AFTER_S_MAX)


class Credential(Protocol):
    """What a reader brings so that it need not be let in as the public."""

    async def sign(self, request: Request) -> Request | None:
        """Give the request as it is sent; None when the credential is not to be had."""
        ...


@dataclass(frozen=True, slots=True)
class SharedSignature:
    """A shared access signature that the machine was given with its settings."""

    query: str

    async def sign(self, request: Request) -> Request:
        """Add the signature to the query."""
        return request._replace(
            query=f"{request.query}&{self.query}" if request.query else self.query
        )


@dataclass(slots=True)
class IdentityToken:
    """The machine's own identity: reads then need the token service as well."""

    tokens: TokenClient
    _was_asked: bool = False
    _is_held: bool = False

    async def sign(self, request: Request) -> Request | None:
        """Put a token in the head, which is kept once it came."""
        if not self._is_held:
            is_again, self._was_asked = self._was_asked, True
            self._is_held = await self.tokens.get(STORAGE, is_again=is_again)
        if not self._is_held:
            return None
        return request._replace(headers={**request.headers, "authorization": "Bearer held"})


class ArtifactError(DependencyError):
    """The agent could not read an artifact; `error_code` is what the last answer said."""

    def __init__(self, error_code: str) -> None:
        super().__init__(f"no artifact: {error_code}", may_have_acted=False)
        self.error_code = error_code


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactClient:
    """Reads manifests and packages as the VM agent does: direct, then through its host."""

    direct: HttpClient
    plugin: HttpClient
    """The host plugin's way out, which no name on the machine can redirect."""
    clock: Clock
    timeouts: Timeouts
    credential: Credential | None = None
    """None reads as the public does."""

    async def install(self, manifest_url: str, *, version: str) -> bytes:
        """Read the manifest, then the package of `version` that it names.

        Raises:
            DependencyError: As `ArtifactError`: neither way gave one of them.
        """
        manifest = await self._fetch(manifest_url)
        return await self._fetch(package_url(manifest, version=version))

    async def _fetch(self, url: str) -> bytes:
        try:
            request = Request.to("GET", url)
        except ValueError as error:
            raise ArtifactError("InvalidUri") from error
        if self.credential is not None:
            signed = await self.credential.sign(request)
            if signed is None:
                raise ArtifactError("CredentialUnavailable")
            request = signed
        error_code = "ArtifactUnreachable"
        for channel in (self.direct, self.plugin):
            response = await self._try_channel(channel, request)
            if response is not None:
                if response.status == _OK:
                    return response.body
                error_code = response.headers.get("x-ms-error-code", f"Http{response.status}")
        raise ArtifactError(error_code)

    async def _try_channel(self, channel: HttpClient, request: Request) -> Response | None:
        tries = 0
        was_throttled = False
        while True:
            tries += 1
            response: Response | None
            try:
                response = await channel.send(request, timeouts=self.timeouts)
            except DependencyError:
                response = None
            schedule = agent_schedule(None if response is None else response.status)
            was_throttled = was_throttled or schedule is AGENT_THROTTLED
            if was_throttled and schedule is not NEVER:
                schedule = AGENT_THROTTLED  # Throttled once, it keeps to that schedule.
            delay_s = schedule.delay_s(tries)
            if delay_s is None:
                return response
            await self.clock.sleep_until(self.clock.now() + delay_s)


def manifest(packages: dict[str, str]) -> bytes:
    """Write the manifest of an extension: the URL of each version's package."""
    root = ET.Element("PluginVersionManifest")
    plugins = ET.SubElement(root, "Plugins")
    for version, url in packages.items():
        plugin = ET.SubElement(plugins, "Plugin")
        ET.SubElement(plugin, "Version").text = version
        ET.SubElement(ET.SubElement(plugin, "Uris"), "Uri").text = url
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def package_url(body: bytes, *, version: str) -> str:
    """Find the URL of `version` in a manifest.

    Raises:
        DependencyError: As `ArtifactError`: the manifest is not one, or lacks the version.
    """
    try:
        root = ET.fromstring(body)  # noqa: S314 - parses manifests that this cloud wrote
    except (ET.ParseError, LookupError, ValueError) as error:
        raise ArtifactError("InvalidManifest") from error
    for plugin in root.iterfind("Plugins/Plugin"):
        if plugin.findtext("Version") == version:
            return plugin.findtext("Uris/Uri") or ""
    raise ArtifactError("VersionNotFound")
