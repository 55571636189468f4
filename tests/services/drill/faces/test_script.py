"""What runs on the page is ours, or a licensed library's that the build brought."""

from pathlib import Path

import pytest

from surgetank.rehearsal.drill.report.script import (
    SCRIPTS,
    inlined,
    policy,
    scripts,
    static,
    styles,
)

LINES_MAX = 500


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    (tmp_path / "uPlot.iife.min.js").write_text("var uPlot = 1;")
    (tmp_path / "uPlot.min.css").write_text(".u {}")
    (tmp_path / "LICENSE").write_text("The MIT License\n")
    return tmp_path


def test_without_the_library_only_ours_runs(tmp_path: Path) -> None:
    (ours,) = scripts(tmp_path)
    assert all(static(name) in ours for name in SCRIPTS)
    assert styles(tmp_path) == []


def test_the_library_comes_first_with_its_licence(vendor: Path) -> None:
    library, _ = scripts(vendor)
    assert library == "/*!\nThe MIT License\n*/\nvar uPlot = 1;"
    assert styles(vendor) == [".u {}"]


@pytest.mark.parametrize("name", ["uPlot.iife.min.js", "LICENSE"])
def test_a_library_without_all_of_its_files_does_not_run(vendor: Path, name: str) -> None:
    (vendor / name).unlink()
    assert len(scripts(vendor)) == 1


def test_the_policy_allows_by_hash_and_nothing_else() -> None:
    assert policy(["run()"], ["a{}", "b{}"]) == (
        "default-src 'none'; "
        "script-src 'sha256-AvyuiL0SD1mVY3NNxR+V2uo+lhk6RMFrytWmRt6CrJQ='; "
        "style-src 'sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk=' "
        "'sha256-7yqHVAesot11p6HczDsgKRipvI5UPgs97z80zNXlans='; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_a_script_that_would_end_its_element_is_our_mistake() -> None:
    with pytest.raises(AssertionError):
        inlined(["'</SCRIPT>'"])


@pytest.mark.parametrize("name", [*SCRIPTS, "page.css"])
def test_each_file_is_short_and_says_what_it_is_for(name: str) -> None:
    text = static(name)
    assert len(text.splitlines()) <= LINES_MAX
    assert text.startswith(("// ", "/* "))


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_name_no_address_and_make_no_markup_of_text(name: str) -> None:
    text = static(name)
    assert not any(word in text for word in ("http", "innerHTML", "insertAdjacentHTML", "eval("))
