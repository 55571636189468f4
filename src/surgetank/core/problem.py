"""Errors as answers: problem documents, with the stable codes of `core.errors`.

Source: RFC 9457. `code` is ours and may be matched on; `detail` is for people and may change.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus
from json import dumps
from types import MappingProxyType

from surgetank.core.errors import DependencyError, SurgetankError
from surgetank.core.http import NO_HEADERS, Headers, Response

MEDIA_TYPE = "application/problem+json"

STATUS_OF_CODE: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        "invalid_input": HTTPStatus.BAD_REQUEST,
        "config": HTTPStatus.INTERNAL_SERVER_ERROR,
        "refused": HTTPStatus.SERVICE_UNAVAILABLE,
        "breaker_open": HTTPStatus.SERVICE_UNAVAILABLE,
        "release_held": HTTPStatus.SERVICE_UNAVAILABLE,
        "queue_full": HTTPStatus.SERVICE_UNAVAILABLE,
        "dependency": HTTPStatus.SERVICE_UNAVAILABLE,
        "dependency_timeout": HTTPStatus.GATEWAY_TIMEOUT,
        "dependency_throttled": HTTPStatus.SERVICE_UNAVAILABLE,
        "dependency_rejected": HTTPStatus.BAD_GATEWAY,
        "integrity": HTTPStatus.INTERNAL_SERVER_ERROR,
        "conflict": HTTPStatus.CONFLICT,
        "surgetank": HTTPStatus.INTERNAL_SERVER_ERROR,
        "simulation": HTTPStatus.INTERNAL_SERVER_ERROR,
        "deadlock": HTTPStatus.INTERNAL_SERVER_ERROR,
        "fence": HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""HTTP status by `SurgetankError.code`; a test holds it complete."""

CODES_OF_HTTP: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        "unauthenticated": HTTPStatus.UNAUTHORIZED,
        "forbidden": HTTPStatus.FORBIDDEN,
        "not_found": HTTPStatus.NOT_FOUND,
        "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
        "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    }
)
"""What only a server says: no error of ours stands behind these."""


def problem(
    code: str,
    detail: str,
    *,
    headers: Headers = NO_HEADERS,
    facts: Mapping[str, object] = MappingProxyType({}),
) -> Response:
    """Answer with a problem document.

    Args:
        code: One of `STATUS_OF_CODE` or `CODES_OF_HTTP`, which say the status.
        detail: What happened and what to do, for people.
        headers: Added to the answer's own.
        facts: More members of the document.
    """
    status = CODES_OF_HTTP.get(code) or STATUS_OF_CODE[code]
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        **facts,
    }
    return Response(int(status), {"content-type": MEDIA_TYPE, **headers}, dumps(document).encode())


def problem_of(error: SurgetankError, *, now: float) -> Response:
    """Answer with an error of ours; one that says when to come back says so by Retry-After."""
    headers = dict[str, str]()
    if error.retry_at is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_at - now)))
    facts = dict[str, object]()
    if isinstance(error, DependencyError):
        facts["may_have_acted"] = error.may_have_acted
    return problem(error.code, str(error), headers=headers, facts=facts)
