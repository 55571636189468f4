"""What an HTTP API says when it says no: problem documents, and who may ask at all.

Sources: RFC 9457 (problem documents), RFC 6750 (bearer tokens), RFC 9110 (Retry-After).
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from http import HTTPStatus
from json import dumps
from math import ceil

from surgetank.core.errors import InvalidInputError
from surgetank.core.http import NO_HEADERS, Headers, Request, Response

TOKEN_CHARACTERS_MIN = 16
"""Of a bearer token: shorter ones are found by trying."""
DETAIL_LIMIT = 500
"""Characters of a problem's `detail`."""


def problem(
    status: int, *, code: str, detail: str, headers: Headers = NO_HEADERS, **facts: object
) -> Response:
    """Make a problem document.

    Args:
        status: From 400 to 599.
        code: Stable word that programs may match on.
        detail: For people; cut at `DETAIL_LIMIT`.
        headers: Sent besides the content type.
        facts: Further members of the document.
    """
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail[:DETAIL_LIMIT],
        "code": code,
        **facts,
    }
    head = {"content-type": "application/problem+json", "cache-control": "no-store", **headers}
    return Response(status, head, dumps(document).encode())


def refused(code: str, detail: str, *, retry_at: float | None, now: float) -> Response:
    """Say 429: not now.

    With `retry_at` it says when, as an instant on our clock, as `retry_after_s` for clients that
    go by a clock of their own, and as Retry-After in whole seconds.
    """
    if retry_at is None:
        return problem(429, code=code, detail=detail)
    wait_s = max(0.0, retry_at - now)
    headers = {"retry-after": str(max(1, ceil(wait_s)))}
    return problem(
        429, code=code, detail=detail, headers=headers, retry_at=retry_at, retry_after_s=wait_s
    )


class Bearers:
    """Who may ask: whoever knows one of the tokens."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """Keep digests of the tokens, not the tokens.

        Raises:
            InvalidInputError: There is none, or one is shorter than `TOKEN_CHARACTERS_MIN`.
        """
        if not tokens or min(map(len, tokens)) < TOKEN_CHARACTERS_MIN:
            wanted = f"one bearer token or more, each of {TOKEN_CHARACTERS_MIN} characters or more"
            raise InvalidInputError(f"{len(tokens)} bearer tokens: {wanted}")
        self._digests = tuple(sha256(token.encode()).digest() for token in tokens)

    def turn_away(self, request: Request) -> Response | None:
        """Give the 401 for a request without a token that we know, or None to let it in.

        Takes the same time whichever token it is, and however much of one is right.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        digest = sha256(token.strip().encode()).digest()
        known = [hmac.compare_digest(digest, each) for each in self._digests]
        if any(known) and scheme.lower() == "bearer":
            return None
        return problem(
            401,
            code="unauthorized",
            detail="a bearer token is wanted",
            headers={"www-authenticate": 'Bearer realm="surgetank"'},
        )
