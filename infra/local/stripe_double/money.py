"""What prices cost: per unit, tiered, in packages; discounts. Amounts are integers in the currency's minor unit."""

from decimal import ROUND_HALF_UP, Decimal

from infra.local.stripe_double.templates import Obj

_WHOLE = Decimal(1)
_ZERO_DECIMAL = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)
_THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def amount_of(price: Obj, quantity: int) -> int:
    """What `quantity` of a price (as stored) costs."""
    units = _packages(price, quantity)
    if price["billing_scheme"] == "per_unit":
        return _rounded(_decimal(price, "unit_amount") * units)
    if price["tiers_mode"] == "volume":
        tier = next(t for t in price["tiers"] if t["up_to"] is None or units <= t["up_to"])
        return _rounded(_decimal(tier, "flat_amount") + _decimal(tier, "unit_amount") * units)
    return _rounded(_graduated(price["tiers"], units))


def _graduated(tiers: list[Obj], units: int) -> Decimal:
    total, below = Decimal(0), 0
    for tier in tiers:
        if units <= below and below:
            break
        top = units if tier["up_to"] is None else min(units, tier["up_to"])
        total += _decimal(tier, "flat_amount") + _decimal(tier, "unit_amount") * (top - below)
        below = top
    return total


def _packages(price: Obj, quantity: int) -> int:
    transform = price["transform_quantity"]
    if transform is None:
        return quantity
    whole, rest = divmod(quantity, int(transform["divide_by"]))
    return whole + 1 if transform["round"] == "up" and rest else whole


def _decimal(amounts: Obj, name: str) -> Decimal:
    exact = amounts.get(f"{name}_decimal")
    return Decimal(exact if exact is not None else amounts.get(name) or 0)


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(_WHOLE, ROUND_HALF_UP))


def discount_of(coupon: Obj, amount: int) -> int:
    """How much a coupon takes off `amount`."""
    if coupon["percent_off"] is not None:
        return _rounded(Decimal(str(coupon["percent_off"])) * amount / 100)
    return min(int(coupon["amount_off"]), max(amount, 0))


def share(amount: int, part: int, whole: int) -> int:
    """The `part / whole` of an amount, rounded half away from zero: a proration by seconds."""
    return _rounded(Decimal(amount) * part / whole)


def written(amount: int, currency: str) -> str:
    """An amount for people: "$12.00", "¥500", "12.00 CHF"."""
    decimals = 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2
    text = f"{Decimal(amount).scaleb(-decimals):,.{decimals}f}"
    symbol = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}.get(currency)
    return f"{symbol}{text}" if symbol else f"{text} {currency.upper()}"
