"""Decides, from evidence alone, whether a run that was disturbed and those after it kept what is promised.

Shares no code with ``pipeline``: it reads the audit log, raw objects, exit codes, outputs and manifests.
The letters are those of the invariants that a violation belongs to (docs/reliability.md).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.fault.witness import Request

Object = Mapping[str, Any]

LEASE_S = 15.0
RECOVERY_S = LEASE_S + 5.0
"""From the start of the next run to its lock, whoever held it before."""
ENOUGH_S = 60.0  # for any run beside the waiting for a lock: longer is stuck
KEPT = 11  # the newest ten, and the last one that was verified
OPEN = ("PENDING", "PLANNED", "APPLYING", "VERIFYING", "FAILED", "ROLLING_BACK")
OK, ROLLED_BACK, LOCKED, UNREACHABLE, INTERRUPTED, BUG = 0, 10, 30, 40, 50, 70
TRACEBACK = "Traceback (most recent call last)"
NOTHING_WRITTEN = (20, 21, 22, 23, LOCKED, UNREACHABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process. ``code`` is negative where a signal ended it; ``live`` is what was there at its end,
    ``stacks`` where its threads stood when it was last seen to be late."""

    role: str
    code: int
    output: str = field(repr=False)
    stacks: str = field(default="", repr=False)
    started: float
    ended: float
    live: Sequence[Object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of a case. ``old`` and ``new`` are manifests; ``leads_to`` says which of them each
    exit code of each role stands for. ``leases`` are all requests about the lock, reads too."""

    application: str
    runs: Sequence[Run]
    writes: Sequence[Request]
    leases: Sequence[Request]
    live: Sequence[Object]
    records: Sequence[Object]
    lease: Object | None
    old: Sequence[Object]
    new: Sequence[Object]
    leads_to: Mapping[tuple[str, int], str]
    must_end: Mapping[str, frozenset[int]]
    others_before: Mapping[str, str]
    others_after: Mapping[str, str]
    canaries: Sequence[str]
    now: float


def violations(evidence: Evidence) -> list[str]:
    """Every promise that was broken, a line each; empty where all were kept."""
    found: list[str] = []
    for rule in (_intent_first, _one_holder, _one_turn, _uids, _states, _codes, _unwritten, _others):
        found += rule(evidence)
    for late in (_canaries, _quiet, _inventory, _records, _lease, _recovery):
        found += late(evidence)
    return found


def _intent_first(evidence: Evidence) -> Iterator[str]:
    """I3: no run touches an object before its intent is durable."""
    for run in evidence.runs:
        mine = [w for w in evidence.writes if w.role == run.role]
        durable = min(
            (w.done for w in mine if w.is_head and w.verb == "create" and w.succeeded), default=None
        )
        for write in mine:
            if write.is_users and (durable is None or write.received < durable):
                yield f"I3 {run.role} wrote {write.what} before its intent was durable"


def _one_holder(evidence: Evidence) -> Iterator[str]:
    """I4: who writes holds the lock at that moment, by the server's own record of it. What the server refused
    is no write."""
    turns = sorted((w.done, w) for w in evidence.writes if w.is_lease and w.succeeded)
    for write in evidence.writes:
        if write.is_lease or write.resource == "namespaces" or not write.succeeded:
            continue
        before = [turn for done, turn in turns if done <= write.received]
        holder = before[-1] if before and _holder(before[-1]) else None
        if holder is None or holder.role != write.role:
            whose = f"{holder.role} held the lock" if holder else "nobody held the lock"
            yield f"I4 {write.role} sent {write.verb} {write.what} while {whose} ({write.code})"


def _one_turn(evidence: Evidence) -> Iterator[str]:
    """I4: a lock is taken over when its holder was silent for its whole duration, and not taken back: the
    plan of whoever lost it is of another time. Silent from when its last renewal came in, as the holder
    counts from when it sent that: how long a busy server took over it makes no lock last longer."""
    turns = sorted((w for w in evidence.writes if w.is_lease and w.succeeded), key=lambda w: w.done)
    had: list[str] = []
    for before, write in zip([None, *turns], turns, strict=False):
        if not _holder(write) or (had and had[-1] == write.role):
            continue
        if write.role in had:
            yield f"I4 {write.role} took the lock back after {had[-1]} had taken it over"
        seconds = write.received - before.received if before else LEASE_S
        if before and _holder(before) and seconds < LEASE_S:
            yield f"I4 {write.role} took the lock {seconds:.1f} s after {before.role} had renewed it"
        had.append(write.role)


def _replaced(write: Request) -> tuple[int, float]:
    """Which version a write took the place of: in that order they were done. Of a renewal that is overtaken
    on its way back, a busy server tells the end after that of the next write. Creations have none."""
    return int(write.body.get("metadata", {}).get("resourceVersion") or 0), write.done


def _holder(write: Request) -> str:
    return str(write.body["spec"]["holderIdentity"])


def _uids(evidence: Evidence) -> Iterator[str]:
    """I10: what is deleted is deleted as the very object that was meant."""
    for write in evidence.writes:
        if not write.succeeded:
            continue  # half of a request, whose sender lost the lock before the other half
        if write.is_users and write.verb == "delete" and not write.body.get("preconditions", {}).get("uid"):
            yield f"I10 {write.role} deleted {write.what} whatever object that was"


def _states(evidence: Evidence) -> Iterator[str]:
    """I1, I6: at the end of a run that says how it ended, the state is what that means."""
    for run in evidence.runs:
        meant = evidence.leads_to.get((run.role, run.code))
        if meant is None or run.live is None:
            continue
        wanted = evidence.old if meant == "old" else evidence.new
        for difference in _differences(wanted, run.live):
            yield f"I1 {run.role} ended with {run.code}, and the state is not the {meant} one: {difference}"


def _codes(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs:
        allowed = evidence.must_end.get(run.role)
        if allowed is not None and run.code not in allowed:
            yield f"I6 {run.role} ended with {run.code}, not {sorted(allowed)}: {_last_words(run.output)}"
        if run.ended - run.started > ENOUGH_S + RECOVERY_S:
            yield f"I5 {run.role} took {run.ended - run.started:.0f} s{_stood(run.stacks)}"
        if TRACEBACK in run.output:
            yield f"I6 {run.role} showed a traceback: {_mistake(run.output)}"


def _mistake(output: str) -> str:
    """The thread's line before a traceback, and its last steps, in one line."""
    before, _, after = output.partition(TRACEBACK)
    steps = [line.strip() for line in after.splitlines()]
    ends = next(
        (n for n, line in enumerate(steps) if re.match(r"[A-Za-z_.]+(Error|Exception|Exit)\b", line)), 20
    )
    return " | ".join([*before.splitlines()[-1:], *steps[max(0, ends - 8) : ends + 1]])


def _unwritten(evidence: Evidence) -> Iterator[str]:
    """I6: codes that promise that nothing was written."""
    for run in evidence.runs:
        if run.code not in NOTHING_WRITTEN:
            continue
        for write in evidence.writes:
            if write.role == run.role and write.is_users and write.succeeded:
                yield f"I6 {run.role} ended with {run.code}, though it wrote {write.what}"


def _others(evidence: Evidence) -> Iterator[str]:
    """I2: objects of others are what they were, to the version."""
    for name, version in evidence.others_before.items():
        if evidence.others_after.get(name) != version:
            yield f"I2 {name}, which belongs to others, was touched"


def _canaries(evidence: Evidence) -> Iterator[str]:
    """I7: in no output, neither plain nor as a Secret holds it."""
    for run in evidence.runs:
        for canary in evidence.canaries:
            if canary in run.output or base64.b64encode(canary.encode()).decode() in run.output:
                yield f"I7 {run.role} showed a secret"


def _quiet(evidence: Evidence) -> Iterator[str]:
    """I8: after a success, the same again writes to no object."""
    for write in evidence.writes:
        if write.role == "last" and write.is_users:
            yield f"I8 {write.what} was written though nothing was to be done"


def _inventory(evidence: Evidence) -> Iterator[str]:
    """I3: what was ever written and is still there is in the newest inventory, with its uid."""
    try:
        owned = _newest_inventory(evidence.records)
    except KeyError as error:
        yield f"I3 the newest record lacks {error}"
        return
    if owned is None:
        return
    ours = {w.name for w in evidence.writes if w.is_users and w.succeeded}
    for item in evidence.live:
        meta = item["metadata"]
        name = f"{item['kind']}/{meta['name']}"
        if name in evidence.others_before or name in owned:
            continue
        if meta["name"] in ours or meta.get("labels", {}).get("pipeline/application") == evidence.application:
            yield f"I3 {name} is in no inventory"


def _records(evidence: Evidence) -> Iterator[str]:
    """I9: a bounded number of them, no part without its head, and all but the newest closed."""
    names = [record["metadata"]["name"] for record in evidence.records]
    heads = {name for name in names if re.fullmatch(r"pipeline\.[^.]+\.[^.]+\.\d+", name)}
    if len(heads) > KEPT:
        yield f"I9 {len(heads)} releases are kept"
    for record in evidence.records:
        phase = record["metadata"]["labels"].get("pipeline/phase", "")
        if record["metadata"]["name"] in heads and phase in OPEN and _number(record) < _newest(heads):
            yield f"I1 release {_number(record)} is still {phase}, though others came after it"
    for name in names:
        head = re.match(r"pipeline\.[^.]+\.[^.]+\.\d+", name)
        if head is None or head[0] not in heads:
            yield f"I9 {name} belongs to no release"


def _number(record: Object) -> int:
    return int(record["metadata"]["labels"].get("pipeline/release", 0))


def _newest(heads: Iterable[str]) -> int:
    return max((int(name.rpartition(".")[2]) for name in heads), default=0)


def _lease(evidence: Evidence) -> Iterator[str]:
    """I9: who ends well, or by a mistake of ours, gives the lock up; at the end nobody holds it but a
    dead run whose time is over."""
    for run in evidence.runs:
        leases = [w for w in evidence.writes if w.is_lease and w.succeeded]
        mine = max((w for w in leases if w.role == run.role), key=_replaced, default=None)
        if run.code not in (OK, ROLLED_BACK, BUG) or mine is None or not _holder(mine):
            continue
        # Who was stopped for longer than the Lease lasts has nothing to give up any more.
        was_taken = any(w.role != run.role and _holder(w) and _replaced(w) > _replaced(mine) for w in leases)
        if run.code == BUG or not was_taken:
            yield f"I9 {run.role} ended with {run.code} and did not give the lock up"
    spec = evidence.lease["spec"] if evidence.lease else {}
    if not spec.get("holderIdentity"):
        return
    renewed = datetime.fromisoformat(spec["renewTime"]).timestamp()
    if renewed + spec["leaseDurationSeconds"] > evidence.now:
        yield f"I9 the lock is still held by {spec['holderIdentity']}"


def _recovery(evidence: Evidence) -> Iterator[str]:
    """I8: whoever comes next has the lock within the lease's time and five seconds: from its first look at
    the lock, or from the last sign of life of who held it."""
    mine = [w for w in evidence.leases if w.role == "next"]
    had = next((w.done for w in mine if w.verb != "get" and w.succeeded), None)
    if had is None:
        return
    others = [w.done for w in evidence.leases if w.role != "next" and w.verb != "get" and w.done < had]
    seconds = had - max([mine[0].received, *others])
    if seconds > RECOVERY_S:
        yield f"I8 the next run had the lock only after {seconds:.1f} s"


def recovery_s(evidence: Evidence) -> float | None:
    """Seconds from the death of the disturbed run until the next one, started at once, had the lock; None
    where it needed none."""
    died = next((run.ended for run in evidence.runs if run.role == "first"), None)
    had = [w.done for w in evidence.leases if w.role == "next" and w.verb != "get" and w.succeeded]
    return had[0] - died if died and had else None


def _newest_inventory(records: Sequence[Object]) -> set[str] | None:
    """``Kind/name`` of what the newest release owns, from the bytes of its record (decision 1)."""
    data = {r["metadata"]["name"]: r["data"] for r in records}
    heads = {int(n.rpartition(".")[2]): d for n, d in data.items() if "head" in d}
    if not heads:
        return None
    head = json.loads(base64.b64decode(heads[max(heads)]["head"]))
    pieces = [base64.b64decode(data[name]["shard"]) for name in head["shards"]["inventory"]]
    entries = json.loads(gzip.decompress(b"".join(pieces)))
    return {"/".join(entry["ref"].split("/")[-3::2]) for entry in entries}


def _differences(wanted: Sequence[Object], live: Sequence[Object]) -> Iterator[str]:
    there = {(item["kind"], item["metadata"]["name"]): item for item in live}
    for manifest in wanted:
        key = (manifest["kind"], manifest["metadata"]["name"])
        if key not in there:
            yield f"{'/'.join(key)} is missing"
            continue
        yield from (f"{'/'.join(key)}{path}" for path in _unlike(manifest, there[key], ""))
        if not _is_up(there[key]):
            yield f"{'/'.join(key)} is not up"
    meant = {(m["kind"], m["metadata"]["name"]) for m in wanted}
    for key in sorted(there.keys() - meant):
        yield f"{'/'.join(key)} is there"


def _unlike(wanted: Any, live: Any, path: str) -> Iterator[str]:
    """Where a live object lacks what its manifest says; what it has besides are defaults."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for name, value in wanted.items():
            yield from _unlike(value, live.get(name), f"{path}.{name}")
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for number, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from _unlike(one, other, f"{path}[{number}]")
    elif wanted != live:
        yield f"{path} is {live!r}, not {wanted!r}"


def _is_up(item: Object) -> bool:
    """Of workloads: all their pods are of the newest revision, and ready."""
    if item["kind"] not in ("Deployment", "StatefulSet"):
        return True
    status, replicas = item.get("status", {}), item["spec"].get("replicas", 1)
    is_seen = status.get("observedGeneration") == item["metadata"]["generation"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return is_seen and counts == [replicas] * 3


def _stood(stacks: str) -> str:
    return "; it stood at\n" + textwrap.indent(stacks, "        ") if stacks else ""


def _last_words(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[:300]
