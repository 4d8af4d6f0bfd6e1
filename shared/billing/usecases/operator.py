"""Who does what an operator may do: the name that the audit log keeps, with the key and the request behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing.store.audit import Act


@dataclass(frozen=True, slots=True)
class Operator:
    """`name` is that of their admin key; `key_id` None: the service itself, or whoever may deploy it."""

    name: str
    key_id: str | None = None
    request_id: str = ""

    def act(
        self,
        action: str,
        target: str,
        *,
        project_id: str | None,
        reason: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> Act:
        """For `store.audit.append`; with `project_id` None, of no project's chain."""
        return Act(project_id or "", self.name, self.key_id, action, target, reason, before, after, self.request_id)


BILLING = Operator("billing")
"""The service itself: seeds of the local stack, scheduled work."""
