"""Two networks on the same clips as one HTML page with nothing outside it."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from spikereel.show.comparison import name_of, notes_of, ordered, row_of, said, sentence, verdict
from spikereel.show.plots.attention import attention
from spikereel.show.plots.compare import compare
from spikereel.show.plots.figure import png
from spikereel.tracing.compare import words_of
from spikereel.tracing.models import Compared

NARROW, WIDE = 390, 1080
"""Pixels of pictures, for telephones and for desks."""
STYLE = """
:root{color-scheme:light dark;--ink:#1d2330;--page:#fff;--muted:#667085;--line:#e4e7ec;--mark:#b42318}
@media(prefers-color-scheme:dark){:root{--ink:#eef0f6;--page:#101218;--muted:#a0a7b6;--line:#333846;--mark:#ff8a7a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:1100px;margin:1.5em auto;
padding:0 10px}h1{font-size:1.5em;overflow-wrap:anywhere}h2{font-size:1.15em;margin:1.8em 0 .5em}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px}
th,td{padding:.3em .8em .3em 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
td{min-width:5.5em}tr.differ td:first-child::before{content:"≠ ";color:var(--mark);font-weight:700}
img{max-width:100%;height:auto;display:block}.pair{display:flex;flex-wrap:wrap;gap:16px}.pair figure{margin:0}
p.note{color:var(--muted)}
"""


def page(found: Compared) -> str:
    """Clips, what differs, and pictures of the first clip on which the answers differ, or of the first one."""
    a, b = found.names
    title = f"{a} and {b}"
    shown = found.shown
    body = [f"<h1>{escape(title)}</h1><p class=note>A is {escape(a)}, B is {escape(b)}.</p>"]
    body.append(f"<p><strong>{escape(verdict(found))}</strong> {escape(sentence(shown))}.</p>")
    body.append(f"<p>{escape(words_of(found.tensors, 20))}.</p>")
    body += [f"<p class=note>{escape(line)}</p>" for line in notes_of(found)]
    head = ("clip", "A says", "B says", "first to differ", "frame", "share")
    marks = [x.answers_differ for x in ordered(found)]
    body.append(f"<h2>Clips</h2>{_table(head, [row_of(x) for x in ordered(found)], marks)}")
    pictures = _picture(lambda **k: compare(*found.traces, **k), _words(found), (NARROW, WIDE))
    body.append(f"<h2>{escape(name_of(shown))}, layer by layer</h2>{pictures}")
    body += _attentions(found)
    for name, values in (("Settings that differ", shown.settings), ("Figures that differ", shown.figures)):
        if values:
            body.append(f"<h2>{name}</h2>{_pairs(values)}")
    data = json.dumps(found.to_json(), separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f'<body><main>{"".join(body)}</main><script type="application/json" id="comparison">{data}</script></body>'
        "</html>\n"
    )


def _attentions(found: Compared) -> list[str]:
    """What the middle token looks at in both, side by side, where both have attention of spikes."""
    figures = []
    for name, trace in zip("AB", found.traces, strict=True):
        if not trace.attentions:
            return []
        words = f"Attention of the last block of {name} for the token in the middle of the clip"
        shown = _picture(lambda trace=trace, **k: attention(trace, frames=4, **k), words, (NARROW,))
        figures.append(f"<figure>{shown}<figcaption>{name}</figcaption></figure>")
    return [f"<h2>Attention of the last block</h2><div class=pair>{''.join(figures)}</div>"]


def _picture(draw: Callable[..., Any], words: str, widths: Sequence[int]) -> str:
    """A picture for light and dark pages, in each of the widths."""
    sources = []
    for dark in (True, False):
        for width in sorted(widths):
            media = ["(prefers-color-scheme:dark)"] if dark else []
            media += ["(max-width:700px)"] if len(widths) > 1 and width == min(widths) else []
            data = b64encode(png(draw(dark=dark, width=width))).decode()
            sources.append((" and ".join(media), f"data:image/png;base64,{data}"))
    *others, (_, last) = sources
    chosen = "".join(f'<source media="{media}" srcset="{data}">' for media, data in others)
    return f'<picture>{chosen}<img alt="{escape(words)}" src="{last}"></picture>'


def _words(found: Compared) -> str:
    return f"Share of spikes that differ by layer and frame. {sentence(found.shown)}. {verdict(found)}"


def _pairs(values: Mapping[str, tuple[Any, Any]]) -> str:
    return _table(("", "A", "B"), [[name, said(a), said(b)] for name, (a, b) in values.items()])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], marks: Sequence[bool] = ()) -> str:
    cells = ["".join(f"<td>{escape(x)}</td>" for x in row) for row in rows]
    kinds = [" class=differ" if mark else "" for mark in marks] or [""] * len(cells)
    body = "".join(f"<tr{kind}>{row}</tr>" for kind, row in zip(kinds, cells, strict=True))
    top = "".join(f"<th scope=col>{escape(x)}</th>" for x in head)
    return f"<div class=scroll tabindex=0><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
