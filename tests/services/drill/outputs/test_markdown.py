"""What is quoted in Markdown stays text, in a line, in a list, in a table, in a block."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from surgetank.rehearsal.drill.output.markdown import block, code, table, text
from surgetank.rehearsal.drill.wording import printable

TRICKS = [
    "1. x", "12) y", "- z", "+ a", "===", "---", "&lt;", "$x$", "\\|", "> q", "``` x", "# h", "~~s~~",
    "a|b `c` *d* <b>x</b> __e__ [l](http://x) ![i](y)", "a\nb\n\n# c", "<!-- x", "\\", "`", "``a`",
]  # fmt: skip
ANY = st.one_of(st.text(), st.text(alphabet=" \\`*_[]<>|~&#$-+=.)1!:\nab"))


def tokens(lines: str) -> list[Token]:
    """As GitHub reads it, HTML let through so that it would be seen."""
    return MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(lines)


def words(found: list[Token]) -> list[str]:
    """The text of each inline part, which must hold nothing else."""
    inlines = [token for token in found if token.type == "inline"]
    assert {child.type for one in inlines for child in one.children or ()} <= {"text"}
    return ["".join(child.content for child in one.children or ()) for one in inlines]


def only(inline: Token) -> Token:
    """The one part of a line."""
    (part,) = inline.children or []
    return part


@given(ANY)
@example("a\\|b")
def test_a_line_stays_a_line(content: str) -> None:
    plain = printable(content).strip()
    found = tokens(text(content))
    assert [token.type for token in found] in ([], ["paragraph_open", "inline", "paragraph_close"])
    assert words(found) == ([plain] if plain else [])


@pytest.mark.parametrize("content", TRICKS)
def test_a_line_leaves_the_one_above_alone(content: str) -> None:
    found = tokens(f"above\n{text(content)}")
    assert [token.type for token in found] == ["paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize("content", TRICKS)
def test_an_item_stays_an_item(content: str) -> None:
    found = tokens(f"- {text(content)}")
    assert [token.type for token in found if token.nesting == 1] == [
        "bullet_list_open", "list_item_open", "paragraph_open",
    ]  # fmt: skip
    assert words(found) == [printable(content).strip()]


@given(ANY, ANY)
def test_a_row_keeps_its_cells(first: str, second: str) -> None:
    found = tokens("\n".join(table(["a", "b"], [[text(first), code(f"x{second}x")]])))
    cells = [index for index, token in enumerate(found) if token.type == "td_open"]
    assert len(cells) == 2
    assert words(found[cells[0] : cells[1]]) == [printable(first).strip()]
    quoted = only(found[cells[1] + 1])
    assert (quoted.type, quoted.content) == ("code_inline", f"x{printable(second)}x")


@pytest.mark.parametrize("content", ["`", "``a`", "a``", "a`b"])
def test_a_name_with_ticks_stays_a_name(content: str) -> None:
    (inline,) = (token for token in tokens(code(content)) if token.type == "inline")
    quoted = only(inline)
    assert (quoted.type, quoted.content) == ("code_inline", content)


@pytest.mark.parametrize("content", [*TRICKS, "````", "~~~"])
def test_a_block_ends_where_it_should(content: str) -> None:
    (found,) = tokens("\n".join(block([content])))
    assert (found.type, found.content) == ("fence", f"{printable(content)}\n")
