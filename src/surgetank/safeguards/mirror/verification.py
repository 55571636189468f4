"""Does a body look like what it should be? An error page with status 200 must not pass.

Pure and small: whether bytes are the *right* ones is a matter of digests and signatures.
"""

from xml.parsers import expat

from surgetank.safeguards.mirror.policy import Kind

ZIP_MAGIC = b"PK\x03\x04"
"""Source: PKWARE APPNOTE 6.3.10, 4.3.7: signature of a local file header."""
MANIFEST_BYTES_MAX = 1 << 20
"""Larger manifests are not parsed; the published ones are below 100 KiB."""
MANIFEST_ROOT = "PluginVersionManifest"
"""Source: WALinuxAgent, `common/protocol/extensions_goal_state_from_extensions_config.py`."""


class _DocumentTypeFound(Exception):  # noqa: N818 - a signal within this module, not an error
    """The document has a document type, which might define entities."""


def find_flaw(kind: Kind, *, head: bytes, whole: bytes | None) -> str | None:
    """Say what is wrong with a body of `kind`, or None.

    Args:
        kind: What it should be.
        head: Its first bytes, at least 4 unless it is shorter.
        whole: All of it, or None when it is longer than `MANIFEST_BYTES_MAX`.
    """
    match kind:
        case Kind.ANY:
            return None
        case Kind.PACKAGE:
            return None if head.startswith(ZIP_MAGIC) else "not a zip archive"
        case Kind.MANIFEST:
            if whole is None or len(whole) > MANIFEST_BYTES_MAX:
                return "manifest too large"
            return _find_manifest_flaw(whole)


def _find_manifest_flaw(body: bytes) -> str | None:
    names: list[str] = []

    def note(name: str, _attributes: dict[str, str]) -> None:
        if not names:
            names.append(name.rpartition(":")[2])

    def refuse(*_: object) -> None:
        raise _DocumentTypeFound

    parser = expat.ParserCreate()
    parser.StartElementHandler = note
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        return f"not well-formed XML: {error}"
    except _DocumentTypeFound:
        return "a manifest has no document type"
    return None if names == [MANIFEST_ROOT] else f"root is {names[0]}, not {MANIFEST_ROOT}"
