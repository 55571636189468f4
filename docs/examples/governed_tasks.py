"""Celery tasks that take a permit of a server before they run."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUntypedFunctionDecorator=false

import os

from celery import Celery

from surgetank.client import Client
from surgetank.client.celery_task import GovernedTask

app = Celery("governed_tasks", broker=os.environ.get("BROKER", "memory://"))
client = Client(os.environ["SURGETANK_URL"], os.environ.get("SURGETANK_TOKEN"))


@app.task(  # type: ignore[untyped-decorator]  # Celery ships no types
    base=GovernedTask,
    client=client,
    dependency="compute@eastus",
    autoretry_for=(ConnectionError,),
    max_retries=3,
)
def create(name: str) -> str:
    """Create a machine: three retries for calls that failed, none spent on refusals."""
    return f"created {name}"
