"""The page's style sheet: light, dark and paper; no font, image or script from anywhere.

Every colour of text stands at least 4.5:1 out from what it can lie on; a test measures it.
Orange and blue stay apart for all common kinds of colour blindness, and are never the only sign.
"""

LIGHT = {
    "ground": "#ffffff",
    "raised": "#f4f6f8",
    "band": "#d9dde3",
    "line": "#c9ced6",
    "text": "#1b1f24",
    "muted": "#525a66",
    "orange": "#9a4500",
    "blue": "#0a58a6",
    "grey": "#525a66",
    "good": "#176b37",
    "bad": "#b3261e",
}
DARK = {
    "ground": "#14171c",
    "raised": "#1d2229",
    "band": "#2d343e",
    "line": "#49515d",
    "text": "#e8eaed",
    "muted": "#adb5c0",
    "orange": "#ffb073",
    "blue": "#8cc2ff",
    "grey": "#adb5c0",
    "good": "#7ddc9c",
    "bad": "#ff9d94",
}


def style_sheet() -> str:
    """Give the whole style sheet."""
    return (
        f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n{_RULES}"
    )


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;
 font-variant-numeric:tabular-nums}
header,main,footer{max-width:1320px;margin:0 auto;padding:0 16px}
header{padding-top:20px}
h1{font-size:1.05rem;font-weight:600;margin:0;color:var(--muted)}
h2{font-size:1.2rem;margin:2.2rem 0 .5rem;line-height:1.3}
h3{font-size:1rem;margin:0 0 .15rem}
p{margin:.3rem 0 .8rem;max-width:76ch}
.lead{font-size:1.3rem;line-height:1.4;font-weight:600;max-width:none;margin:.35rem 0 .6rem;
 text-wrap:pretty}
.facts{color:var(--muted);margin:0 0 .6rem;max-width:none}
.facts b{color:var(--text)}
.muted,small{color:var(--muted)}
small{display:block;font-size:.8rem;font-weight:400;line-height:1.3}
b.good,.facts b.good{color:var(--good)}
b.bad,.facts b.bad{color:var(--bad)}
a{color:var(--blue)}
a:focus-visible,.box:focus-visible,pre:focus-visible{outline:3px solid var(--blue);
 outline-offset:2px}
nav ul{display:flex;flex-wrap:wrap;gap:0 1.1rem;font-size:.88rem;list-style:none;margin:0;padding:0}
code,pre{font-family:ui-monospace,"SF Mono","Cascadia Mono","DejaVu Sans Mono",monospace;
 font-size:.86em}
pre{background:var(--raised);border:1px solid var(--line);border-radius:6px;margin:.4rem 0;
 padding:.55rem .75rem;overflow-x:auto}
figure{margin:0}
figcaption{color:var(--muted);font-size:.9rem;max-width:100ch}
.pair{display:grid;grid-template-columns:minmax(0,1fr);gap:0 32px}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));
 gap:22px 28px;margin-top:1rem}
.panels p{margin:0;font-size:.9rem}
svg{display:block;width:100%;height:auto;overflow:visible}
.narrow svg,.panels svg{max-width:520px}
.wide{display:none}
svg text{font:12px Arial,"Liberation Sans",Helvetica,sans-serif;fill:var(--text)}
svg .muted{fill:var(--muted);font-size:11.5px}
svg .end{text-anchor:end}
svg .lane{font-weight:600}
svg .flag,svg .lane,svg .note{paint-order:stroke;stroke:var(--ground);stroke-width:5px;stroke-linejoin:round}
svg .note{font-weight:600}
.grid{stroke:var(--line);stroke-width:1;opacity:.55}
.base{stroke:var(--line);stroke-width:1}
.event{stroke:var(--muted);stroke-width:1;stroke-dasharray:2 3}
rect.published{fill:var(--band)}
line.published{stroke:var(--muted);stroke-width:2;stroke-dasharray:6 3}
.levels{stroke-width:1.3;fill-opacity:.22}
.reads .levels{stroke:var(--grey);fill:var(--grey)}
.creates .levels{stroke:var(--orange);fill:var(--orange)}
.tokens .levels{stroke:var(--blue);fill:var(--blue)}
.creates .outage,.bar.creates{fill:var(--orange)}
.tokens .outage,.bar.tokens{fill:var(--blue)}
.creates .note{fill:var(--orange)}
.tokens .note{fill:var(--blue)}
.bar.hollow{fill:var(--ground);stroke-width:1.4;stroke-dasharray:4 2}
.bar.hollow.creates{stroke:var(--orange)}
.bar.hollow.tokens{stroke:var(--blue)}
.whisker{fill:none;stroke:var(--text);stroke-width:1.5}
.box{overflow-x:auto;border:1px solid var(--line);border-radius:6px;margin:.6rem 0}
table{border-collapse:collapse;width:100%;font-size:.88rem;line-height:1.35}
caption{caption-side:top;text-align:left;padding:.5rem .7rem;font-weight:600}
caption span{display:inline-block;max-width:calc(100vw - 4rem)}
th,td{text-align:left;vertical-align:top;padding:.32rem .7rem;border-top:1px solid var(--line)}
tbody th{font-weight:400}
thead th{background:var(--raised);vertical-align:bottom}
.sticky td{white-space:nowrap}
.sticky td,.sticky th{padding-left:.55rem;padding-right:.45rem}
.sticky th[scope=row],.sticky thead th:first-child{position:sticky;left:0;background:var(--raised);
 min-width:min(16rem,38vw);z-index:1}
.sticky small{white-space:nowrap}
.sticky th small{white-space:normal}
.tall{max-height:27rem;overflow-y:auto}
.tall thead th{position:sticky;top:0;z-index:1}
.tall td:nth-child(2),.tall td:nth-child(3){white-space:nowrap}
li{margin:.3rem 0;max-width:80ch}
footer{color:var(--muted);padding-top:1.5rem;padding-bottom:2.5rem}
@media (min-width:860px){
 .wide{display:block}
 .narrow{display:none}
 .pair{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}
}
@media (max-width:859px){.lead{font-size:1.12rem}}
@page{size:landscape;margin:12mm}
@media print{
 body{font-size:10pt}
 header,main,footer{max-width:none;padding-left:0;padding-right:0}
 nav{display:none}
 .lead{font-size:14pt}
 .wide{display:block}
 .narrow{display:none}
 .box,.tall{overflow:visible;max-height:none}
 .sticky th[scope=row],.sticky thead th:first-child,.tall thead th{position:static}
 .sticky table,.sticky small,.sticky code{font-size:7pt}
 .sticky th[scope=row],.sticky thead th:first-child{min-width:0}
 .sticky th,.sticky td{padding:.15rem .25rem}
 caption span{max-width:none}
 .pair{display:block}
 .panels{grid-template-columns:1fr 1fr 1fr}
 .pair svg{max-width:640px}
 figure,tr,pre{break-inside:avoid}
 h2,h3,caption{break-after:avoid}
 .levels,.bar,.outage,rect.published,thead th{-webkit-print-color-adjust:exact;
  print-color-adjust:exact}
}
"""
