"""A DBOS workflow whose step takes a permit, and which sleeps durably when it is refused."""

import os
import sys

from dbos import DBOS, DBOSConfig

from surgetank.client import Client, RefusedError

SLEEP_S = 5.0
"""When a refusal does not say until when."""

config: DBOSConfig = {
    "name": "governed-steps",
    "system_database_url": os.environ.get("DATABASE", "sqlite:///governed_steps.sqlite"),
}
DBOS(config=config)
client = Client(os.environ["SURGETANK_URL"], os.environ.get("SURGETANK_TOKEN"))


@DBOS.step()
def create(name: str) -> str:
    """Create a machine, if the dependency can bear it."""
    with client.permit("compute@eastus"):
        return f"created {name}"


@DBOS.workflow()
def create_when_it_may(name: str) -> str:
    """Try until there is leave: a refusal is no failure, and a restart goes on sleeping."""
    while True:
        try:
            return create(name)
        except RefusedError as refusal:
            wait_s = SLEEP_S if refusal.retry_at is None else refusal.retry_at - client.now()
            DBOS.sleep(max(0.1, wait_s))


if __name__ == "__main__":
    DBOS.launch()
    print(create_when_it_may(sys.argv[1]))  # noqa: T201 - an example
    DBOS.destroy()
