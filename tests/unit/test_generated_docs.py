from pathlib import Path

from billing.http.problems import reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_errors_is_what_the_code_says() -> None:
    """After a change of `billing.http.problems`: make docs."""
    assert (DOCS / "errors.md").read_text().splitlines() == list(reference())
