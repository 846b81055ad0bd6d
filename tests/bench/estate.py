"""The set of the engine's comparison: whole namespaces, 41 objects in each.

25 of them are 1,025 objects, enough that requests count and start-up does not, and few enough that
250 pods come up on two cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.bench import fleet

NAMESPACES = 25
CHANGED = 10  # Deployments, each in a namespace of its own

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {ns}\n"
ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: account-{n}\n"

# (file name, template, how many a namespace). kubectl takes files by name, and needs Namespaces first.
KINDS = (
    ("00-namespace", NAMESPACE, 1),
    ("account", ACCOUNT, 5),
    ("secret", fleet.SECRET, 5),
    ("settings", fleet.CONFIG_MAP, 10),
    ("service", fleet.SERVICE, 10),
    ("deployment", fleet.DEPLOYMENT, 10),
)
PER_NAMESPACE = sum(count for _, _, count in KINDS)
DEPLOYMENTS_PER_NAMESPACE = 10

# What is taken from the fleet names the Secret of its own number, and says how long a slow pod takes.
_EDITS = (
    ("annotations: {pipeline.test/delay: 200ms}", 'annotations: {release: "RELEASE"}'),
    (
        "    spec:\n      containers:",
        "    spec:\n      serviceAccountName: account-SHARED\n      containers:",
    ),
    ("{name: access-NUMBER, key", "{name: access-SHARED, key"),
)


def namespaces(count: int = NAMESPACES) -> list[str]:
    """Their names, in the order of the files."""
    return [f"bench-{number:04}" for number in range(count)]


def files(count: int = NAMESPACES, *, changed: bool = False) -> Iterator[tuple[str, str]]:
    """(path, text) of every object, one a file; ``changed`` means the second state of the repository."""
    for place, namespace in enumerate(namespaces(count)):
        for word, template, many in KINDS:
            for n in range(many):
                is_second = changed and word == "deployment" and n == 0 and place < CHANGED
                text = _object(template, namespace, n, "2" if is_second else "1")
                yield f"{namespace}/{word}-{n}.yaml", text


def changed_files(count: int = NAMESPACES, *, changed: bool) -> dict[str, str]:
    """Only the files that differ between the two states."""
    first = dict(files(min(count, CHANGED)))
    second = dict(files(min(count, CHANGED), changed=True))
    return {path: (second if changed else first)[path] for path in first if first[path] != second[path]}


def write(folder: Path, contents: Iterable[tuple[str, str]]) -> None:
    """Lay files below a folder."""
    for path, text in contents:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def _object(template: str, namespace: str, n: int, release: str) -> str:
    text = template.format(n=n, ns=namespace)
    if template is NAMESPACE:
        return text
    text = text.replace("metadata:\n", f"metadata:\n  namespace: {namespace}\n", 1)
    if template is not fleet.DEPLOYMENT:
        return text
    shared = str(n % 5)  # five ServiceAccounts and Secrets serve ten Deployments
    for mark, new in _EDITS:
        old = mark.replace("NUMBER", str(n))
        if old not in text:
            raise ValueError(f"the fleet's Deployment has changed: it has no {old!r}")
        text = text.replace(old, new.replace("SHARED", shared).replace("RELEASE", release))
    return text
