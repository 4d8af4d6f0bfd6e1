"""Every route of the HTTP API and the function that answers it: the one table behind all fronts."""

from dataclasses import dataclass

from functions.admin import handler as admin


@dataclass(frozen=True)
class Route:
    """`path` has parameters in braces; `function` is a folder of `functions/`."""

    method: str
    path: str
    function: str


ROUTES = (
    Route("POST", "/api/v1/checkout", "checkout"),
    Route("POST", "/api/v1/checkout/{session_id}/sync", "checkout"),
    Route("GET", "/api/v1/catalog", "checkout"),
    Route("POST", "/api/v1/portal", "portal"),
    Route("GET", "/api/v1/entitlements", "entitlements"),
    Route("GET", "/api/v1/entitlements/check", "entitlements"),
    Route("POST", "/api/v1/entitlements/check", "entitlements"),
    Route("GET", "/api/v1/entitlements/explain", "entitlements"),
    Route("POST", "/api/v1/entitlements/token", "tokens"),
    Route("GET", "/.well-known/jwks.json", "tokens"),
    Route("GET", "/api/v1/admin/signing-keys", "tokens"),
    Route("POST", "/api/v1/admin/signing-keys/rotate", "tokens"),
    Route("POST", "/api/v1/webhooks/stripe", "webhooks"),
    Route("GET", "/healthz", "health"),
    Route("GET", "/ready", "health"),
    Route("GET", "/openapi.json", "health"),
    *(Route(operation.method, operation.path, "admin") for operation, _ in admin.ROUTES),
)

# Functions that no route reaches: a queue and schedules invoke them.
BACKGROUND = ("apply_events", "outbox", "reconciliation")

FUNCTIONS = tuple(sorted({route.function for route in ROUTES} | set(BACKGROUND)))
