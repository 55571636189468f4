"""How SQLite keeps an operation's name: the bytes that its 32 hexadecimal digits spell."""

from surgetank.safeguards.operations.text import COLUMNS

SQLITE_COLUMNS = COLUMNS.replace("o.id", "lower(hex(o.id))")
"""What `read_record` reads."""


def name_bytes(operation_id: str) -> bytes:
    """Give a name as it is kept; for what is no name, what is kept nowhere."""
    try:
        kept = bytes.fromhex(operation_id)
    except ValueError:
        return b""
    return kept if kept.hex() == operation_id else b""
