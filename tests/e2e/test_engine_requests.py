"""How much a run asks of the API server: nothing is written without need, and reads go by kinds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

NAMESPACES = 4
SIZES = {"few": 5, "many": 30}
"""Objects of each kind in each namespace."""

ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: $NAME}\n"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: $NAME}
spec: {selector: {app: $NAME}, ports: [{port: 80}]}
"""


@pytest.fixture(scope="module")
def settled(make_repo: MakeRepo, audit: Audit) -> dict[str, Witness]:
    """Few and many objects of the same kinds, deployed; then deployed again, with nothing to do."""

    def story(size: int) -> Callable[[], Witness]:
        def deploy() -> Witness:
            witness = audit.watch(make_repo(create=True))
            _write(witness, size)
            first = witness.deploy()
            assert first.code == 0, str(first)
            again = witness.deploy()
            assert again.code == 0, str(again)
            return witness

        return deploy

    return tell({name: story(size) for name, size in SIZES.items()})


def _write(witness: Witness, size: int) -> None:
    repo = witness.repo
    others = [f"$NS-{number}" for number in range(1, NAMESPACES)]
    repo.environment(f"allow: {{clusterScoped: [Namespace], namespaces: [$NS, {', '.join(others)}]}}")
    for namespace in ("$NS", *others):
        parts = (
            []
            if namespace == "$NS"
            else [f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"]
        )
        for number in range(size):
            for text in (config_map(f"n{number}"), ACCOUNT, SERVICE):
                named = text.replace("$NAME", f"n{number}")
                parts.append(named.replace("metadata: {", f"metadata: {{namespace: {namespace}, "))
        repo.manifest(f"{namespace.replace('$NS', 'all')}.yaml", "---\n".join(parts))
    repo.commit()


@pytest.mark.parametrize("size", SIZES)
def test_where_nothing_changed_nothing_is_written_not_even_a_lock(
    settled: dict[str, Witness], size: str
) -> None:
    assert settled[size].all_writes == []
    assert [r for r in settled[size].requests if r.is_dry_run] == []


def test_where_nothing_changed_requests_go_by_kinds_and_not_by_objects(
    settled: dict[str, Witness],
) -> None:
    asked = {name: sorted(f"{r.verb} {r.resource}" for r in settled[name].requests) for name in SIZES}
    assert asked["many"] == asked["few"]
    listed = ["list configmaps", "list serviceaccounts", "list services"]
    assert [one for one in asked["many"] if one in listed] == listed
    # Namespaces are few, and read one by one. The rest: who we are, the lock, the records.
    assert len(asked["many"]) <= len(listed) + NAMESPACES + 7, asked["many"]


def test_one_changed_object_is_one_write(settled: dict[str, Witness]) -> None:
    run = settled["many"]
    run.repo.edit(
        "environments/dev/manifests/all-2.yaml",
        "name: n7}\ndata:\n  key: 'value'",
        "name: n7}\ndata:\n  key: 'other'",
    )
    run.repo.commit()
    result = run.deploy()
    assert result.code == 0, str(result)
    assert [(r.verb, r.what, r.namespace) for r in run.writes] == [
        ("patch", "configmaps/n7", f"{run.repo.namespace}-2")
    ]
    assert len([r for r in run.requests if r.is_dry_run]) == 1
