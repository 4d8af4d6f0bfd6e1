"""What an operator does about a refusal, as a command where there is one. By the code of docs/errors.md."""

from __future__ import annotations

from billing_cli.faults import Problem

MENDS = {
    "invalid_api_key": "See whose key is sent by `billing profile list`; put a living one there by `billing profile "
    "add NAME --url URL`.",
    "wrong_role": "That is a project's key. Operators need an admin key: `billing key create --admin NAME`.",
    "project_not_found": "`billing project list` shows the projects' ids.",
    "project_exists": "Change it by `billing project update ID`, or choose another id.",
    "key_not_found": "`billing key list` shows the ids, with --project ID or --admin.",
    "key_revoked": "Create a new key by `billing key create`.",
    "last_admin_key": "Create another one first: `billing key create --admin NAME`.",
    "admin_key_exists": "Ask its owner for one: `billing key create --admin NAME`.",
    "customer_not_found": "`billing customer list PROJECT` shows the ids. A user is known from their first checkout or "
    "grant on.",
    "event_not_found": "`billing events list` shows the ids.",
    "grant_not_found": "`billing grants list PROJECT` shows the ids.",
    "feature_not_found": "`billing catalog show PROJECT` shows the features' codes.",
    "invalid_catalog": "Mend the places named above and plan again. Nothing was changed.",
    "plan_outdated": "Plan again and look at what is different: somebody changed the catalog meanwhile.",
    "catalog_busy": "Another apply of this project is at work: try again in a minute.",
    "webhook_not_found": "Create it: `billing webhook create`.",
    "webhook_rotating": "Finish the rotation first: `billing webhook rotate --finish`.",
    "webhook_refused": "`billing webhook show` tells what Stripe has; it takes 16 at most, and live ones by https.",
    "signing_key_rotating": "`billing signing-key show` tells when the new one signs. Is the old one known to others: "
    "`billing signing-key rotate --at-once`.",
    "signing_key_unset": "Make the first: `billing signing-key rotate`.",
    "url_not_allowed": "Call the API by the address that Stripe is to use: `billing profile list` shows yours.",
    "run_open": "`billing runs list` shows it. Wait for it, or end it by `billing runs cancel RUN`.",
    "run_not_found": "`billing runs list` shows the ids.",
    "run_not_waiting": "`billing runs show RUN` tells what it is doing.",
    "rebuild_not_waiting": "`billing rebuild --status` tells how far it is.",
    "run_over": "Start another one: `billing reconcile`.",
    "idempotency_mismatch": "Leave --idempotency-key out: it belongs to another request.",
    "invalid_request": "Mend the members named above.",
    "internal": "Report the request id to whoever runs the service.",
}


def mend_of(problem: Problem) -> str:
    if problem.code in MENDS:
        return MENDS[problem.code]
    if problem.retryable:
        return "Send the same again in a while."
    return f"docs/errors.md says what to do about `{problem.code}`."
