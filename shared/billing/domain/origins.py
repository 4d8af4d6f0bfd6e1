"""May a browser be sent to this URL? Compared part by part with the project's allowed origins, never by prefix.

The grammar is narrower than a browser's on purpose: whatever two parsers could read differently (user info, backslash,
control or non-ASCII characters, an empty port, a host with `%` or a trailing dot) is refused before it is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_URL = 2048
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<rest>[/?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_PLAIN = re.compile(r"[!-~]*")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str
    port: int


def parse_origin(text: str) -> Origin | None:
    """An origin as an operator allows it, `https://app.example[:port]`, or None where it is none, or not a safe one."""
    match = _URL.fullmatch(text)
    if match is None or match["rest"] not in {None, "/"}:
        return None
    origin = _origin(match)
    return None if _fault(origin) else origin


def fault_of_redirect(url: str, allowed_origins: Iterable[str]) -> str | None:
    """Why a browser may not be sent to `url`, or None where it may. `{CHECKOUT_SESSION_ID}` may follow the host."""
    if len(url) > LONGEST_URL:
        return f"longer than {LONGEST_URL} characters"
    if not _PLAIN.fullmatch(url) or "\\" in url:
        return (
            "holds spaces, backslashes, control or non-ASCII characters: percent-encode them, and the host in punycode"
        )
    match = _URL.fullmatch(url)
    if match is None:
        return "not an absolute http(s) URL of host, optional port and path, without user name or password"
    origin = _origin(match)
    fault = _fault(origin)
    if fault:
        return fault
    if origin not in {parse_origin(text) for text in allowed_origins}:
        return "its origin (scheme, host and port) is none of the project's allowed origins"
    return None


def _origin(match: re.Match[str]) -> Origin:
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    return Origin(scheme, match["host"].lower(), port)


def _fault(origin: Origin) -> str | None:
    if not 0 < origin.port < 65536:
        return "its port is out of range"
    if origin.scheme == "http" and origin.host not in _LOOPBACK:
        return "plain http is for localhost and 127.0.0.1 only: use https"
    return None
