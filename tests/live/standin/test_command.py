"""What the command says, and what it refuses before it serves anything."""

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from surgetank.app.cli import main
from surgetank.rehearsal.standin.service import SERVICES

if TYPE_CHECKING:
    from tests.live.standin.conftest import Town


def test_it_says_where_everything_is(town: "Town") -> None:
    assert tuple(town.told["endpoints"]) == SERVICES
    assert (town.told["scenario"], town.told["region"]) == ("azure-2026-02", "eastus")
    assert len(town.told["artifacts"]) == 20


def test_the_environment_leads_clients_to_the_safeguards(town: "Town") -> None:
    account = town.told["accounts"][0]
    assert town.told["environment"] == {
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": town.url("broker"),
        "SURGETANK_BLOB": f"{town.url('mirror')}/{account}",
        "SURGETANK_CONTROL": town.url("control"),
    }


def test_people_are_told_what_to_export(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--for", "0"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Azure 2-3 Feb 2026 · eastus · ready\n")
    assert "\nexport AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:" in said
    assert all(f"\n{service:<11} http://127.0.0.1:" in said for service in SERVICES)


def test_programs_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--json", "--for", "0"]) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert json.loads(said)["endpoints"]


def test_another_region_has_its_own_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--json", "--for", "0", "--region", "westus"]) == 0
    assert json.loads(capsys.readouterr().out)["accounts"][0] == "artifacts0westus"


@pytest.fixture
def base() -> int:
    """The first of some ports that nobody is given by chance; another for each test process."""
    return 20_000 + os.getpid() % 1_000 * len(SERVICES)


def test_ports_are_in_a_row(base: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--json", "--for", "0", "--port", str(base)]) == 0
    urls = json.loads(capsys.readouterr().out)["endpoints"].values()
    assert [url.rpartition(":")[2] for url in urls] == [str(base + one) for one in range(6)]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--host", "192.0.2.1"], "host '192.0.2.1': only a loopback address"),
        (["--host", "::"], "host '::': only a loopback address"),
        (["--host", "localhost"], "host 'localhost': only a loopback address"),
        (["--region", "mars"], "azure-2026-02 has no region 'mars'; it has: eastus"),
        (["no-such-scenario"], "no-such-scenario"),
        (["--port", "65531"], "Invalid value for '--port'"),
        (["--for", "-1"], "Invalid value for '--for'"),
        (["--boot", "3601"], "Invalid value for '--boot'"),
        (["--data", "/proc/here"], "/proc/here: --data = "),
    ],
)
def test_what_cannot_be_served_is_refused(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--for", "0", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert main(["up", "--for", "0", "--data", str(file)]) == 2
    assert f"{file}: --data = " in capsys.readouterr().err


def test_a_port_in_use_is_refused_with_nothing_left(
    base: int,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    taken = base + SERVICES.index("identity")
    with socket.create_server(("127.0.0.1", taken)):
        assert main(["up", "--port", str(base)]) == 2
    complaint = capsys.readouterr().err
    assert f"cannot serve identity on 127.0.0.1 port {taken}: Address already in use" in complaint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(town: "Town", capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = town.scratch.glob("surgetank-up-*")
    assert main(["up", "--for", "0", "--data", str(folder)]) == 1
    assert str(folder) in capsys.readouterr().err
