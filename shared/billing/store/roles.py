"""The login of the functions. Roles belong to the whole server, so it is made beside the migrations, not by one."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

FUNCTIONS_USER = "billing_functions"
"""Who the functions log in as: a member of the schema's role `billing_app`, with its rights and no more."""

LIMITS = {
    "statement_timeout": "120s",  # longer than any statement takes; one whose function is gone ends
    "idle_in_transaction_session_timeout": "60s",  # no transaction waits for anything but the database
}
"""Set on the login: RDS Proxy takes no settings at the connect, and keeps a session that sets them for one client."""

IAM_ROLE = "rds_iam"
"""RDS has it. Its members log in by a token of IAM and by nothing else."""

_LOCK = 0x726F6C65  # "role": two at once would both make it
_KNOWN = "SELECT rolname FROM pg_roles WHERE rolname IN (%s, %s)"


def ensure_functions_login(connection: Connection[Any]) -> None:
    """Make it, or make it again what it should be. Call it as the schema's owner, once the schema is there."""
    user = sql.Identifier(FUNCTIONS_USER)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        known = {name for (name,) in connection.execute(_KNOWN, (FUNCTIONS_USER, IAM_ROLE))}
        if FUNCTIONS_USER not in known:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(user))
        connection.execute(sql.SQL("GRANT billing_app TO {}").format(user))
        if IAM_ROLE in known:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(IAM_ROLE), user))
        for name, value in LIMITS.items():
            statement = sql.SQL("ALTER ROLE {} SET {} = {}")
            connection.execute(statement.format(user, sql.Identifier(name), sql.Literal(value)))
