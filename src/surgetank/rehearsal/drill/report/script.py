"""What may run on the page, and nothing else: our own scripts and, when it came along, uPlot.

uPlot is not in this repository. The build brings it into `vendor` where it can (`hatch_build.py`);
a page made without it keeps its drawings, and has no plots that zoom.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from surgetank.rehearsal.drill.report.markup import Markup, joined, tag

SCRIPTS = (
    "data.js",
    "plot.js",
    "governor.js",
    "timeline.js",
    "gantt.js",
    "operation.js",
    "page.js",
)
"""Ours, in this order, as one script: each uses what stands before it."""
_PLOTS, _PLOT_STYLE, _PLOT_LICENCE = "uPlot.iife.min.js", "uPlot.min.css", "LICENSE"


def static(name: str) -> str:
    """Read one of our own files."""
    return (_folder() / "static" / name).read_text(encoding="utf-8")


def vendor() -> Traversable:
    """Where the build puts uPlot, if it can."""
    return _folder() / "vendor"


def scripts(vendored: Traversable) -> list[str]:
    """Give the scripts to run, in order; without uPlot when the folder lacks it."""
    ours = "\n".join(static(name) for name in SCRIPTS)
    ours = f'"use strict";\n(() => {{\n{ours}\n}})();\n'
    plots, licence = (_text(vendored / name) for name in (_PLOTS, _PLOT_LICENCE))
    if plots is None or licence is None:
        return [ours]
    return [f"/*!\n{licence}*/\n{plots}", ours]


def styles(vendored: Traversable) -> list[str]:
    """Give the style sheets of what the scripts draw with: uPlot's, if it came along."""
    plots = _text(vendored / _PLOT_STYLE)
    return [] if plots is None else [plots]


def policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Allow these scripts and styles by their hashes: no other runs, and nothing is fetched."""
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def inlined(scripts: Sequence[str]) -> Markup:
    """Make the elements; every script is ours or a licensed library's, never of a file read."""
    assert not any("</script" in one.lower() or "<!--" in one for one in scripts)
    return joined(tag("script", Markup(one)) for one in scripts)


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(one.encode()).digest() for one in texts)
    return " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests)


def _folder() -> Traversable:
    return resources.files("surgetank.rehearsal.drill.report")


def _text(file: Traversable) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None
