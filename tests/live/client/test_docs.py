"""The code of the how-to pages is run: in this process, in a worker, in DBOS, in a CI step."""

# Celery and the YAML reader lack some types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from celery.contrib.testing.worker import start_worker
from ruamel.yaml import YAML

from surgetank.client import Governors, RefusedError

DOCS = Path(__file__).parents[3] / "docs"
PATIENCE_S = 60.0


def load(name: str) -> ModuleType:
    """Load an example afresh."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def asking(office: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Name the server as the pages have it."""
    monkeypatch.setenv("SURGETANK_URL", office.url)
    monkeypatch.setenv("SURGETANK_TOKEN", office.token)
    return office


def test_calls_of_ones_own_are_governed() -> None:
    example = load("governed_calls")

    async def fetch() -> str:
        return "a token"

    async def put(_: str) -> int:
        return 409

    async def main() -> None:
        assert await example.token(fetch) == "a token"
        assert await example.create("vm1", put) == 409
        for _ in range(3):
            await example.create_and_say("vm1", put)
        with pytest.raises(RefusedError):
            await example.create_and_say("vm1", put)

    asyncio.run(main())


def test_a_refusal_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    example = load("governed_calls")

    async def fail() -> str:
        raise ConnectionError

    async def main() -> None:
        for _ in range(8):
            with pytest.raises(ConnectionError):
                await example.token(fail)
        assert await example.token(fail) is None

    asyncio.run(main())
    assert "not now: identity@eastus: breaker_open; ask again at" in capsys.readouterr().out


def test_calls_without_asyncio_are_governed(asking: Any) -> None:
    example = load("governed_client")
    with example.client:
        assert example.token(lambda: "a token") == "a token"
    assert asking.kinds() == ["ok"]


def test_a_session_takes_permits() -> None:
    example = load("governed_session")

    async def fault(_: web.Request) -> web.StreamResponse:
        return web.Response(status=403)

    async def main() -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", fault)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://{}:{}/subscriptions/s".format(*runner.addresses[0])
        async with example.session(Governors.of_this_process()) as session:
            for _ in range(3):
                async with session.get(url) as response:
                    assert response.status == 403
            with pytest.raises(RefusedError):
                await session.get(url)
        await runner.cleanup()

    asyncio.run(main())


def test_a_task_takes_a_permit(asking: Any) -> None:
    example = load("governed_tasks")
    example.app.conf.update(
        broker_connection_retry_on_startup=True,
        result_backend="cache+memory://",
        worker_hijack_root_logger=False,  # other tests look at what is logged
    )
    worker: Any = start_worker(example.app, pool="threads", concurrency=1, perform_ping_check=False)
    with example.client, worker:
        assert example.create.delay("vm1").get(timeout=PATIENCE_S) == "created vm1"
    assert asking.kinds() == ["ok"]


def test_a_workflow_of_dbos_waits_for_its_permit(short_office: Any, tmp_path: Path) -> None:
    short_office.break_down("compute@eastus")
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, DOCS / "examples" / "governed_steps.py", "vm1"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"SURGETANK_URL": short_office.url, "SURGETANK_TOKEN": short_office.token},
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.splitlines()[-1:] == ["created vm1"], done.stderr
    assert short_office.kinds() == ["ok"]


def _scripts() -> list[str]:
    """The steps of the page on CI that run a command, of each of its pipelines."""
    page = (DOCS / "how-to" / "govern-ci-jobs.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    scripts = list[str]()
    for block in blocks:
        document: Any = YAML(typ="safe").load(block)
        jobs: dict[str, Any] = document.get("jobs") or {"": document}
        for job in jobs.values():
            steps: list[dict[str, str]] = job["steps"]
            scripts += [step.get("run") or step.get("script", "") for step in steps]
    return [script for script in scripts if "surgetank run" in script]


@pytest.mark.parametrize("script", _scripts())
def test_a_step_of_a_pipeline_runs_its_command(asking: Any, tmp_path: Path, script: str) -> None:
    terraform = tmp_path / "terraform"
    terraform.write_text('#!/bin/sh\necho "applied $*"\n')
    terraform.chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - what our page says
        ["/bin/bash", "-e", "-c", script],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (0, "applied apply -auto-approve\n"), done.stderr
    assert asking.kinds() == ["ok"]


def test_there_is_a_pipeline_for_each_of_two_services() -> None:
    assert len(_scripts()) == 2
