import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.origins import LONGEST_URL, Origin, fault_of_redirect, parse_origin

ALLOWED = (
    "https://app.example",
    "https://shop.example:8443",
    "https://xn--bcher-kva.example",
    "http://localhost:3000",
    "http://127.0.0.1",
)

ACCEPTED = [
    "https://app.example",
    "https://app.example/",
    "https://app.example/thanks",
    "https://app.example/thanks?session={CHECKOUT_SESSION_ID}",
    "https://app.example/{CHECKOUT_SESSION_ID}#paid",
    "https://app.example?x=1",
    "https://app.example#top",
    "https://app.example:443/x",
    "https://APP.Example/x",
    "HTTPS://app.example/x",
    "https://app.example/a%20b?next=https%3A%2F%2Fevil.example",
    "https://app.example/x?next=https://evil.example",
    "https://app.example/@evil.example",
    "https://app.example//evil.example",
    "https://shop.example:8443/x",
    "https://xn--bcher-kva.example/x",
    "http://localhost:3000/x",
    "http://127.0.0.1/x",
    "http://127.0.0.1:80/x",
]

REFUSED = [
    # other origins
    "https://evil.example/",
    "http://app.example/",
    "https://app.example:444/",
    "https://shop.example/",
    "http://localhost/",
    "http://localhost:3001/",
    "https://localhost:3000/",
    "http://127.0.0.1:8080/",
    "https://www.app.example/",
    "https://example/",
    # suffix and prefix tricks
    "https://app.example.evil.example/",
    "https://app.example.evil/",
    "https://evilapp.example/",
    "https://app.example-evil.example/",
    "https://app.exampleevil/",
    "https://app.example.:443/",
    "https://app.example./",
    "https://.app.example/",
    "https://app..example/",
    # user information
    "https://app.example@evil.example/",
    "https://app.example:443@evil.example/",
    "https://user@app.example/",
    "https://user:password@app.example/",
    "https://@app.example/",
    "https://evil.example#@app.example/",
    "https://evil.example?@app.example/",
    # slashes and backslashes
    "//app.example/",
    "//evil.example/",
    "///evil.example/",
    "https:app.example/",
    "https:/app.example/",
    "https:///app.example/",
    "https://app.example\\@evil.example/",
    "https://evil.example\\.app.example/",
    "https:\\\\app.example\\",
    "\\\\evil.example/",
    "https://app.example/\\evil",
    "/thanks",
    "thanks",
    "app.example/thanks",
    "",
    # other schemes
    "javascript:alert(1)",
    "javascript://app.example/%0aalert(1)",
    "data:text/html,x",
    "ftp://app.example/",
    "file:///etc/passwd",
    "blob:https://app.example/x",
    "view-source:https://app.example/",
    "myapp://paid",
    # characters that parsers disagree about
    " https://app.example/",
    "https://app.example/ ",
    "https://app.example/a b",
    "https://app.example/\t",
    "https://app.example/\r\nLocation: https://evil.example",
    "https://app.exam\nple/",
    "https://app.example\0/",
    "https://app.example/\x7f",
    "\ufeffhttps://app.example/",
    "https://app.example%2eevil.example/",
    "https://app%2eexample/",
    "https://app.example%00.evil.example/",
    "https://bücher.example/",
    "https://\u0430pp.example/",  # a Cyrillic a
    "https://app\u3002example/",  # an ideographic full stop, which browsers read as a dot
    "https://app.example/ü",
    "https://xn--bcher-kvb.example/",
    # ports
    "https://app.example:/",
    "https://app.example:0/",
    "https://app.example:65536/",
    "https://app.example:99999999/",
    "https://app.example:443:443/",
    "https://app.example:4x3/",
    # hosts that are numbers or brackets
    "https://[::1]/",
    "https://[app.example]/",
    "https://2130706433/",
    "http://0x7f.1/",
    "http://127.1/",
    # too long
    "https://app.example/" + "a" * LONGEST_URL,
]


@pytest.mark.parametrize("url", ACCEPTED)
def test_a_url_of_an_allowed_origin_is_accepted(url: str) -> None:
    assert fault_of_redirect(url, ALLOWED) is None


@pytest.mark.parametrize("url", REFUSED)
def test_any_other_url_is_refused_with_the_reason(url: str) -> None:
    assert fault_of_redirect(url, ALLOWED)


CHARACTERS = "holds spaces, backslashes, control or non-ASCII characters: percent-encode them, and the host in punycode"
SHAPE = "not an absolute http(s) URL of host, optional port and path, without user name or password"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://app.example/" + "a" * LONGEST_URL, "longer than 2048 characters"),
        ("https://app.example/a b", CHARACTERS),
        ("https://app.example\\@evil.example/", CHARACTERS),
        ("https://app.example/ü", CHARACTERS),
        ("/thanks", SHAPE),
        ("https://user@app.example/", SHAPE),
        ("https://app.example:0/", "its port is out of range"),
        ("https://app.example:65536/", "its port is out of range"),
        ("http://app.example/", "plain http is for localhost and 127.0.0.1 only: use https"),
        ("https://evil.example/", "its origin (scheme, host and port) is none of the project's allowed origins"),
    ],
)
def test_the_reason_says_what_to_mend(url: str, reason: str) -> None:
    assert fault_of_redirect(url, ALLOWED) == reason


def test_the_longest_url_is_accepted() -> None:
    url = "https://app.example/"
    assert fault_of_redirect(url + "a" * (LONGEST_URL - len(url)), ALLOWED) is None


def test_a_project_without_origins_accepts_no_url() -> None:
    assert fault_of_redirect("https://app.example/", ()) is not None


def test_plain_http_is_refused_even_if_the_project_allowed_it() -> None:
    assert "use https" in (fault_of_redirect("http://app.example/", ["http://app.example"]) or "")


@pytest.mark.parametrize("origin", ["*", "null", "", "https://*.example", "https://app.example/path", "app.example"])
def test_an_allowed_origin_that_is_none_allows_nothing(origin: str) -> None:
    assert parse_origin(origin) is None
    assert fault_of_redirect("https://app.example/", [origin]) is not None


@pytest.mark.parametrize("origin", ["https://app.example:0", "https://app.example:65536", "http://app.example"])
def test_an_allowed_origin_that_is_not_safe_allows_nothing(origin: str) -> None:
    assert parse_origin(origin) is None


@pytest.mark.parametrize("port", [1, 65535])
def test_the_first_and_the_last_port_are_ports(port: int) -> None:
    assert parse_origin(f"https://app.example:{port}") == Origin("https", "app.example", port)
    assert fault_of_redirect(f"https://app.example:{port}/x", [f"https://app.example:{port}"]) is None


def test_an_origin_is_its_scheme_host_and_port() -> None:
    assert parse_origin("HTTPS://App.Example/") == Origin("https", "app.example", 443)
    assert parse_origin("http://localhost:3000") == Origin("http", "localhost", 3000)


@given(st.text(max_size=80), st.text(max_size=20))
def test_no_text_around_an_allowed_origin_leads_elsewhere(before: str, after: str) -> None:
    """Whatever is accepted begins with an allowed origin, and what follows it begins a path, query or fragment."""
    url = before + "https://app.example" + after
    if fault_of_redirect(url, ["https://app.example"]) is None:
        rest = url.lower().removeprefix("https://app.example").removeprefix(":443")
        assert rest == "" or rest[0] in "/?#"


@given(st.text(alphabet=string.ascii_letters + string.digits + "./:@\\?#%-[]{} \t\n", max_size=60))
def test_no_text_raises(text: str) -> None:
    assert fault_of_redirect(text, ALLOWED) != ""
    parse_origin(text)


@given(st.text(alphabet="abc.-:@/\\?#", max_size=40))
def test_a_host_other_than_the_allowed_one_is_never_accepted(tail: str) -> None:
    accepted = fault_of_redirect("https://app.example" + tail, ["https://app.example"]) is None
    assert not accepted or tail == "" or tail[0] in "/?#"
