"""The functions work with the rights of `billing_app`, not with the owner's."""

import psycopg

from billing.store.roles import FUNCTIONS_USER
from infra.local.story import App


def test_the_functions_connect_as_a_member_of_their_role_which_cannot_change_the_audit(app: App) -> None:
    app.must("GET", "/api/v1/entitlements/explain?user_id=ann&feature=export")  # one that asks PostgreSQL
    with psycopg.connect(app.stack.database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT usename, pg_has_role(usename, 'billing_app', 'MEMBER') FROM pg_stat_activity"
            " WHERE application_name = 'billing' AND datname = current_database() AND usename <> current_user"
        ).fetchall()
        (rights,) = (
            connection.execute(
                "SELECT has_table_privilege(%s, 'audit', 'UPDATE, DELETE, TRUNCATE')", [FUNCTIONS_USER]
            ).fetchone()
            or ()
        )
    assert rows == [(FUNCTIONS_USER, True)]
    assert rights is False
