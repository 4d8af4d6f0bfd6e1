"""Idempotency keys: the first request under a key does the work, later ones get its answer.

Kept for 24 hours of the double's clock. Callers hold the account's lock.
"""

import hashlib

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import StripeFault
from infra.local.stripe_double.periods import DAY
from infra.local.stripe_double.templates import Obj

_LONGEST_KEY = 255


def begin(account: Account, key: str | None, fingerprint: str) -> Obj | None:
    """Take the key for this request, or return the answer it already has.

    StripeFault 400 idempotency_error if the key belongs to another request, 409 idempotency_key_in_use while the
    first request under it is being done.
    """
    if key is None:
        return None
    if len(key) > _LONGEST_KEY:
        raise StripeFault(400, "idempotency_error", "Idempotency keys are at most 255 characters long.")
    with account.lock:
        _prune(account)
        digest = hashlib.sha256(fingerprint.encode()).hexdigest()
        entry = account.idempotency.get(key)
        if entry is None:
            account.idempotency[key] = {"of": digest, "at": account.clock.now(), "answer": None}
            return None
        return _known_answer(key, digest, entry)


def _known_answer(key: str, digest: str, entry: Obj) -> Obj:
    if entry["of"] != digest:
        raise StripeFault(
            400,
            "idempotency_error",
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request.",
        )
    if entry["answer"] is None:
        raise StripeFault(
            409,
            "idempotency_error",
            "There is currently another in-progress request using this Stripe Idempotent Key (that probably means "
            "you submitted twice, and the other request is still going through).",
            code="idempotency_key_in_use",
        )
    answer: Obj = entry["answer"]
    return answer


def end(account: Account, key: str | None, answer: Obj | None) -> None:
    """Keep the answer under the key; None (refused before anything was done) frees the key."""
    if key is not None:
        account.keep_idempotency(key, None if answer is None else {**account.idempotency[key], "answer": answer})


def _prune(account: Account) -> None:
    """Forget what is older than a day; entries stand in order of age."""
    oldest = account.clock.now() - DAY
    for key, entry in list(account.idempotency.items()):
        if entry["at"] > oldest:
            break
        if entry["answer"] is not None:
            account.keep_idempotency(key, None)
