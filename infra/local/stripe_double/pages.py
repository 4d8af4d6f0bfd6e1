"""The hosted pages: the checkout at /c/pay/{session} and the customer portal at /p/session/{session}.

Both are plain forms that post an `action` (with `email`, or `subscription`, `price`, `quantity`) to their own address.
"""

from datetime import UTC, datetime
from urllib.parse import parse_qs

from infra.local.stripe_double import markup
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.api import Answer
from infra.local.stripe_double.control import Control
from infra.local.stripe_double.errors import StripeFault, missing
from infra.local.stripe_double.money import amount_of, written
from infra.local.stripe_double.objects import portal
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.timetable import turn
from infra.local.stripe_double.views import items_of, render, session_items

_HTML = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
}


def answer(account: Account, control: Control, method: str, path: str, body: str) -> Answer:
    """The page, or (after a form) a redirect; 402 shows the page again with what went wrong."""
    folder, _, session_id = path.rpartition("/")
    if folder not in _PAGES:
        return _html(404, markup.page("Not found", markup.text(f"There is no page {path}.")))
    show, act = _PAGES[folder]
    form = {name: values[-1] for name, values in parse_qs(body).items()}
    try:
        if method == "POST":
            return Answer(303, b"", {"Location": act(account, control, session_id, form)})
        return _html(200, show(account, session_id, None))
    except StripeFault as fault:
        if fault.status == 404:
            return _html(404, markup.page("Not found", markup.text(fault.message)))
        return _html(fault.status, show(account, session_id, fault.message))


def _html(status: int, page: str) -> Answer:
    return Answer(status, page.encode(), _HTML)


# ── checkout ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _checkout_action(account: Account, control: Control, session_id: str, form: dict[str, str]) -> str:
    """Do what the button says; where the browser goes next."""
    with account.lock:
        session = dict(account.get("checkout.session", session_id))
    email = form.get("email")
    match form.get("action"):
        case "abandon":
            return session["cancel_url"] or f"{account.url}/c/pay/{session_id}"
        case "decline":
            control.decline_checkout(session_id, email=email)
        case "pay_later":
            control.pay_checkout_later(session_id, email=email)
        case _:
            control.pay_checkout(session_id, email=email)
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session_id)


def _checkout_page(account: Account, session_id: str, trouble: str | None) -> str:
    with turn(account):
        session = account.get("checkout.session", session_id)
        if session["status"] != "open":
            done = {"complete": "This checkout is complete.", "expired": "This checkout has expired."}
            return markup.page("Checkout", markup.section(markup.text(done[session["status"]])))
        return markup.page("Checkout", _summary(account, session), _payment_form(account, session, trouble))


def _summary(account: Account, session: Obj) -> str:
    currency = session["currency"]
    rows = [
        markup.row(f"{item['quantity']} × {item['description']}", _price_text(item["price"], item["quantity"]))  # noqa: RUF001
        for item in session_items(account, session["id"])
    ]
    off = session["total_details"]["amount_discount"]
    if off:
        rows.append(markup.row("Discount", f"−{written(off, currency)}"))  # noqa: RUF001
    due = markup.row("Due today", written(session["amount_total"], currency), total=True)
    return markup.section(*rows, due, markup.text(_trial_text(account, session), soft=True))


def _price_text(price: Obj, quantity: int) -> str:
    if price["unit_amount_decimal"] is None:
        return "by volume"
    text = written(amount_of(price, quantity), price["currency"])
    recurring = price["recurring"]
    if not recurring:
        return text
    count = recurring["interval_count"]
    return f"{text} / {recurring['interval']}" if count == 1 else f"{text} every {count} {recurring['interval']}s"


def _trial_text(account: Account, session: Obj) -> str:
    terms = account.facts_of(session["id"])["params"].get("subscription_data", {})
    if "trial_period_days" in terms:
        return f"{terms['trial_period_days']} days free, then billed as shown."
    return f"Free until {_day(terms['trial_end'])}, then billed as shown." if "trial_end" in terms else ""


def _payment_form(account: Account, session: Obj, trouble: str | None) -> str:
    customer = account.objects.get(session["customer"] or "", {})
    email = session["customer_email"] or customer.get("email") or ""
    total = written(session["amount_total"], session["currency"])
    label = f"Pay {total}" if session["amount_total"] else "Start trial" if _trial_text(account, session) else "Get it"
    return markup.section(
        markup.problem(trouble),
        markup.form(
            markup.field("E-mail", "email", email, kind="email", extra=" autocomplete=email"),
            markup.button(label, "pay", "main"),
            markup.button("Pay with a declined card", "decline"),
            markup.button("Pay by bank debit (decided later)", "pay_later"),
            markup.button("Go back without paying", "abandon"),
        ),
    )


# ── portal ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _portal_action(account: Account, control: Control, session_id: str, form: dict[str, str]) -> str:
    quantity = form.get("quantity", "")
    control.act_in_portal(
        session_id,
        form.get("action", ""),
        form.get("subscription", ""),
        price=form.get("price"),
        quantity=int(quantity) if quantity.isdecimal() else None,
    )
    return f"{account.url}/p/session/{session_id}"


def _portal_page(account: Account, session_id: str, trouble: str | None) -> str:
    with turn(account):
        session = account.get("billing_portal.session", session_id)
        customer = account.get("customer", session["customer"])
        if customer.get("deleted"):
            raise missing("customer", customer["id"])
        shown = [
            _subscription(account, session, subscription)
            for subscription in account.newest("subscription")
            if subscription["customer"] == customer["id"]
        ]
        return markup.page(
            "Your subscriptions",
            markup.text(customer["email"] or customer["id"], soft=True),
            markup.problem(trouble),
            *(shown or [markup.section(markup.text("You have no subscription."))]),
            markup.link("← Back to the app", session["return_url"]),
        )


def _subscription(account: Account, session: Obj, subscription: Obj) -> str:
    parts = [_item(account, item) for item in items_of(account, subscription["id"])]
    status = subscription["status"]
    title = account.objects[_first_price(account, subscription)["product"]]["name"]
    actions = portal.actions(account, session, subscription)
    return markup.section(
        markup.heading(title, status.replace("_", " ")),
        *parts,
        markup.text(_prospect(account, subscription), soft=True),
        *[_action_form(account, subscription, action) for action in actions],
    )


def _first_price(account: Account, subscription: Obj) -> Obj:
    first: Obj = account.objects[items_of(account, subscription["id"])[0]["price"]]
    return first


def _item(account: Account, item: Obj) -> str:
    price = render(account, account.objects[item["price"]])
    stored = account.objects[item["price"]]
    quantity = item["quantity"] or 1
    name = account.objects[price["product"]]["name"]
    return markup.row(f"{quantity} × {name}", _price_text(stored, quantity))  # noqa: RUF001


def _prospect(account: Account, subscription: Obj) -> str:
    if subscription["ended_at"]:
        return f"Ended on {_day(subscription['ended_at'])}."
    if subscription["cancel_at"]:
        return f"Ends on {_day(subscription['cancel_at'])}."
    end = min(item["current_period_end"] for item in items_of(account, subscription["id"]))
    return {
        "trialing": f"Free until {_day(end)}.",
        "active": f"Renews on {_day(end)}.",
        "past_due": "Payment failed: it will be tried again.",
        "paused": "Paused: resume to go on.",
    }.get(subscription["status"], "")


def _action_form(account: Account, subscription: Obj, action: str) -> str:
    about = markup.hidden("subscription", subscription["id"])
    item = items_of(account, subscription["id"])[0]
    match action:
        case "change_plan":
            plans = portal.plans(account)
            named = {p["id"]: f"{account.objects[p['product']]['name']} — {_price_text(p, 1)}" for p in plans}
            select = markup.choice("Plan", "price", named, item["price"])
            return markup.form(about, select, markup.button("Change plan", action))
        case "change_quantity":
            number = markup.field("Quantity", "quantity", str(item["quantity"]), kind="number", extra=" min=1 required")
            return markup.form(about, number, markup.button("Change quantity", action))
        case _:
            label, look = _LABELS[action]
            return markup.form(about, markup.button(label, action, look))


_LABELS = {
    "cancel_at_period_end": ("Cancel at the period's end", "danger"),
    "cancel_now": ("Cancel now", "danger"),
    "renew": ("Don't cancel", "main"),
    "resume": ("Resume", "main"),
}


def _day(instant: int) -> str:
    moment = datetime.fromtimestamp(instant, UTC)
    return f"{moment:%B} {moment.day}, {moment.year}"


_PAGES = {"/c/pay": (_checkout_page, _checkout_action), "/p/session": (_portal_page, _portal_action)}
