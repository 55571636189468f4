"""Several storage accounts on one address, read by host name or by path.

A client that can be told names (DNS, a hosts file, `curl --connect-to`) asks for
`ACCOUNT.blob.core.windows.net`; all others write the account first: `/ACCOUNT/CONTAINER/BLOB`, as
the storage emulators have it.
"""

from collections.abc import Mapping, Sequence

from surgetank.cloud.blob import Account
from surgetank.core.http import Handler, Request, Response

_NO_ACCOUNT = (
    '<?xml version="1.0" encoding="utf-8"?><Error><Code>InvalidUri</Code><Message>'
    "The requested URI does not represent any resource on the server.</Message></Error>"
)


def by_host(request: Request, hosts: Mapping[str, str]) -> Request:
    """Give `request` as it would come to the account's own host.

    Args:
        request: By host name or by path.
        hosts: Host of each account, by the account's name.

    Returns:
        The request with the account's host and without its name in the path; unchanged when it
        names none of them.
    """
    name = request.host.partition(":")[0].lower()
    if name in hosts.values():
        return request._replace(host=name)
    account, _, path = request.path[1:].partition("/")
    host = hosts.get(account)
    return request if host is None else request._replace(host=host, path=f"/{path}")


def storage(accounts: Sequence[Account]) -> Handler:
    """Serve all of `accounts` on one address."""
    hosts = {one.name: one.host for one in accounts}
    by_name = {one.host: one for one in accounts}

    async def handle(request: Request) -> Response:
        request = by_host(request, hosts)
        account = by_name.get(request.host)
        if account is not None:
            return await account.handle(request)
        # The real service would have no address for that name.
        headers = {"content-type": "application/xml", "x-ms-error-code": "InvalidUri"}
        return Response(400, headers, _NO_ACCOUNT.encode())

    return handle
