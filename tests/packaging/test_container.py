"""The steps of the container file, in a bare virtual environment: no engine is needed."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "deploy" / "Containerfile"
STEPS = [line.partition(" ")[::2] for line in FILE.read_text().splitlines() if line[:1].isupper()]
WAIT_S = 600.0


def _of(instruction: str) -> list[str]:
    return [words for name, words in STEPS if name == instruction]


def test_it_does_not_run_as_root() -> None:
    assert _of("USER") == ["10001:10001"]


def test_it_is_told_to_drain_when_it_is_stopped() -> None:
    assert _of("STOPSIGNAL") == ["SIGTERM"]


def test_it_is_built_from_the_wheel() -> None:
    assert _of("COPY") == ["wheel/ /tmp/wheel/"]


@pytest.mark.slow
def test_what_it_installs_serves_and_is_healthy(tmp_path: Path) -> None:
    wheels = sorted((Path(sys.prefix) / "wheel").glob("surgetank-*.whl"))
    if not wheels:
        pytest.skip("there is no wheel: `make setup` builds one")
    (tmp_path / "tmp" / "wheel").mkdir(parents=True)
    shutil.copy(wheels[-1], tmp_path / "tmp" / "wheel")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for step in _of("RUN"):
        here = re.sub(r"(?<!\w)/(opt|tmp|var)/", rf"{tmp_path}/\1/", step)
        here = here.replace("10001:10001", f"{os.getuid()}:{os.getgid()}")
        here = here.replace("python -m venv", f"{shlex.quote(sys.executable)} -m venv")
        subprocess.run(here, shell=True, check=True, env=environment, timeout=WAIT_S)  # noqa: S602 - our own file
    (tmp_path / "surgetank.toml").write_text('directory = "var/lib/surgetank"\n[serve]\nport = 0\n')
    (entry,) = map(json.loads, _of("ENTRYPOINT"))
    (words,) = map(json.loads, _of("CMD"))
    words[-1] = str(tmp_path / "surgetank.toml")
    process = subprocess.Popen(  # noqa: S603 - our own command
        [f"{tmp_path}{entry[0]}", *words, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        (health,) = _of("HEALTHCHECK")
        check = json.loads(health.partition("CMD ")[2])
        check = [each.replace("http://127.0.0.1:8470", url) for each in check]
        subprocess.run([f"{tmp_path}{check[0]}", *check[1:]], check=True, timeout=60)  # noqa: S603 - our own file
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate(timeout=60)
