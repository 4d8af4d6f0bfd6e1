"""What an operator does about each fault that `billing deploy check` finds, as a command where there is one."""

from __future__ import annotations

_PUT_KEY = (
    "aws secretsmanager put-secret-value --secret-id billing-{stage}/stripe-api-key --secret-string "
    'file:///dev/stdin, then type {{"api_key": "sk_…"}} and Ctrl-D. It is read within a minute.'
)
_CREATE = "billing webhook create"
_ROTATE = "billing webhook rotate; a minute later billing webhook rotate --finish. What it missed meanwhile: billing "
_MISSED = "reconcile --pass events"

ADVICE = {
    # what the command itself sees
    "not_alive": "Is the URL right (billing profile list)? Else the log of billing-{stage}-health tells why it fails.",
    "not_ready": "docs/operations.md, alarm not-ready, has what to do for each part.",
    "invalid_api_key": "The first key of a deployment: billing bootstrap PROFILE --url {url} --function-name "
    "billing-{stage}-admin --name YOU. Is there one already: its owner makes yours by billing key create YOU --admin.",
    "wrong_role": "That is a project's key. Give an admin key: billing profile add NAME --url {url}",
    "other_release": "Deploy the release that this command is of: make deploy STAGE={stage}",
    "machine_clock": "Set this machine's clock (timedatectl set-ntp true); AWS refuses requests signed 5 minutes off.",
    # the store
    "store_unreachable": "docs/operations.md, alarm stale-served: are the database and its proxy up?",
    "migrations_behind": "make deploy STAGE={stage}: it migrates first. The log of billing-{stage}-migrations says why "
    "it did not.",
    "outbox_late": "docs/operations.md, alarm outbox-late: query `outbox` says whether debts are tried in vain.",
    "reconciliation_never": "billing reconcile",
    "reconciliation_old": "billing runs list shows whether one waits or failed; else billing reconcile",
    # cache and queues
    "cache_unreachable": "Is the table billing-{stage}-entitlements there? If not: make deploy STAGE={stage}",
    "cache_broken": "Does another stage use this table? See TABLE_NAME of the function billing-{stage}-admin.",
    "queue_unreachable": "The deployment of billing-{stage}-events did not end: make deploy STAGE={stage}",
    "queue_behind": "docs/operations.md, alarm events-late: billing events list --status failed, and the worker's log.",
    "dead_letters": "Mend what they broke at (billing events list --status failed), then billing events redrive --all "
    '--reason "mended"',
    # Stripe's secrets
    "stripe_key_unset": _PUT_KEY,
    "stripe_key_malformed": _PUT_KEY,
    "stripe_key_mode": "Take the key of the other mode from Stripe's dashboard. " + _PUT_KEY,
    "stripe_key_refused": "It was rolled or lacks a right (webhook endpoints: write). " + _PUT_KEY,
    "secret_unreadable": "Is the secret there: aws secretsmanager describe-secret --secret-id billing-{stage}/"
    "stripe-api-key (or …/stripe-webhook)? A deletion is undone by aws secretsmanager restore-secret.",
    "secret_no_object": "Store a JSON object: docs/deployment.md, Secrets, has both forms.",
    "webhook_secret_unset": _CREATE,
    "webhook_secret_malformed": _CREATE + " replaces what is stored, and the endpoint whose secret it was.",
    # the webhook endpoint
    "webhook_missing": _CREATE,
    "webhook_disabled": _CREATE + " enables it again. What it missed: billing " + _MISSED,
    "webhook_events": _CREATE + " sets its events.",
    "webhook_version": "Only another endpoint can have another version: " + _ROTATE + _MISSED,
    "webhook_duplicate": "Each event comes twice. billing webhook rotate --finish leaves the newest alone.",
    "webhook_rotating": "billing webhook rotate --finish",
    "webhook_secret_foreign": _CREATE + " replaces it. What was refused: billing " + _MISSED,
    # the keys of entitlement tokens
    "signing_key_unset": "billing signing-key rotate makes the first; no token can be had until then.",
    "signing_keys_unreadable": "The log of billing-{stage}-tokens says why: is the secret billing-{stage}/signing-keys "
    "there, and a JSON object with `keys`?",
    # the clock of the service
    "clock_skewed": "Lambda's clock is AWS's: see AWS's Health Dashboard; is STRIPE_API_BASE set by mistake?",
}


def advice_of(code: str, *, stage: str, url: str) -> str:
    told = ADVICE.get(code, "docs/deployment.md has what this check means.")
    return told.format(stage=stage, url=url)
