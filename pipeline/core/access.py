"""Which rights the writes of a plan need, and the Role that would grant those that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.model.objects import Json, Object, ResourceType, digest, get_path
from pipeline.model.plan import Action, Change

RBAC: Final = "rbac.authorization.k8s.io"
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"

VERBS: Final[Mapping[Action, tuple[str, ...]]] = {
    # A server-side apply of an object that is not there is authorised as a patch, then as a create
    # (k8s.io/apiserver/pkg/endpoints/handlers/patch.go).
    Action.CREATE: ("create", "patch"),
    Action.UPDATE: ("patch",),
    Action.RECREATE: ("create", "delete", "patch"),
    Action.DELETE: ("delete",),
    Action.KEEP: (),
}


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """One right: a verb on a resource (its plural). Without namespace: in every one, or cluster-wide."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    @property
    def kind(self) -> str:
        """``deployments.apps``, as kubectl writes it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


ResourceOf = Callable[[str, str], ResourceType | None]
"""(apiVersion, kind) → how it is served; None where the server does not know it."""


def needed(changes: Sequence[Change], resource_of: ResourceOf) -> frozenset[Access]:
    """The rights for the writes, each once whatever the number of objects.

    Not those to read what is awaited, which is done without where it is not allowed, nor those for records
    and lock, which were used by the time there is a plan.
    """
    return frozenset(by_access(changes, resource_of))


def by_access(
    changes: Sequence[Change], resource_of: ResourceOf, also: Sequence[str] = ()
) -> dict[Access, Change]:
    """``needed``, each with the first change that needs it; ``also``: verbs beside those of the writes."""
    defined = _defined(changes)
    found: dict[Access, Change] = {}
    for change in changes:
        key = (change.api_version, change.ref.kind)
        resource = (resource_of(*key) or defined.get(key)) if change.writes else None
        if resource is None:
            continue
        namespace = change.ref.namespace if resource.namespaced else ""
        for verb in (*VERBS[change.action], *also):
            found.setdefault(Access(verb, resource.group, resource.plural, namespace), change)
    return found


def _defined(changes: Iterable[Change]) -> dict[tuple[str, str], ResourceType]:
    """The kinds that the plan itself brings: the server does not know them yet."""
    found = {}
    for change in changes:
        if change.ref.kind != "CustomResourceDefinition" or change.body is None:
            continue
        spec = get_path(change.body, "spec", default={})
        group, kind, plural = (
            str(get_path(spec, *path)) for path in (("group",), ("names", "kind"), ("names", "plural"))
        )
        versions = get_path(spec, "versions")
        for entry in versions if isinstance(versions, list) else ():
            version = str(get_path(entry, "name"))
            resource = ResourceType(group, version, kind, plural, get_path(spec, "scope") != "Cluster")
            found[f"{group}/{version}", kind] = resource
    return found


# --- the Role


def rule(missing: Iterable[Access]) -> str:
    """The rules that grant it, in one line, as they would stand in a Role."""
    return ", ".join(_flow(one) for one in _rules(missing))


def role_for(missing: Iterable[Access], user: str = "") -> str:
    """What grants the rights, in one line that ``kubectl apply -f -`` takes; empty for none.

    A Role a namespace and a ClusterRole for the rest, bound to ``user`` where that is known.
    """
    objects = _objects(missing, user)
    if len(objects) > 1:
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    return json.dumps(objects[0]) if objects else ""


def role_yaml(missing: Iterable[Access], user: str = "") -> str:
    """The same objects as people write them."""
    return "---\n".join(_document(obj) for obj in _objects(missing, user))


def _objects(missing: Iterable[Access], user: str) -> list[Object]:
    by_namespace: dict[str, list[Access]] = {}
    for access in sorted(missing):
        by_namespace.setdefault(access.namespace, []).append(access)
    objects = []
    for namespace, accesses in sorted(by_namespace.items()):
        role = _role(namespace, _rules(accesses))
        objects += [role, _binding(role, user)] if user else [role]
    return objects


def _role(namespace: str, rules: list[Object]) -> Object:
    # Named after what it grants: a second one must not take the first one's rights away.
    name = f"pipeline-{digest(rules)[7:15]}"
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": {"name": name, "namespace": namespace} if namespace else {"name": name},
        "rules": rules,
    }


def _binding(role: Object, user: str) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": f"{role['kind']}Binding",
        "metadata": {**role["metadata"], "name": f"{role['metadata']['name']}-{digest(user)[7:11]}"},
        "roleRef": {"apiGroup": RBAC, "kind": role["kind"], "name": role["metadata"]["name"]},
        "subjects": [_subject(user)],
    }


def _subject(user: str) -> Object:
    namespace, colon, name = user.removeprefix(_SERVICE_ACCOUNT).partition(":")
    if user.startswith(_SERVICE_ACCOUNT) and colon:
        return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    return {"apiGroup": RBAC, "kind": "User", "name": user}


def _rules(missing: Iterable[Access]) -> list[Object]:
    """As few rules as grant exactly this: resources of a group with the same verbs share one."""
    verbs: dict[tuple[str, str, str], set[str]] = {}
    for access in missing:
        verbs.setdefault((access.group, access.resource, access.name), set()).add(access.verb)
    resources: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (group, resource, name), found in sorted(verbs.items()):
        resources.setdefault((group, name, tuple(sorted(found))), []).append(resource)
    return [
        {
            "apiGroups": [group],
            "resources": names,
            **({"resourceNames": [name]} if name else {}),
            "verbs": list(found),
        }
        for (group, name, found), names in resources.items()
    ]


# --- YAML for people: of these few shapes, strings quoted as JSON where they are not plain


def _document(obj: Object) -> str:
    lines = []
    for key, value in obj.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"  - {_flow(item)}" for item in value)]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return value if _is_plain(str(value)) else json.dumps(value)


_WORDS_OF_YAML: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _is_plain(text: str) -> bool:
    word = text.replace("-", "").replace(".", "").replace("/", "")
    return word.isascii() and word.isalnum() and text[0].isalpha() and text.lower() not in _WORDS_OF_YAML
