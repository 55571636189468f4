"""Every route of operations, for a server or for a command that opens the store itself."""

from collections.abc import Callable, Mapping

from surgetank.control.view import View
from surgetank.core.ports import Clock
from surgetank.core.route import Route
from surgetank.core.value import Dependency
from surgetank.safeguards.operations.api.hold import HoldRoutes
from surgetank.safeguards.operations.api.operation import OperationRoutes
from surgetank.safeguards.operations.api.sight import SightRoutes
from surgetank.safeguards.operations.service import Operations


def operation_routes(
    operations: Operations, *, clock: Clock, views: Callable[[], Mapping[Dependency, View]]
) -> tuple[Route, ...]:
    """Give the routes.

    Args:
        operations: What the routes are of.
        clock: The time, for when a hold began.
        views: Where each governor stands, in the order of names.
    """
    return (
        *OperationRoutes(operations).routes(),
        *HoldRoutes(operations, clock).routes(),
        *SightRoutes(operations, views).routes(),
    )
