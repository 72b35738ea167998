"""A page as a file that stands alone: HTML or SVG, for light and dark screens, without scripts.

It knows nothing of what the page says. Everything in it is escaped, and nothing is fetched.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from textwrap import wrap

from llmcli.cli.page import BAR, Grid, Notes, Page, plain_lines
from llmcli.cli.table import Joined, Row, fullest
from llmcli.errors import LlmcliError

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #d0d0d0; --bar: #1f5fa8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e4; --paper: #161616; --line: #444; --bar: #7ab3ef; }
}
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
.facts { color: var(--ink); margin: .3rem 0 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .15rem .9rem .15rem 0; white-space: pre;
  border-bottom: 1px solid var(--line); }
th.right, td.right { text-align: right; }
tr.heading td { font-weight: 600; }
td:first-child, pre { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 13px; }
td.bar { color: var(--bar); letter-spacing: -.02em; }
pre { overflow-x: auto; line-height: 1.35; }
p { margin: .2rem 0; overflow-wrap: anywhere; }
"""

_COLUMNS = 100
_WIDE, _HIGH, _MARGIN = 8.4, 19, 16  # pixels of a character of 14 pixels, of a line, around all
_SVG_STYLE = """
rect { fill: #fff; } text { fill: #1a1a1a; white-space: pre;
  font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.b { font-weight: 700; }
@media (prefers-color-scheme: dark) { rect { fill: #161616; } text { fill: #e4e4e4; } }
"""


def html(page: Page) -> str:
    title, *facts = page.facts
    body = "\n".join(map(_part, page.parts))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="facts">{escape(" · ".join(facts))}</p>\n'
        f"{body}\n</body>\n</html>\n"
    )


def svg(page: Page) -> str:
    from rich.cells import cell_len

    lines = list(_lines(page))
    width = max(cell_len(line) for line, _ in lines) * _WIDE + 2 * _MARGIN
    height = len(lines) * _HIGH + 2 * _MARGIN
    drawn = "\n".join(
        f'<text x="{_MARGIN}" y="{_MARGIN + (place + 0.75) * _HIGH:.1f}" xml:space="preserve" '
        f'textLength="{cell_len(line) * _WIDE:.1f}" lengthAdjust="spacingAndGlyphs"'
        f"{_class('b' if bold else '')}>{escape(line)}</text>"
        for place, (line, bold) in enumerate(lines)
        if line
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">\n'
        f"<title>{escape(page.facts[0])}</title>\n<style>{_SVG_STYLE}</style>\n"
        f'<rect width="100%" height="100%"/>\n{drawn}\n</svg>\n'
    )


def write(path: Path, text: str) -> None:
    """Raises LlmcliError with the reason where the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LlmcliError(f"{path} cannot be written: {error.strerror or error}") from None


def _part(part: Grid | Notes) -> str:
    if part.drawing:
        drawn = "\n".join(plain_lines(part))
        return f"<pre>{escape(drawn)}</pre>"
    if isinstance(part, Notes):
        return "\n".join(f"<p>{escape(line)}</p>" for line in part.lines)
    header, *rows = fullest(part.tables)
    shown = "\n".join(_row(part, row, "td") for row in rows)
    return f'<div class="wide"><table>\n{_row(part, header, "th")}\n{shown}\n</table></div>'


def _row(grid: Grid, row: Row, tag: str) -> str:
    cells = "".join(
        f"<{tag}{_class(_looks(grid, column, cell))}>{escape(cell)}</{tag}>"
        for column, cell in enumerate(row)
    )
    return f"<tr{_class('heading' if row[0] in grid.headings else '')}>{cells}</tr>"


def _looks(grid: Grid, column: int, cell: str) -> str:
    if column in grid.right:
        return "right"
    return "bar" if cell and not cell.strip(BAR) else ""


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _lines(page: Page) -> Iterator[tuple[str, bool]]:
    """The page as text, and whether a line is bold."""
    for line in Joined(page.facts).lines(_COLUMNS):
        yield line, True
    for part in page.parts:
        yield "", False
        if isinstance(part, Grid):
            for line, style in part.fitted.lines(None):
                yield line, style == "bold"
        else:
            for line in part.lines:
                yield from ((line, False) for line in _broken(line, part.drawing))


def _broken(line: str, drawing: bool) -> list[str]:
    return [line] if drawing else wrap(line, _COLUMNS) or [""]
