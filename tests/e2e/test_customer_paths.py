"""User ids of every kind, through the path of a real request."""

import json
from urllib.parse import quote

import pytest

from billing.store import customers
from billing.store.connection import close, transaction
from billing.usecases.manage_projects import create_key
from infra.local.seed import PROJECT_ID
from infra.local.story import App


@pytest.mark.parametrize("user_id", ["plain", "a/b", "a b", "a%2Fb", "100%", "ü/ñ", "ann@example.com", "a+b&c=d"])
def test_a_user_is_found_by_whatever_characters_the_id_has(app: App, user_id: str) -> None:
    url = app.stack.database_url
    with transaction(url) as connection:
        customers.ensure(connection, PROJECT_ID, user_id)
    key = create_key(url, project_id=None, name="ann", mode="test").secret
    close(url)

    path = f"/api/v1/admin/customers/{PROJECT_ID}/{quote(user_id, safe='')}"
    answer = app.http.request("GET", app.stack.api_url + path, headers={"Authorization": f"Bearer {key}"})

    assert answer.status == 200, answer.data
    assert json.loads(answer.data)["user_id"] == user_id
