"""The audit: who did what, newest first, and the proof that nobody changed it since."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, Field

from billing.domain.audit import START, BreakKind, Link, Mark
from billing.domain.windows import parse_rfc3339, rfc3339
from billing.errors import FieldFault, Refused
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, bad_cursor, page, place
from billing.http.schemas import Instant, ProjectId
from billing.store import audit
from billing.store.audit import Place
from billing.store.connection import transaction
from billing.usecases.verify_audit import Verified, verify_all, verify_chain
from functions.admin.desk import Call, Desk, Routes, answered

RESERVE = 5.0
"""Seconds of an invocation that are left for the answer."""

Filter = Annotated[str, Field(min_length=1, max_length=255)]
Anchor = Annotated[str, Field(pattern="^[0-9]{1,18}:[0-9a-f]{64}$")]


class AuditQuery(PageQuery):
    """Filters fit exactly and all of them."""

    project_id: ProjectId | None = None
    action: Annotated[Filter | None, Field(description="Such as `grant.create`")] = None
    target: Annotated[Filter | None, Field(description="The id of what was acted on")] = None
    actor: Annotated[Filter | None, Field(description="The name of an admin key")] = None
    verify: Annotated[bool, Field(description="Prove the chain, of all projects where none is named")] = False
    verify_from: Annotated[
        Anchor | None, Field(description="`<seq>:<hash>` of an entry known to be true: prove what follows it")
    ] = None


class ActAnswer(BaseModel):
    """An entry of a chain: one chain a project, and one (`project_id` null) for what belongs to none."""

    project_id: str | None
    seq: int
    at: Instant
    actor: str
    key_id: str | None
    action: str
    target: str
    reason: str | None
    before: Any
    after: Any
    request_id: str
    previous_hash: str
    hash: str

    @staticmethod
    def of(link: Link) -> ActAnswer:
        entry = link.entry
        return ActAnswer(
            project_id=entry.chain or None,
            seq=entry.seq,
            at=entry.at,
            actor=entry.actor,
            key_id=entry.key_id,
            action=entry.action,
            target=entry.target,
            reason=entry.reason,
            before=None if entry.before is None else json.loads(entry.before),
            after=None if entry.after is None else json.loads(entry.after),
            request_id=entry.request_id,
            previous_hash=link.previous_hash.hex(),
            hash=link.hash.hex(),
        )


class BrokenAt(BaseModel):
    """The first place that does not fit."""

    seq: int
    kind: BreakKind
    detail: str


class ChainProof(BaseModel):
    """`proven` and `head` are `<seq>:<hash>`: keep the head elsewhere, and a later proof may start from it."""

    project_id: str | None
    ok: bool
    complete: bool
    proven: str
    head: str | None
    broken_at: BrokenAt | None

    @staticmethod
    def of(verified: Verified) -> ChainProof:
        fault = verified.fault
        return ChainProof(
            project_id=verified.chain or None,
            ok=verified.ok,
            complete=verified.complete,
            proven=_written(verified.reached),
            head=None if verified.head is None else _written(verified.head),
            broken_at=None if fault is None else BrokenAt(seq=fault.seq, kind=fault.kind, detail=fault.detail),
        )


class Verification(BaseModel):
    """`ok`: every chain proven to its head. Not `complete`: time was up; go on with `verify_from` = `proven`."""

    ok: bool
    complete: bool
    chains: list[ChainProof]


class AuditPage(Page[ActAnswer]):
    verification: Verification | None = None


LIST = Operation(
    "GET",
    "/api/v1/admin/audit",
    "listAudit",
    "Who did what, newest first; with `verify=true` the proof of it",
    AuditPage,
    query=AuditQuery,
)


def _list(desk: Desk, call: Call) -> Response:
    query = of(AuditQuery, call.asked.query)
    after = _place(query)
    with transaction(desk.database_url) as connection:
        links = audit.list_acts(
            connection,
            chain=query.project_id,
            action=query.action,
            targets=None if query.target is None else [query.target],
            actor=query.actor,
            after=after,
            limit=query.limit + 1,
        )
    rows = page(
        query, [ActAnswer.of(link) for link in links], lambda row: (rfc3339(row.at), row.project_id or "", row.seq)
    )
    verification = _verify(desk, call, query)
    return answered(call, AuditPage(**dict(rows), verification=verification))


def _place(query: AuditQuery) -> Place | None:
    found = place(query, str, str, int)
    if found is None:
        return None
    at, chain, seq = found
    try:
        return Place(parse_rfc3339(at), chain, seq)
    except (ValueError, OverflowError) as error:
        raise bad_cursor() from error


def _verify(desk: Desk, call: Call, query: AuditQuery) -> Verification | None:
    if query.verify_from is not None and (query.project_id is None or not query.verify):
        fault = FieldFault("?verify_from", "goes with verify=true and the project_id of one chain")
        raise Refused("invalid_request", "The query is not valid.", fields=(fault,))
    if not query.verify:
        return None

    def go_on() -> bool:
        return call.left() > RESERVE

    if query.project_id is None:
        chains = verify_all(desk.database_url, go_on)
    else:
        chains = [verify_chain(desk.database_url, query.project_id, _mark(query.verify_from), go_on)]
    proofs = [ChainProof.of(chain) for chain in chains]
    complete = all(proof.complete for proof in proofs)
    return Verification(ok=all(proof.ok for proof in proofs), complete=complete, chains=proofs)


def _mark(anchor: str | None) -> Mark:
    if anchor is None:
        return START
    seq, _, digest = anchor.partition(":")
    return Mark(int(seq), bytes.fromhex(digest))


def _written(mark: Mark) -> str:
    return f"{mark.seq}:{mark.hash.hex()}"


ROUTES: Routes = ((LIST, _list),)
