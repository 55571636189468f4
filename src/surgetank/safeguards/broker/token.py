"""A token as it came, and as it is handed on. The secret is in no `repr`, log or file."""

import json
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from surgetank.core.errors import IntegrityError
from surgetank.core.http import Response

ERROR_CHARACTERS_MAX = 1_000
"""Characters of an error's description that are handed on."""


class Key(NamedTuple):
    """Whose token for what: tokens are shared by those who ask for the same."""

    selector: str
    """`client_id`, `object_id`, `msi_res_id`, or empty for the system-assigned identity."""
    identity: str
    """The selector's value; empty for the system-assigned identity."""
    resource: str
    """As the client wrote it: the token service takes `…/` and `…` for two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token. Instants are on our clock, so the issuer's need not agree with it."""

    secret: str = field(repr=False)
    issued_at: float
    """When it came."""
    expires_at: float
    texts: tuple[tuple[str, str], ...]
    """The other fields of the answer that do not change with time."""
    ext_expires_s: float
    """Seconds from `issued_at` until the extended life ends; what it means is the client's."""


class Failure(NamedTuple):
    """Why there is no token, in the token service's words."""

    status: int
    error: str
    description: str


def read_token(response: Response, *, now: float, life_s_max: float) -> Token:
    """Read a 200 of the token service.

    Raises:
        IntegrityError: There is no usable token in it.
    """
    fields = _read_object(response.body)
    secret = fields.get("access_token")
    if not isinstance(secret, str) or not secret:
        raise IntegrityError("the answer has no access_token")
    expires_on = _number(fields.get("expires_on"))
    life_s = _number(fields.get("expires_in"))
    if life_s is None and expires_on is not None:
        life_s = expires_on - now
    if life_s is None or life_s <= 0:
        raise IntegrityError("the answer has no life left")
    life_s = min(life_s, life_s_max)
    ext_expires_s = _number(fields.get("ext_expires_in"))
    texts = {"expires_on": str(int(now + life_s)), "token_type": "Bearer"}
    for name in ("client_id", "expires_on", "not_before", "resource", "token_type"):
        if isinstance(fields.get(name), str | int):
            texts[name] = str(fields[name])
    return Token(
        secret=secret,
        issued_at=now,
        expires_at=now + life_s,
        texts=tuple(texts.items()),
        ext_expires_s=life_s if ext_expires_s is None else ext_expires_s,
    )


def read_failure(response: Response) -> Failure:
    """Read any other answer of the token service; nothing of it is trusted to be well-formed."""
    try:
        fields = _read_object(response.body)
    except IntegrityError:
        fields = {}
    error = str(fields.get("error") or "upstream_error")
    description = str(fields.get("error_description") or f"status {response.status}")
    return Failure(
        response.status, error[:ERROR_CHARACTERS_MAX], description[:ERROR_CHARACTERS_MAX]
    )


def token_response(token: Token, *, now: float) -> Response:
    """Answer as the instance metadata service does: numbers as strings, life recomputed to now.

    Source: Microsoft Learn, "How to use managed identities for Azure resources on an Azure VM to
    acquire an access token", read 2026.
    """
    fields = {
        "access_token": token.secret,
        **dict(token.texts),
        "expires_in": str(max(0, int(token.expires_at - now))),
        "ext_expires_in": str(max(0, int(token.issued_at + token.ext_expires_s - now))),
    }
    return _json_response(200, fields, {})


def failure_response(failure: Failure, *, retry_after_s: int | None = None) -> Response:
    """Answer an error as the instance metadata service does.

    Args:
        failure: What to say.
        retry_after_s: Whole seconds after which asking may help, or None when it cannot.
    """
    fields = {"error": failure.error, "error_description": failure.description}
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return _json_response(failure.status, fields, headers)


def _json_response(status: int, fields: dict[str, str], headers: dict[str, str]) -> Response:
    body = json.dumps(fields).encode()
    head = {"content-type": "application/json; charset=utf-8", "content-length": str(len(body))}
    return Response(status, head | headers, body)


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        fields: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        # The cause is not chained: its text may quote the body, and so a secret.
        raise IntegrityError(f"not JSON: {type(error).__name__}") from None
    if not isinstance(fields, dict):
        raise IntegrityError("not a JSON object")
    return fields  # pyright: ignore[reportUnknownVariableType] - the parsing edge


def _number(value: object) -> float | None:
    if not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if -inf < number < inf else None
