"""The look of the hosted pages: plain HTML, one style sheet, nothing from outside, every value escaped."""

from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1f36; --soft: #697386; --line: #e3e8ee; --paper: #fff; --ground: #f6f8fa;
  --accent: #5347d6; --danger: #c0123c; }
@media (prefers-color-scheme: dark) { :root { --ink: #f5f6f8; --soft: #a3acba; --line: #353b4a; --paper: #1b1f2a;
  --ground: #12151d; --accent: #8d84ff; --danger: #ff6b8b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
.banner { background: #ffd87a; color: #4a3500; text-align: center; padding: .4rem 1rem; font-weight: 600; }
main { max-width: 34rem; margin: 2rem auto; padding: 0 1rem; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem;
  margin-bottom: 1.25rem; }
h1 { font-size: 1.4rem; margin: 0 0 1rem; } h2 { font-size: 1.1rem; margin: 0; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
.row { display: flex; justify-content: space-between; gap: 1rem; padding: .5rem 0;
  border-bottom: 1px solid var(--line); }
.row.total { border: 0; font-weight: 700; }
.problem { border: 1px solid var(--danger); color: var(--danger); border-radius: .5rem; padding: .5rem .75rem; }
.tag { font-size: .8rem; border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .6rem; }
form { margin: .75rem 0 0; display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; }
label { flex: 1 1 10rem; font-size: .85rem; color: var(--soft); }
input, select { width: 100%; font: inherit; color: inherit; background: var(--ground); padding: .55rem .7rem;
  border: 1px solid var(--line); border-radius: .5rem; }
button { font: inherit; font-weight: 600; padding: .6rem 1rem; border-radius: .5rem; border: 1px solid var(--line);
  background: var(--paper); color: inherit; cursor: pointer; }
button.main { background: var(--accent); border-color: var(--accent); color: #fff; flex: 1 1 100%; }
button.danger { color: var(--danger); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); }
"""


def page(title: str, *parts: str) -> str:
    """A whole page; `parts` are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} — Stripe double</title><style>{_STYLE}</style></head><body>"
        '<div class="banner" role="note">Stripe double — no real money</div>'
        f"<main><h1>{escape(title)}</h1>{''.join(parts)}</main></body></html>"
    )


def section(*parts: str) -> str:
    return f"<section>{''.join(parts)}</section>"


def text(content: str, *, soft: bool = False) -> str:
    return f"<p{' class=soft' if soft else ''}>{escape(content)}</p>"


def problem(message: str | None) -> str:
    return f'<p class="problem" role="alert">{escape(message)}</p>' if message else ""


def row(left: str, right: str, *, total: bool = False) -> str:
    return f'<div class="row{" total" if total else ""}"><span>{escape(left)}</span><span>{escape(right)}</span></div>'


def heading(title: str, tag: str) -> str:
    return f'<div class="row"><h2>{escape(title)}</h2><span class="tag">{escape(tag)}</span></div>'


def link(label: str, target: str | None) -> str:
    """A link; only http(s) targets, as the pages are given theirs by API clients."""
    if not target or not target.startswith(("http://", "https://")):
        return ""
    return f'<p><a href="{escape(target)}">{escape(label)}</a></p>'


def form(*parts: str) -> str:
    """A form that posts to the page's own address."""
    return f'<form method="post">{"".join(parts)}</form>'


def hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def field(label: str, name: str, value: str, *, kind: str = "text", extra: str = "") -> str:
    return f'<label>{escape(label)}<input type="{kind}" name="{escape(name)}" value="{escape(value)}"{extra}></label>'


def choice(label: str, name: str, options: dict[str, str], chosen: str) -> str:
    """A select over value → label."""
    listed = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(shown)}</option>'
        for value, shown in options.items()
    )
    return f'<label>{escape(label)}<select name="{escape(name)}">{listed}</select></label>'


def button(label: str, action: str, look: str = "") -> str:
    return f'<button class="{look}" name="action" value="{escape(action)}">{escape(label)}</button>'
