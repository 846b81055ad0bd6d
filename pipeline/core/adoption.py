"""Objects that another deploy tool managed are taken over for good, so that removed fields really go.

A server-side apply takes away what its own manager owned before and no longer sends. What kubectl, Helm,
Argo CD or Flux wrote is theirs, though, and would stay for ever. So their shares are merged into ours
first, by a patch of ``metadata.managedFields`` (kubernetes: client-go ``util/csaupgrade`` has the idea),
and the next apply takes away what our manifest lacks.

What another manager, say an autoscaler or an operator, owns as well stays, and so does its share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any, Final

from pipeline.core.desired import FIELD_MANAGER
from pipeline.core.diff import diff
from pipeline.core.fields import FieldSet, prune
from pipeline.model.objects import FieldPath, Json, Object, get_path

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""What ``kubectl apply`` remembers: stale as soon as anybody else applies, and a copy of every Secret."""

Entry = dict[str, Any]
"""One entry of ``metadata.managedFields``."""

_TOOLS: Final = re.compile(
    r"(kubectl|kubectl-(client-side-apply|create|replace|last-applied)|before-first-apply"
    r"|helm|Helm|argocd-.*|kustomize-controller|helm-controller|kapp.*)"
)
"""Managers that deploy. ``kubectl edit``, ``scale``, ``label`` or ``rollout restart`` are an operator's hand:
what it added to a field that no manifest ever had is left alone (and undoing a restart would restart all).
"""

_SHOWN: Final = 5
"""Fields that a note names; the plan's differences have them all."""

_NOTHING: Final = FieldSet()


def is_tool(manager: str) -> bool:
    """Whether a field manager is another deploy tool, whose fields are ours to take over."""
    return _TOOLS.fullmatch(manager) is not None


def tools_of(live: Object) -> list[str]:
    """The deploy tools that own fields of the object, in the order of their names."""
    return sorted({str(entry["manager"]) for entry in _entries(live) if _is_adopted(entry, live)})


def adopt(live: Object, applied: Object | None = None) -> list[Entry] | None:
    """``metadata.managedFields`` with the tools' shares merged into ours; None where they have none.

    ``applied`` is what a (dry-run) apply of our manifest makes of ``live``. List items that it drops and
    that others write in are left out of the merge: they would go with the others' fields.
    """
    entries = _entries(live)
    merged = [entry for entry in entries if _is_adopted(entry, live)]
    if not merged or _is_of_another_version(live):
        return None
    ours = [entry for entry in entries if _is_ours(entry)]
    times = [str(entry["time"]) for entry in (*ours, *merged) if entry.get("time")]
    entry: Entry = {
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": live["apiVersion"],
        **({"time": max(times)} if times else {}),
        "fieldsType": "FieldsV1",
        "fieldsV1": _given_up(live, applied or live).tree(),
    }
    return [entry, *(other for other in entries if other not in merged and other not in ours)]


def adoption_patch(live: Object, applied: Object | None = None) -> Object | None:
    """A JSON merge patch that takes ``live`` over, if it is still as it was read; None for nothing to do.

    To be followed by the apply. Without it nothing is lost: the object is as before, and ours.
    """
    entries = adopt(live, applied)
    if entries is None:
        return None
    version = get_path(live, "metadata", "resourceVersion")
    meta: Object = {"resourceVersion": version, "managedFields": entries}
    if _drops_last_applied(live, live):
        meta["annotations"] = {LAST_APPLIED: None}
    return {"metadata": meta}


def claim_patch(live: Object, paths: Iterable[FieldPath]) -> Object:
    """As ``adoption_patch``; ``paths``, which lead through no list, are ours as well then, and the next apply
    takes them away."""
    entries = adopt(live) or _entries(live)
    ours = [entry for entry in entries if _is_ours(entry)]
    head = ours[0] if ours else {"manager": FIELD_MANAGER, "operation": "Apply"}
    claimed = [reduce(_inside, reversed(path), FieldSet(member=True)) for path in paths]
    entry: Entry = {
        "apiVersion": live["apiVersion"],
        **head,
        "fieldsType": "FieldsV1",
        "fieldsV1": _union([*map(_fields, ours), *claimed]).tree(),
    }
    version = get_path(live, "metadata", "resourceVersion")
    managers = [entry, *(other for other in entries if other not in ours)]
    meta: Object = {"resourceVersion": version, "managedFields": managers}
    if adopt(live) is not None and _drops_last_applied(live, live):
        meta["annotations"] = {LAST_APPLIED: None}
    return {"metadata": meta}


def predicted(applied: Object, live: Object) -> Object:
    """What the apply leaves once ``live`` is taken over, before the server fills defaults in.

    ``applied`` is the answer to a dry run of that apply as things are. What only the tools owned, and
    perhaps we before, goes; everything else stays. Defaults that the tools owned go, too, and come back:
    ``trial`` has the server tell.
    """
    if adopt(live) is None:
        return applied
    left = prune(applied, _given_up(live, applied), _kept(applied, live))
    meta = dict(left.get("metadata", {}))
    annotations = meta.get("annotations")
    if isinstance(annotations, dict) and _drops_last_applied(applied, live):
        meta["annotations"] = {key: text for key, text in annotations.items() if key != LAST_APPLIED}
    if not meta.get("annotations"):
        meta.pop("annotations", None)
    meta["managedFields"] = [entry for entry in _entries(applied) if not _is_adopted(entry, live)]
    return {**left, "metadata": meta}


def trial(live: Object, after: Object) -> list[Object]:
    """JSON Patch operations that make ``after`` of ``live``; status and the server's fields stay.

    As a dry run of it the server answers what ``predicted`` cannot know: the defaults of what went, and
    whether it may go at all. It needs no right that an apply does not need.
    """
    ops = _operations("", live, after, lambda key: key not in ("apiVersion", "kind", "metadata", "status"))
    before, meta = live.get("metadata", {}), after.get("metadata", {})
    return ops + _operations("/metadata", before, meta, lambda key: key in _WRITTEN_METADATA)


def note(live: Object, after: Object) -> str:
    """Who is taken over, and which fields go with that, for people; empty where nobody is."""
    if adopt(live) is None:
        return ""
    names = sorted({str(entry.get("manager")) for entry in _entries(live) if _is_adopted(entry, live)})
    gone = [change.path for change in diff(live, after) if change.op == "remove"]
    more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
    what = f"; removes what the manifest lacks: {', '.join(gone[:_SHOWN])}{more}" if gone else ""
    return f"takes the object over from {', '.join(names)} for good{what}"


# --- whose entries


def _entries(obj: Object) -> list[Entry]:
    entries = get_path(obj, "metadata", "managedFields")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _is_ours(entry: Mapping[str, Json]) -> bool:
    own = entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"
    return own and not entry.get("subresource")


def _is_adopted(entry: Mapping[str, Json], live: Object) -> bool:
    """Of a tool, and about the object as it was read: paths of another version may mean nothing in it."""
    return (
        is_tool(str(entry.get("manager") or ""))
        and entry.get("operation") in ("Update", "Apply")
        and not entry.get("subresource")
        and entry.get("apiVersion") == live.get("apiVersion")
    )


def _is_of_another_version(live: Object) -> bool:
    return any(_is_ours(e) and e.get("apiVersion") != live.get("apiVersion") for e in _entries(live))


# --- whose fields


def _given_up(live: Object, applied: Object) -> FieldSet:
    """What we and the tools own of ``live``, but for what would take others' fields away with it."""
    entries = _entries(live)
    shares = [_without_last_applied(_fields(entry)) for entry in entries if _is_adopted(entry, live)]
    shares += [_fields(entry) for entry in entries if _is_ours(entry)]
    ours = [_fields(entry) for entry in _entries(applied) if _is_ours(entry)]
    return _spare(_union(shares), _others(applied, live), _union(ours))


def _kept(applied: Object, live: Object) -> FieldSet:
    """What somebody owns after the apply: we by our manifest, and everyone who is no tool."""
    ours = [_fields(entry) for entry in _entries(applied) if _is_ours(entry)]
    return _union([*ours, _others(applied, live)])


def _others(obj: Object, live: Object) -> FieldSet:
    entries = _entries(obj)
    return _union([_fields(e) for e in entries if not _is_ours(e) and not _is_adopted(e, live)])


def _spare(mine: FieldSet, others: FieldSet, ours: FieldSet) -> FieldSet:
    """``mine`` without the nodes that hold fields of others and are not theirs.

    The server would take such a list item, or key of a map, away with all that is in it.
    """
    children = {}
    for key, child in mine.children.items():
        foreign = others.children.get(key, _NOTHING)
        if foreign and key.startswith("k:") and key not in ours.children:
            continue
        spared = child
        if foreign:
            inner = _spare(child, foreign, ours.children.get(key, _NOTHING))
            spared = FieldSet(child.member and foreign.member, inner.children)
        if spared:
            children[key] = spared
    return FieldSet(mine.member, children)


def _without_last_applied(fields: FieldSet) -> FieldSet:
    """The annotation goes by itself; a node of annotations that holds no other one would take those along."""
    path = ("f:metadata", "f:annotations", f"f:{LAST_APPLIED}")
    return _without(fields, path)


def _without(fields: FieldSet, path: tuple[str, ...]) -> FieldSet:
    child = fields.children.get(path[0])
    if child is None:
        return fields
    rest = {key: other for key, other in fields.children.items() if key != path[0]}
    inner = _without(child, path[1:]) if path[1:] else _NOTHING
    return FieldSet(fields.member, {**rest, path[0]: inner} if inner.children else rest)


def _drops_last_applied(obj: Object, live: Object) -> bool:
    holders = _others(obj, live)
    for step in ("f:metadata", "f:annotations", f"f:{LAST_APPLIED}"):
        holders = holders.children.get(step, _NOTHING)
    return get_path(obj, "metadata", "annotations", LAST_APPLIED) is not None and not holders


def _fields(entry: Mapping[str, Json]) -> FieldSet:
    tree = entry.get("fieldsV1")
    return FieldSet.parse(tree) if isinstance(tree, dict) and tree else _NOTHING


def _inside(fields: FieldSet, step: str | int) -> FieldSet:
    return FieldSet(children={f"f:{step}": fields})


def _union(sets: list[FieldSet]) -> FieldSet:
    return reduce(FieldSet.union, sets, _NOTHING)


# --- a patch that only a dry run sends

_WRITTEN_METADATA: Final = frozenset({"labels", "annotations", "finalizers", "ownerReferences"})


def _operations(
    below: str, before: Mapping[str, Json], after: Mapping[str, Json], counts: Callable[[str], bool]
) -> list[Object]:
    ops: list[Object] = []
    for key in sorted(filter(counts, before.keys() | after.keys())):
        if key not in after:
            ops.append({"op": "remove", "path": f"{below}/{key}"})
        elif before.get(key) != after[key] or key not in before:
            ops.append({"op": "add", "path": f"{below}/{key}", "value": after[key]})
    return ops
