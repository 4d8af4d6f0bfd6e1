"""The audit by its route: what is told, and what nobody can hide who has all rights on the database (FAILURES F6)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from billing.domain.audit import Mark, linked
from billing.store import audit
from billing.store.audit import Act
from billing.store.connection import connect, transaction
from billing.usecases.verify_audit import verify_chain
from tests.support.clerk import Clerk, run_clerk

AUDIT = "GET /api/v1/admin/audit"
GIVE = "POST /api/v1/admin/grant"
REVOKE = "POST /api/v1/admin/revoke"
EXPORT = {"project_id": "notes", "user_id": "ann", "feature": "export", "reason": "a gift"}


@pytest.fixture
def clerk(database_url: str, aws_endpoint: str, table_name: str) -> Iterator[Clerk]:
    with run_clerk(database_url, aws_endpoint, table_name) as running:
        yield running


@pytest.fixture
def busy(clerk: Clerk) -> Clerk:
    """Chains `notes` and `mail` of five entries each, beside the one that the keys are in."""
    fill(clerk, "notes", "mail")
    return clerk


def fill(clerk: Clerk, *chains: str) -> None:
    with transaction(clerk.world.database_url) as connection:
        for number in range(5):
            for chain in chains:
                act = Act(chain, "ada", "key_1", "test.act", f"{chain}-{number}", None, None, {"n": number}, "req")
                audit.append(connection, act, clerk.clock)


def tamper(clerk: Clerk, sql: str) -> None:
    """As a superuser who has switched the triggers off."""
    clerk.rows(f"SET session_replication_role = replica; {sql}")


def proof(clerk: Clerk, project_id: str = "notes", **query: str) -> dict[str, Any]:
    answer = clerk.ask(AUDIT, query={"verify": "true", "project_id": project_id, **query})
    (chain,) = answer.body["verification"]["chains"]
    assert answer.body["verification"]["ok"] == chain["ok"]
    return dict(chain)


# --- what is told --------------------------------------------------------------------------------------------------


def test_a_grant_and_its_revocation_are_told_with_who_why_before_and_after(clerk: Clerk) -> None:
    grant_id = clerk.ask(GIVE, EXPORT).body["grants"][0]["id"]
    clerk.ask(REVOKE, {"grant_id": grant_id, "reason": "a mistake"})

    revoked, given = clerk.ask(AUDIT, query={"project_id": "notes", "target": grant_id}).body["data"]

    assert [given[name] for name in ("actor", "action", "reason", "before", "request_id")] == [
        "ann the operator",
        "grant.create",
        "a gift",
        None,
        "req-1",
    ]
    assert (given["after"]["user_id"], given["after"]["value"], given["after"]["revoked_at"]) == ("ann", True, None)
    assert (revoked["action"], revoked["reason"], revoked["before"]) == ("grant.revoke", "a mistake", given["after"])
    assert revoked["after"]["revoked_at"] is not None
    assert revoked["previous_hash"] == given["hash"]
    assert given["key_id"].startswith("key_")


def test_a_list_is_filtered_and_goes_on_from_page_to_page(busy: Clerk) -> None:
    whole = busy.ask(AUDIT, query={"actor": "ada", "limit": "100"}).body["data"]
    pages: list[Any] = []
    query = {"actor": "ada", "limit": "4"}
    while True:
        answer = busy.ask(AUDIT, query=query)
        pages += answer.body["data"]
        if not answer.body["has_more"]:
            break
        query["cursor"] = answer.body["next_cursor"]
    assert pages == whole
    assert len(whole) == 10
    one = busy.ask(AUDIT, query={"action": "test.act", "target": "mail-3"}).body["data"]
    assert [(act["project_id"], act["seq"]) for act in one] == [("mail", 4)]
    assert busy.ask(AUDIT, query={"actor": "a%"}).body["data"] == []


def test_a_query_that_cannot_be_is_422(clerk: Clerk) -> None:
    for query, pointer in (
        ({"cursor": "nonsense"}, "?cursor"),
        ({"cursor": "WyJ4IiwieSIsIDFd"}, "?cursor"),
        ({"verify": "perhaps"}, "?verify"),
        ({"verify_from": "1:00", "verify": "true", "project_id": "notes"}, "?verify_from"),
        ({"verify_from": f"1:{'0' * 64}", "project_id": "notes"}, "?verify_from"),
        ({"verify_from": f"1:{'0' * 64}", "verify": "true"}, "?verify_from"),
    ):
        assert clerk.ask(AUDIT, query=query).pointers == [pointer]


def test_a_project_key_reads_no_audit(clerk: Clerk) -> None:
    assert clerk.ask(AUDIT, key=clerk.project_key).code == "wrong_role"


# --- the proof -----------------------------------------------------------------------------------------------------


def test_an_untouched_audit_is_proven_chain_by_chain(busy: Clerk) -> None:
    verification = busy.ask(AUDIT, query={"verify": "true"}).body["verification"]
    assert (verification["ok"], verification["complete"]) == (True, True)
    assert [chain["project_id"] for chain in verification["chains"]] == [None, "mail", "notes"]
    assert [chain["broken_at"] for chain in verification["chains"]] == [None, None, None]
    assert verification["chains"][2]["head"] == verification["chains"][2]["proven"]
    assert verification["chains"][2]["head"].startswith("5:")


TAMPERINGS = {
    "UPDATE audit SET actor = 'eve' WHERE chain = 'notes' AND seq = 3": (3, "edited"),
    """UPDATE audit SET after = '{"n":9}' WHERE chain = 'notes' AND seq = 5""": (5, "edited"),
    """UPDATE audit SET after = '{"n": 2}' WHERE chain = 'notes' AND seq = 3""": (3, "edited"),
    "UPDATE audit SET at = at + interval '1 microsecond' WHERE chain = 'notes' AND seq = 1": (1, "edited"),
    "UPDATE audit SET hash = sha256('x') WHERE chain = 'notes' AND seq = 2": (2, "edited"),
    "DELETE FROM audit WHERE chain = 'notes' AND seq = 2": (2, "missing"),
    "DELETE FROM audit WHERE chain = 'notes' AND seq = 1": (1, "missing"),
    "DELETE FROM audit WHERE chain = 'notes' AND seq > 3": (4, "cut"),
    "DELETE FROM audit WHERE chain = 'notes'": (1, "cut"),
    "DELETE FROM audit_heads WHERE chain = 'notes'": (1, "no_head"),
    "UPDATE audit_heads SET seq = 3 WHERE chain = 'notes'": (3, "head_differs"),
    """UPDATE audit_heads SET seq = 3, hash = (SELECT hash FROM audit WHERE chain = 'notes' AND seq = 3)
       WHERE chain = 'notes'""": (4, "beyond_head"),
    """UPDATE audit SET seq = 9 WHERE chain = 'notes' AND seq = 2;
       UPDATE audit SET seq = 2 WHERE chain = 'notes' AND seq = 3;
       UPDATE audit SET seq = 3 WHERE chain = 'notes' AND seq = 9""": (2, "unlinked"),
    """UPDATE audit SET seq = seq + 100 WHERE chain = 'notes' AND seq > 2;
       UPDATE audit SET seq = seq - 99 WHERE chain = 'notes' AND seq > 100;
       INSERT INTO audit SELECT chain, 3, at, 'eve', key_id, action, target, reason, before, after, request_id, hash,
         sha256('x') FROM audit WHERE chain = 'notes' AND seq = 2;
       UPDATE audit_heads SET seq = 6 WHERE chain = 'notes'""": (3, "edited"),
    "TRUNCATE audit": (1, "cut"),
}


def test_what_a_superuser_changes_is_found_where_it_was_changed(clerk: Clerk) -> None:
    for number, (sql, (seq, kind)) in enumerate(TAMPERINGS.items()):
        fill(clerk, chain := f"chain-{number}")
        tamper(clerk, sql.replace("'notes'", f"'{chain}'"))
        found = proof(clerk, chain)
        assert (found["ok"], found["broken_at"]["seq"], found["broken_at"]["kind"]) == (False, seq, kind), sql


def test_what_happens_to_one_chain_is_no_matter_of_the_others(busy: Clerk) -> None:
    tamper(busy, "UPDATE audit SET actor = 'eve' WHERE chain = 'mail' AND seq = 3")
    verification = busy.ask(AUDIT, query={"verify": "true"}).body["verification"]
    assert [chain["ok"] for chain in verification["chains"]] == [True, False, True]
    assert verification["ok"] is False


_FORGE = "UPDATE audit SET actor = 'eve', previous_hash = %s, hash = %s WHERE chain = 'notes' AND seq = %s"


def rewrite(clerk: Clerk, seq: int) -> None:
    """Everything from entry `seq` on by another actor, hashed anew, the head included: a forgery without a seam."""
    with connect(clerk.world.database_url) as connection, connection.transaction():
        connection.execute("SET session_replication_role = replica")
        links = audit.links_after(connection, "notes", seq - 2, until=100, limit=100)
        digest = links[0].hash
        for link in links[1:]:
            forged = linked(replace(link.entry, actor="eve"), digest)
            connection.execute(_FORGE, (forged.previous_hash, forged.hash, forged.entry.seq))
            digest = forged.hash
        connection.execute("UPDATE audit_heads SET hash = %s WHERE chain = 'notes'", (digest,))


def test_a_forgery_without_a_seam_is_found_by_a_head_that_was_kept_elsewhere(busy: Clerk) -> None:
    kept = proof(busy)["head"]
    assert proof(busy, verify_from=kept)["ok"] is True

    rewrite(busy, 3)

    assert proof(busy)["ok"] is True
    assert proof(busy, verify_from=kept)["broken_at"]["kind"] == "head_differs"


def test_a_tail_cut_together_with_its_head_is_found_by_a_head_that_was_kept_elsewhere(busy: Clerk) -> None:
    kept = proof(busy)["head"]
    tamper(
        busy,
        """DELETE FROM audit WHERE chain = 'notes' AND seq > 3;
           UPDATE audit_heads SET seq = 3, hash = (SELECT hash FROM audit WHERE chain = 'notes' AND seq = 3)
           WHERE chain = 'notes'""",
    )
    assert proof(busy)["ok"] is True
    found = proof(busy, verify_from=kept)["broken_at"]
    assert (found["seq"], found["kind"]) == (4, "cut")


def test_a_proof_that_runs_out_of_time_says_from_where_it_goes_on(busy: Clerk) -> None:
    url = busy.world.database_url
    first = verify_chain(url, "notes", go_on=lambda: False)
    assert (first.ok, first.complete, first.fault) == (False, False, None)
    assert first.reached == Mark(0, bytes(32))
    assert verify_chain(url, "notes", first.reached).ok


def test_a_chain_that_never_was_is_proven_and_empty(busy: Clerk) -> None:
    found = busy.ask(AUDIT, query={"verify": "true", "project_id": "nowhere"}).body["verification"]["chains"]
    assert [(chain["ok"], chain["head"]) for chain in found] == [(True, None)]
