"""The customer portal, where users change, cancel and resume what they pay for, and see their invoices."""

from __future__ import annotations

from pydantic import BaseModel

from billing.http.operations import Operation
from billing.http.schemas import PortalBody


class PortalAnswer(BaseModel):
    """Send the user's browser to `url`: it is good for minutes, and once."""

    url: str


OPEN = Operation(
    "POST",
    "/api/v1/portal",
    "openPortal",
    "Open Stripe's customer portal for a user",
    PortalAnswer,
    status=201,
    body=PortalBody,
    problems=(
        "wrong_project",
        "url_not_allowed",
        "customer_not_found",
        "customer_deleted",
        "portal_not_configured",
        "stripe_key_refused",
        "stripe_unavailable",
    ),
    opens="project",
    writes=True,
)
OPERATIONS = (OPEN,)
