"""What the command logs can be read afterwards."""

import pytest
import structlog

from surgetank.app.wiring import configure_logs


def test_what_went_wrong_is_logged_with_its_reason_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs()
    try:
        int("this is why")
    except ValueError:
        structlog.get_logger().exception("store.damaged", operation_id="a")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("level='error' event='store.damaged' operation_id='a' exception=")
    assert "ValueError: invalid literal" in line
