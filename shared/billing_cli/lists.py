"""Lists of the API: a page, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from billing_cli.api import Answer, Query
from billing_cli.command import Session
from billing_cli.screen import Column

MOST_ROWS = 100


def show_list(session: Session, path: str, columns: Mapping[str, Column], query: Query | None = None) -> None:
    """As a table; `--json` prints the page as it came, or with `--all` one page that holds every row."""
    show_pages(session, path, lambda document: session.screen.table(document["data"], columns), query)


def show_pages(session: Session, path: str, render: Callable[[Any], None], query: Query | None = None) -> None:
    """As `show_list`, the page told to people by `render`."""
    paging = session.paging
    asked = {**(query or {}), "limit": paging.limit, "cursor": paging.cursor}
    page = all_pages(session, path, asked) if paging.everything else session.read(path, asked)

    def told(document: Any) -> None:
        render(document)
        if document["has_more"]:
            session.screen.note(f"There are more: --all, or --cursor {document['next_cursor']}")

    session.show(page, told)


def all_pages(session: Session, path: str, query: Query) -> Answer:
    """Every row from the query's cursor on, as one page."""
    query = {**query, "limit": MOST_ROWS}
    rows: list[Any] = []
    with session.screen.working("Reading …") as progress:
        while True:
            answer = session.api.read(path, query)
            rows += answer.document["data"]
            if not answer.document["has_more"]:
                break
            progress.update(f"Reading … {len(rows)} rows")
            query = {**query, "cursor": answer.document["next_cursor"]}
    return Answer.of({**answer.document, "data": rows})
