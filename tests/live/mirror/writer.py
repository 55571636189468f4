"""Stores copies until it is killed; run by the crash test with a directory as its argument."""

import sys
from hashlib import sha256
from pathlib import Path

from surgetank.safeguards.mirror.entry import Entry
from surgetank.safeguards.mirror.store import Store


def main(directory: Path) -> None:
    """Say each URL once its copy is in place."""
    store = Store(directory)
    store.open()
    for number in range(1_000_000):
        body = number.to_bytes(4, "big") * 5_000
        url = f"https://origin/{number % 50}"
        entry = Entry(
            url=url,
            digest=sha256(body).hexdigest(),
            size=len(body),
            content_type="",
            content_encoding="",
            etag="",
            fetched_at=float(number),
            checked_at=float(number),
            used_at=float(number),
        )
        store.keep(body, entry)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
