"""The page's colours, light and dark, before the rules of `static/page.css`.

Every colour of text stands at least 4.5:1 out from what it can lie on; a test measures it.
No colour is the only sign of anything: regions and marks have their names beside them.
"""

from surgetank.rehearsal.drill.report.script import static

LIGHT = {
    "ground": "#ffffff",
    "raised": "#f4f6f8",
    "band": "#dfe3e8",
    "line": "#c9ced6",
    "text": "#1b1f24",
    "muted": "#525a66",
    "grey": "#525a66",
    "orange": "#9a4500",
    "blue": "#0a58a6",
    "slate": "#3f4a5a",
    "good": "#176b37",
    "bad": "#b3261e",
    "region-0": "#0a58a6",
    "region-1": "#7a2fa3",
    "region-2": "#006068",
    "region-3": "#6b5300",
    "region-4": "#a3195b",
    "region-5": "#2d662d",
}
DARK = {
    "ground": "#14171c",
    "raised": "#1d2229",
    "band": "#2d343e",
    "line": "#49515d",
    "text": "#e8eaed",
    "muted": "#adb5c0",
    "grey": "#adb5c0",
    "orange": "#ffb073",
    "blue": "#8cc2ff",
    "slate": "#c6ced9",
    "good": "#7ddc9c",
    "bad": "#ff9d94",
    "region-0": "#8cc2ff",
    "region-1": "#d8a9f5",
    "region-2": "#6fd6dc",
    "region-3": "#dccb6a",
    "region-4": "#ff9cc8",
    "region-5": "#9fdc9f",
}
REGIONS = 6
"""Regions with a colour of their own, the scenario's first ones; all others are grey."""


def region_tone(index: int) -> str:
    """Name the class of a region's colour, the same all over the page."""
    return f"region-{index}" if index < REGIONS else "reads"


def style_sheet() -> str:
    """Give the whole style sheet."""
    tones = "".join(f".region-{one}{{--tone:var(--region-{one})}}" for one in range(REGIONS))
    return (
        f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
        f"{tones}\n{static('page.css')}"
    )


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
