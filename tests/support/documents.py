"""Random catalog documents: every kind of money, policy and benefit that one can say."""

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

FEATURES: list[Json] = [
    {"code": "export", "type": "boolean"},
    {"code": "seats", "type": "limit", "merge": "sum"},
    {"code": "theme", "type": "config"},
]
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "export": st.just(value=True),
    "seats": st.integers(0, 9) | st.just("unlimited"),
    "theme": st.sampled_from([{"dark": 1}, {"dark": True}, None, "ü", [1, 2.5]]),
}
_amounts = st.integers(0, 5_000).map(lambda cents: {"unit_amount": cents}) | st.sampled_from(
    [{"unit_amount_decimal": "0.05"}, {"unit_amount_decimal": "1234.567"}]
)
_tiers = st.lists(st.integers(1, 100), unique=True, max_size=2).map(
    lambda ends: [
        *({"up_to": end, "unit_amount": end} for end in sorted(ends)),
        {"up_to": None, "unit_amount_decimal": "2.5", "flat_amount": 3},
    ]
)


@st.composite
def benefits(draw: st.DrawFn) -> list[Json]:
    codes = draw(st.lists(st.sampled_from(sorted(_VALUES)), unique=True))
    return [
        {
            "feature": code,
            "value": draw(_VALUES[code]),
            "per_unit": code == "seats" and draw(st.booleans()),
            "priority": draw(st.integers(0, 2)),
        }
        for code in codes
    ]


@st.composite
def prices(draw: st.DrawFn, lookup_key: str) -> Json:
    price: Json = {"lookup_key": lookup_key, "currency": draw(st.sampled_from(["usd", "eur", "jpy"]))}
    if draw(st.booleans()):
        price |= {
            "interval": draw(st.sampled_from(["week", "month", "year"])),
            "interval_count": draw(st.integers(1, 3)),
        }
        price |= draw(st.sampled_from([{}, {"grace_days": 3}, {"trial_days": 14}, {"on_full_refund": "revoke"}]))
    else:
        price |= draw(st.sampled_from([{}, {"access_days": 30}, {"on_partial_refund": "revoke"}]))
    if draw(st.booleans()):
        return {
            **price,
            "benefits": draw(benefits()),
            "tiers_mode": draw(st.sampled_from(["graduated", "volume"])),
            "tiers": draw(_tiers),
        }
    options = {"currency_options": {"gbp": draw(_amounts)}} if draw(st.booleans()) else {}
    return {**price, **options, **draw(_amounts), "benefits": draw(benefits())}


@st.composite
def documents(draw: st.DrawFn) -> Json:
    """Lookup keys `a` to `d`: what applies it makes them its own. Each key may stand in either product, or nowhere."""
    keys = iter(draw(st.permutations("abcd")))
    products = [
        {
            "key": key,
            "name": draw(st.sampled_from(["Pro", "Team"])),
            "archived": draw(st.booleans()),
            "benefits": draw(benefits()),
            "prices": [draw(prices(next(keys))) for _ in range(draw(st.integers(0, 2)))],
        }
        for key in draw(st.lists(st.sampled_from(["pro", "team"]), unique=True))
    ]
    return {"features": FEATURES, "products": [p for p in products if not (p["archived"] and not p["prices"])]}
