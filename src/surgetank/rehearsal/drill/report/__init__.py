"""The drill as a page: one file that stands alone, for a screen, a phone and paper.

`page` puts it together, and `render` is all that others need. Everything on it is there without
script: words, tables and drawings (`table`, `figures`, `telling`, `chart`, `bars`; `drawing` and
`markup` below them). Where scripts run, those of `static` add plots that zoom and every operation
one by one; `payload` packs what they show, and `script` says what may run: nothing else.
"""

from surgetank.rehearsal.drill.report.page import render

__all__ = ["render"]
