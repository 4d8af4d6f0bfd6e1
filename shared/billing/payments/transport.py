"""How questions get to Stripe: the SDK with less work beneath it. A page of a list costs a third of what it does there.

The SDK's own client writes each answer out for its debug log, be that on or off, and reads JSON into ordered
dictionaries; its HTTP goes through layers that look up proxies and passwords anew each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import stripe
import urllib3
from urllib3.exceptions import HTTPError, SSLError

Decode = Callable[[str | bytes], Any]
_KEPT = 10  # connections, each used by one thread at a time


class Transport(stripe.HTTPClient):
    """Shared between threads; keeps its connections. `seconds`: to connect, and until more of an answer comes.

    The proxy is the one that the environment names when it is made (`HTTPS_PROXY`, `NO_PROXY`).
    """

    name = "urllib3"

    def __init__(self, api_base: str, seconds: tuple[float, float]) -> None:
        super().__init__()
        url = urlsplit(api_base)
        proxy = None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)
        settings: dict[str, Any] = {
            "maxsize": _KEPT,
            "timeout": urllib3.Timeout(*seconds),
            "retries": False,  # the SDK's task: it knows what Stripe says about it
            "ca_certs": stripe.ca_bundle_path,
        }
        self._pool = urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)

    # The SDK's own clients give bytes too, and it takes them.
    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: str | bytes | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """The answer, of whatever status, read to its end. Raises `stripe.APIConnectionError` where there is none."""
        asked = {"Accept-Encoding": "gzip", **(headers or {})}
        try:
            answer = self._pool.request(method.upper(), url, body=post_data, headers=asked)
        except HTTPError as fault:
            again = not isinstance(fault, SSLError)  # a certificate that is not trusted will not be the next time
            raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]  # as all the SDK's errors
                f"Stripe did not answer: {type(fault).__name__}", should_retry=again
            ) from fault
        return answer.data, answer.status, answer.headers

    def close(self) -> None:
        self._pool.clear()


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON that Stripe answered, and the headers, by names in any case."""

    data: Any
    headers: Mapping[str, str]


class Client(stripe.StripeClient):
    """The SDK's client, whose `raw_request` is lean where it only asks (`get`)."""

    def __init__(self, api_key: str, version: str, api_base: str, http: stripe.HTTPClient, retries: int) -> None:
        super().__init__(
            api_key,
            stripe_version=version,
            max_network_retries=retries,
            http_client=http,
            base_addresses={"api": api_base},
        )
        self._asking = {"Authorization": f"Bearer {api_key}", "Stripe-Version": version}
        self._api_base, self._http, self._retries = api_base, http, retries

    def raw_request(self, method_: str, url_: str, *, decode: Decode = json.loads, **params: Any) -> Any:
        """As the SDK's, with its retries and errors. `decode` reads the body of what is asked for and found; it raises
        ValueError where that is no JSON. Raises `stripe.StripeError`.
        """
        if method_ != "get":
            return super().raw_request(method_, url_, **params)
        query = urlencode([pair for name, value in params.items() for pair in _pairs(name, value)])
        url = f"{self._api_base}{url_}?{query}" if query else f"{self._api_base}{url_}"
        answer = self._http.request_with_retries("get", url, self._asking, max_network_retries=self._retries)
        return _read(decode, *answer)


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A parameter as a form has it: `created[gte]`, `ids[0]`."""
    match value:
        case dict() | list():
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _pairs(f"{name}[{key}]", part)
        case bool():
            yield name, str(value).lower()
        case _:
            yield name, str(value)


def _read(decode: Decode, body: str | bytes, status: int, headers: Mapping[str, str]) -> Answer:
    # Not copied into a dict, as the SDK's type has it: there their names would no longer be found in any case.
    told, found = cast("dict[str, str]", headers), 200 <= status < 300
    try:
        data = (decode if found else json.loads)(body)
    except ValueError as fault:
        raise stripe.APIError("the answer is no JSON", http_status=status, headers=told) from fault
    if found:
        return Answer(data, headers)
    error = data.get("error") if isinstance(data, dict) else None
    code, param = (error.get("code"), error.get("param")) if isinstance(error, dict) else (None, None)
    if status in {400, 404}:
        raise stripe.InvalidRequestError(  # type: ignore[no-untyped-call]
            "refused", param, code=code, http_status=status, headers=told
        )
    raise stripe.APIError(f"answered {status}", http_status=status, headers=told, code=code)
