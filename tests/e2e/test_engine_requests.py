"""How much a run asks of the API server: nothing is written without need, and reads go by kinds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.audit import Audit, Request, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.failures import workload
from tests.e2e.live import until
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
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, tuple[Witness, list[Request]]]:
    """Few and many objects of the same kinds, deployed; then deployed again, with nothing to do. With what
    the first deploy asked for."""

    def story(size: int) -> Callable[[], tuple[Witness, list[Request]]]:
        def deploy() -> tuple[Witness, list[Request]]:
            witness = audit.watch(make_repo(create=True))
            _write(witness, size)
            first = witness.deploy()
            assert first.code == 0, str(first)
            asked = witness.requests
            again = witness.deploy()
            assert again.code == 0, str(again)
            return witness, asked

        return deploy

    return tell({name: story(size) for name, size in SIZES.items()})


@pytest.fixture(scope="module")
def settled(told: dict[str, tuple[Witness, list[Request]]]) -> dict[str, Witness]:
    """As they are after the second deploy."""
    return {name: run for name, (run, _) in told.items()}


@pytest.fixture(scope="module")
def first(told: dict[str, tuple[Witness, list[Request]]]) -> dict[str, list[Request]]:
    """What the first deploy asked for."""
    return {name: asked for name, (_, asked) in told.items()}


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
def test_a_new_object_costs_one_trial_and_one_write_and_the_trials_come_first(
    first: dict[str, list[Request]], size: str
) -> None:
    objects = NAMESPACES * 3 * SIZES[size] + NAMESPACES - 1
    tried = [r for r in first[size] if r.is_dry_run]
    written = [r for r in first[size] if r.is_write and not r.is_own]
    assert len(written) == objects
    # In namespaces that are to come, all ConfigMaps here are alike but for names and namespaces, all
    # ServiceAccounts, too, and of the Services those of one number.
    there, alike = 3 * SIZES[size], 1 + 1 + SIZES[size]
    assert len(tried) == there + (NAMESPACES - 1) + alike
    assert {r.verb for r in written} == {"patch"}
    assert max(r.at for r in tried) < min(r.at for r in written)


def test_what_else_a_deploy_asks_goes_by_kinds_and_not_by_objects(first: dict[str, list[Request]]) -> None:
    def others(size: str) -> list[str]:
        """But for the pods that are looked for by every selector which selects none of the set."""
        asked = [r for r in first[size] if not (r.is_dry_run or r.is_write or r.is_own)]
        return sorted(f"{r.verb} {r.resource}" for r in asked if r.verb != "watch" and r.resource != "pods")

    assert others("many") == others("few")
    questions = [one for one in others("many") if one == "create selfsubjectaccessreviews"]
    assert len(questions) == 2 * 4, "two verbs for each of four kinds, asked once for all namespaces"


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


QUOTA = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: bounds}
spec: {hard: {configmaps: "50"}}
"""


def test_where_only_a_status_moved_nothing_is_asked_of_the_object(make_repo: MakeRepo, audit: Audit) -> None:
    """A ResourceQuota has no generation that would tell."""
    run = audit.watch(make_repo(create=True))
    repo = run.repo
    repo.environment()
    repo.manifest("quota.yaml", QUOTA)
    repo.commit()
    repo.deployed()
    version = repo.get("resourcequotas", "bounds")["metadata"]["resourceVersion"]
    repo.kubectl("create", "configmap", "theirs")
    until(lambda: repo.get("resourcequotas", "bounds")["metadata"]["resourceVersion"] != version)
    again = run.deploy()
    assert (again.code, run.all_writes) == (0, []), str(again)
    assert [r for r in run.requests if r.is_dry_run] == []
    bounds = '{"spec": {"hard": {"configmaps": "40"}}}'
    repo.kubectl("patch", "resourcequota/bounds", "--type=merge", f"--patch={bounds}")
    back = run.deploy()
    assert (back.code, run.written) == (0, ["resourcequotas/bounds"]), str(back)
    assert repo.get("resourcequotas", "bounds")["spec"]["hard"] == {"configmaps": "50"}


def test_a_rollout_is_followed_by_kinds_and_namespaces_and_not_by_objects(
    make_repo: MakeRepo, audit: Audit
) -> None:
    def watches(size: int) -> list[Request]:
        run = audit.watch(make_repo(create=True))
        run.repo.environment("allow: {clusterScoped: [Namespace], namespaces: [$NS, $NS-1]}")
        parts = ["apiVersion: v1\nkind: Namespace\nmetadata: {name: $NS-1}\n"]
        for namespace in ("$NS", "$NS-1"):
            for number in range(size):
                named = f"metadata: {{name: web-{number}, namespace: {namespace}}}"
                parts.append(workload().replace("metadata: {name: web}", named, 1))
        run.repo.manifest("all.yaml", "---\n".join(parts))
        run.repo.commit()
        result = run.deploy()
        assert result.code == 0, str(result)
        return [r for r in run.requests if r.verb == "watch"]

    def places(found: list[Request]) -> list[tuple[str, bool]]:
        """Each kind that is watched, and whether in the environment's own namespace."""
        return sorted((r.resource, r.namespace.endswith("-1")) for r in found)

    told = tell({size: lambda size=size: watches(size) for size in (1, 6)})

    assert places(told[6]) == places(told[1])
    assert len(set(places(told[6]))) == len(told[6]), "each once"
    assert {"deployments", "pods"} <= {r.resource for r in told[6]}
    for request in told[6]:
        assert request.asks["allowWatchBookmarks"] == ["true"]
        assert int(request.asks["resourceVersion"][0]) > 0  # that of the list before it
