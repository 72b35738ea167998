"""docs/performance.md: what is measured goes between markers, the text around them is written by
hand and stays as it is."""

from benchmarks.place import ROOT

PAGE = ROOT / "docs" / "performance.md"


def markers(name: str) -> tuple[str, str]:
    return f"<!-- measured: {name} -->", f"<!-- end: {name} -->"


def with_block(page: str, name: str, block: str) -> str:
    """The page with the block's content replaced. Raises ValueError where the page has no such
    block, or has it twice."""
    begin, end = markers(name)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page needs {begin} and then {end}, each once")
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n{block.strip()}\n{end}{after}"


def write(name: str, block: str) -> None:
    PAGE.write_text(with_block(PAGE.read_text(), name, block))


def table(rows: list[list[str]]) -> str:
    """Markdown; the first row is the head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])
