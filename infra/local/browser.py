"""As much of a browser as a person at Stripe's hosted pages needs: read a page's forms, press a button."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

import urllib3

from infra.local.processes import LocalStackError


@dataclass
class Form:
    """A form with the values it would send; `buttons` maps a button's text to what pressing it adds."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What the server answered. `location` is where a redirect would lead; it is not followed."""

    url: str
    status: int
    forms: list[Form]
    location: str | None


def open_page(url: str) -> Page:
    return _request("GET", url)


def press(page: Page, button: str, values: Mapping[str, str] | None = None) -> Page:
    """Press the first button whose text contains `button`, `values` typed into its form. Raises LocalStackError."""
    for form in page.forms:
        for text, extra in form.buttons.items():
            if button.lower() in text.lower():
                sent = {**form.fields, **(values or {}), **({extra[0]: extra[1]} if extra else {})}
                return _request(form.method.upper(), urljoin(page.url, form.action), sent)
    known = [text for form in page.forms for text in form.buttons]
    raise LocalStackError(f"The page {page.url} (status {page.status}) has no button {button!r}, only {known}.")


def _request(method: str, url: str, fields: Mapping[str, str] | None = None) -> Page:
    body = urlencode(fields) if fields is not None else None
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
    answer = urllib3.request(method, url, body=body, headers=headers, redirect=False, retries=False, timeout=20)
    location = answer.headers.get("Location")
    return Page(url, answer.status, forms_of(answer.data.decode()), urljoin(url, location) if location else None)


def forms_of(page: str) -> list[Form]:
    reader = _Forms()
    reader.feed(page)
    return reader.forms


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._button: tuple[str, str] | None = None
        self._text: list[str] | None = None  # of the button being read
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get")))
        elif not self.forms:
            return
        elif tag == "button":
            self._button = (values["name"], values.get("value", "")) if "name" in values else None
            self._text = []
        elif tag == "input":
            self._read_input(values)
        elif tag == "select":
            self._select = values.get("name")
        elif tag == "option" and self._select is not None:
            fields = self.forms[-1].fields
            if "selected" in values or self._select not in fields:
                fields[self._select] = values.get("value", "")

    def _read_input(self, values: Mapping[str, str]) -> None:
        kind, name = values.get("type", "text"), values.get("name")
        if kind == "submit":
            extra = (name, values.get("value", "")) if name else None
            self.forms[-1].buttons[values.get("value", "Submit")] = extra
        elif name and (kind not in {"checkbox", "radio"} or "checked" in values):
            self.forms[-1].fields[name] = values.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._text is not None:
            self.forms[-1].buttons["".join(self._text).strip()] = self._button
            self._text = None
        elif tag == "select":
            self._select = None
