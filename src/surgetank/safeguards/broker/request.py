"""Reads what a client asks of the token endpoint, and refuses what the real one refuses.

Source: Microsoft Learn, "Azure Instance Metadata Service" (security: the `Metadata` header is
required and `X-Forwarded-For` rejected, so that no proxy or forged link can ask), read 2026.
"""

from urllib.parse import parse_qs, urlencode

from surgetank.core.http import Request
from surgetank.safeguards.broker.policy import BrokerPolicy
from surgetank.safeguards.broker.token import Failure, Key

TOKEN_PATH = "/metadata/identity/oauth2/token"  # noqa: S105 - a path, not a secret
_SELECTORS = ("client_id", "object_id", "msi_res_id", "mi_res_id")
_FIELDS_MAX = 16


def read_key(request: Request, policy: BrokerPolicy) -> Key | Failure:
    """Say whose token is wanted, or why that cannot be."""
    refusal = refuse_untrusted(request)
    if refusal is not None:
        return refusal
    query = read_query(request, policy)
    if isinstance(query, Failure):
        return query
    if not query.get("api-version"):
        return _wrong("Required query variable 'api-version' is missing")
    resource = query.get("resource")
    if not resource:
        return _wrong("Required audience parameter not specified")
    selectors = [name for name in _SELECTORS if query.get(name)]
    if len(selectors) > 1:
        return _wrong(f"Only one of {', '.join(_SELECTORS)} may be specified")
    selector = selectors[0] if selectors else ""
    name = "msi_res_id" if selector == "mi_res_id" else selector
    return Key(name, query.get(selector, ""), resource)


def refuse_untrusted(request: Request) -> Failure | None:
    """Why a request is refused before it is read, or None."""
    if request.path != TOKEN_PATH:
        return Failure(404, "not_found", "The requested resource was not found")
    if request.headers.get("metadata", "").lower() != "true":
        return _wrong("Required metadata header not specified")
    if "x-forwarded-for" in request.headers:
        return _wrong("Requests with X-Forwarded-For are rejected")
    return None


def read_query(request: Request, policy: BrokerPolicy) -> dict[str, str] | Failure:
    """The query's fields, each given once."""
    if len(request.query) > policy.query_bytes_max:
        return _wrong(f"Queries are taken up to {policy.query_bytes_max} bytes")
    try:
        fields = parse_qs(request.query, max_num_fields=_FIELDS_MAX)
    except ValueError:
        return _wrong(f"At most {_FIELDS_MAX} query variables are taken")
    if any(len(values) > 1 for values in fields.values()):
        return _wrong("A query variable is given twice")
    return {name: values[0] for name, values in fields.items()}


def upstream_request(key: Key, policy: BrokerPolicy) -> Request:
    """What we ask the token service for `key`."""
    fields = {"api-version": policy.api_version, "resource": key.resource}
    if key.selector:
        fields[key.selector] = key.identity
    headers = {"metadata": "true", "accept": "application/json"}
    return Request("GET", policy.upstream, TOKEN_PATH, urlencode(fields), headers)


def _wrong(description: str) -> Failure:
    return Failure(400, "invalid_request", description)
