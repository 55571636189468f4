# ruff: noqa: INP001 - run from the root of the repository; part of no package
"""Numbers and tables of a page that come from runs: marked in the page, filled in by name.

`<!--=night.down-->5h17<!--/-->` shows `5h17` wherever Markdown is shown, and says whose it is.
"""

import re
from collections.abc import Mapping

_MARK = re.compile(r"<!--=([a-z]+)\.([A-Za-z0-9_.-]+)-->(.*?)<!--/-->", re.DOTALL)


def fill(page: str, facts: Mapping[str, Mapping[str, str]]) -> str:
    """Put facts in place of what the marks of a page show.

    Args:
        page: Its Markdown.
        facts: By group and name; marks of a group that is not there stay as they are.

    Raises:
        KeyError: A mark names a fact that its group does not give.
    """

    def show(mark: re.Match[str]) -> str:
        group, name, shown = mark.groups()
        said = facts[group][name] if group in facts else shown
        return f"<!--={group}.{name}-->{said}<!--/-->"

    return _MARK.sub(show, page)
