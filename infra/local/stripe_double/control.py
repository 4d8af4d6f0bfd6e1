"""What tests and demos can do to the double: the customer's side of the story, time, and things going wrong.

Every method is also an HTTP route (`control_routes.py`). All raise StripeFault as the API would, and ValueError for
arguments that make no sense.
"""

from collections.abc import Iterable
from typing import Any

from infra.local.stripe_double import elapse
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.billing import DEFAULT_DUNNING
from infra.local.stripe_double.delivery import Deliveries, Mode, Rule
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import previous_attributes, publish, queue_delivery
from infra.local.stripe_double.faults import Action, Fault, Moment
from infra.local.stripe_double.objects import checkout, checkout_payment, disputes, methods, portal, refunds
from infra.local.stripe_double.objects.methods import Behaviour
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.timetable import catch_up, turn
from infra.local.stripe_double.views import render


class Control:
    def __init__(self, account: Account, deliveries: Deliveries) -> None:
        self._account = account
        self._deliveries = deliveries

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def clock(self) -> Obj:
        """The present in seconds since the epoch, and whether it is frozen."""
        with turn(self._account):
            return self._clock()

    def _clock(self) -> Obj:
        return {"now": self._account.clock.now(), "frozen": self._account.clock.is_frozen()}

    def advance_clock(self, *, advance_seconds: float | None = None, to: int | None = None) -> Obj:
        """Go forward by some seconds or to an instant; whatever falls due happens, in order, at its own instant."""
        if (advance_seconds is None) == (to is None):
            raise ValueError("give either advance_seconds or to")
        with turn(self._account):
            clock = self._account.clock
            clock.move_to(to if to is not None else clock.now() + int(advance_seconds or 0))
            catch_up(self._account)
            return self._clock()

    def freeze_clock(self) -> Obj:
        """All that follows happens in the same second, until `advance_clock` or `thaw_clock`."""
        with turn(self._account):
            self._account.clock.freeze()
            return self._clock()

    def thaw_clock(self) -> Obj:
        with turn(self._account):
            self._account.clock.thaw()
            return self._clock()

    def end_period(self, subscription_id: str) -> Obj:
        """Have one subscription's present period end now; the clock, and everybody else's time, stays as it is."""
        with turn(self._account):
            elapse.end_period(self._account, subscription_id)
            return render(self._account, self._account.get("subscription", subscription_id))

    # ── the customer at the checkout ─────────────────────────────────────────────────────────────────────────────

    def pay_checkout(self, session_id: str, *, email: str | None = None) -> Obj:
        """Pay with a good card."""
        return self._pay(session_id, "ok", email)

    def decline_checkout(self, session_id: str, *, email: str | None = None) -> Obj:
        """Try to pay with a card that is declined: StripeFault 402, and the session stays open."""
        return self._pay(session_id, "decline", email)

    def pay_checkout_later(self, session_id: str, *, email: str | None = None) -> Obj:
        """Pay by a delayed method: completed and unpaid until `settle_checkout`."""
        return self._pay(session_id, "processing", email)

    def _pay(self, session_id: str, behaviour: Behaviour, email: str | None) -> Obj:
        with turn(self._account):
            account = self._account
            account.get("checkout.session", session_id)
            delayed = behaviour == "processing"
            method = methods.new_debit(account, {}) if delayed else methods.new_card(account, behaviour)
            return render(account, checkout_payment.pay(account, session_id, method, email=email))

    def settle_checkout(self, session_id: str, *, paid: bool) -> Obj:
        """Decide a delayed payment: `checkout.session.async_payment_succeeded` or `…_failed`."""
        with turn(self._account):
            return render(self._account, checkout_payment.settle(self._account, session_id, paid=paid))

    def expire_checkout(self, session_id: str) -> Obj:
        with turn(self._account):
            return render(self._account, checkout.expire(self._account, {}, session_id))

    def set_card(self, customer_id: str, behaviour: Behaviour) -> Obj:
        """How the customer's saved cards behave from now on: "ok" or "decline"."""
        with turn(self._account):
            self._account.get("customer", customer_id)
            self._account.keep_facts(customer_id, card=behaviour)
            return {"customer": customer_id, "card": behaviour}

    # ── the customer in the portal ───────────────────────────────────────────────────────────────────────────────

    def act_in_portal(
        self,
        session_id: str,
        action: str,
        subscription: str,
        *,
        price: str | None = None,
        quantity: int | None = None,
    ) -> Obj:
        """change_plan (`price`), change_quantity (`quantity`), cancel_at_period_end, cancel_now, renew or resume."""
        with turn(self._account):
            session = self._account.get("billing_portal.session", session_id)
            choice: Obj = {"price": price, "quantity": quantity}
            return render(self._account, portal.act(self._account, session, action, subscription, choice))

    # ── money going back ─────────────────────────────────────────────────────────────────────────────────────────

    def refund(self, charge: str, *, amount: int | None = None) -> Obj:
        """Refund a charge (or the charge of a payment intent or invoice), wholly or in part."""
        with turn(self._account):
            params: Obj = {"charge": self._charge_id(charge)} | ({} if amount is None else {"amount": amount})
            return render(self._account, refunds.create(self._account, params))

    def fail_refund(self, refund_id: str) -> Obj:
        with turn(self._account):
            return render(self._account, refunds.fail(self._account, self._account.get("refund", refund_id)))

    def open_dispute(
        self, charge: str, *, amount: int | None = None, reason: str = "fraudulent", inquiry: bool = False
    ) -> Obj:
        with turn(self._account):
            disputed = self._account.get("charge", self._charge_id(charge))
            dispute = disputes.open_dispute(self._account, disputed, amount=amount, reason=reason, inquiry=inquiry)
            return render(self._account, dispute)

    def close_dispute(self, dispute_id: str, *, won: bool) -> Obj:
        with turn(self._account):
            dispute = self._account.get("dispute", dispute_id)
            return render(self._account, disputes.close(self._account, dispute, won=won))

    def _charge_id(self, name: str) -> str:
        """The charge that a charge, payment intent, invoice or checkout session stands for."""
        obj = self._account.objects.get(name)
        if obj and obj["object"] == "checkout.session":
            obj = self._account.objects.get(obj["invoice"] or obj["payment_intent"])
        if obj and obj["object"] == "invoice":
            payments = self._account.newest("invoice_payment")
            paid = next((p for p in payments if p["invoice"] == obj["id"]), None)
            obj = self._account.objects[paid["payment"]["payment_intent"]] if paid else None
        if obj and obj["object"] == "payment_intent":
            obj = self._account.objects.get(obj["latest_charge"])
        if obj is None or obj["object"] != "charge":
            raise invalid(f"{name} stands for no charge: name a charge, or a paid intent, invoice or session.")
        return str(obj["id"])

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────

    def script_deliveries(
        self,
        mode: Mode,
        *,
        times: int | None = None,
        types: Iterable[str] = (),
        copies: int = 1,
        seconds: float = 1.0,
    ) -> Obj:
        """Drop, duplicate or delay the next `times` deliveries (all, if None) of the types listed (any, if none)."""
        if mode not in ("drop", "duplicate", "delay"):
            raise ValueError("mode is drop, duplicate or delay")
        with self._account.lock:
            self._deliveries.add_rule(Rule(mode, times, tuple(types), copies, seconds))
        return {"mode": mode}

    def clear_deliveries_script(self) -> Obj:
        with self._account.lock:
            self._deliveries.clear_rules()
        return {"mode": "normal"}

    def hold_deliveries(self) -> Obj:
        """Keep every delivery back until `release_deliveries`."""
        with self._account.lock:
            self._deliveries.hold()
        return {"holding": True}

    def release_deliveries(self, *, seed: int | None = None) -> Obj:
        """Send what was held: in order, or shuffled by `seed`."""
        with turn(self._account):
            return {"released": self._deliveries.release(seed=seed)}

    def deliver_again(self, event_id: str) -> Obj:
        """Send an event once more to every endpoint."""
        with turn(self._account):
            event = self._account.get("event", event_id)
            endpoints = self._account.table("webhook_endpoint").values()
            return {"deliveries": [queue_delivery(self._account, event, e)["id"] for e in endpoints]}

    def deliveries(self) -> list[Obj]:
        """Every delivery, oldest first: event, type, endpoint, state, attempts."""
        with self._account.lock:
            return [{**d, "attempts": [dict(a) for a in d["attempts"]]} for d in self._account.deliveries.values()]

    def wait_for_deliveries(self, *, timeout: float = 10.0) -> bool:
        """Wait until nothing is left to send; False if there still is after `timeout` seconds."""
        return self._deliveries.wait_until_idle(timeout)

    # ── outages, records, state ──────────────────────────────────────────────────────────────────────────────────

    def add_fault(
        self,
        action: Action,
        *,
        match: str = "",
        times: int | None = 1,
        apply: Moment = "before",
        seconds: float = 30.0,
    ) -> Obj:
        """Let the next `times` API requests whose "METHOD /path" matches fail (see faults.Fault)."""
        if action not in ("429", "500", "503", "timeout", "reset", "slow") or apply not in ("before", "after"):
            raise ValueError("action is 429, 500, 503, timeout, reset or slow; apply is before or after")
        with self._account.lock:
            self._account.faults.add(Fault(match, action, times, apply, seconds))
        return {"action": action}

    def clear_faults(self) -> Obj:
        with self._account.lock:
            self._account.faults.clear()
        return {}

    def requests(self) -> list[Obj]:
        """The API requests so far, oldest first: id, at, method, path, idempotency_key, status."""
        with self._account.lock:
            return [dict(entry) for entry in self._account.requests]

    def emit_event(self, kind: str, obj: Obj, *, api_version: str | None = None, created: int | None = None) -> Obj:
        """Send an event made up by the test: any type, any object, any shape, any age."""
        given = {"api_version": api_version, "created": created}
        with turn(self._account):
            fields = {name: value for name, value in given.items() if value is not None}
            return dict(publish(self._account, kind, {"object": obj}, **fields))

    def change_silently(self, object_id: str, fields: Obj) -> Obj:
        """Change an object without any event: what reconciliation must find."""
        with turn(self._account):
            obj = self._account.objects.get(object_id)
            if obj is None:
                raise invalid(f"No such object: {object_id}")
            before = render(self._account, obj)
            obj.update(fields)
            self._account.put(obj)
            return {"changed": previous_attributes(before, render(self._account, obj))}

    def set_dunning(self, *, retry_days: list[int] | None = None, then: str = "canceled") -> Obj:
        """When failed renewals are tried again (days after the failure before), and what the last failure leads to."""
        if then not in ("canceled", "unpaid", "past_due"):
            raise ValueError("then is canceled, unpaid or past_due")
        plan = {"retry_days": DEFAULT_DUNNING["retry_days"] if retry_days is None else retry_days, "then": then}
        return self._set(dunning=plan)

    def set_portal_missing(self, *, missing: bool) -> Obj:
        """Whether the account lacks a default portal configuration, as a new Stripe account does."""
        return self._set(portal_missing=missing)

    def _set(self, **settings: Any) -> Obj:
        with turn(self._account):
            self._account.settings.update(settings)
            return dict(self._account.settings)

    def reset(self) -> Obj:
        """Forget everything: objects, endpoints, faults, records; the clock shows real time."""
        with turn(self._account):
            self._deliveries.forget()
            self._account.reset()
            return {}
