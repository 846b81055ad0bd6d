"""An API server that stumbles over every kind of request: the deploy gets there; nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audit import Audit
from tests.e2e.conftest import MakeRepo
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Result
from tests.fault.faults import Exchange, Fault, Refuse, ResetAfter, ResetBefore, Slow, Truncated
from tests.fault.proxy import FaultyServer, Rule

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

AT_ONCE = 5  # who is refused mostly waits

FAULTS: dict[str, Fault] = {
    "429 with Retry-After": Refuse(429, "TooManyRequests", headers={"Retry-After": "1"}),
    "429 without": Refuse(429, "TooManyRequests"),
    "500 of etcd": Refuse(500, "", "etcdserver: leader changed"),
    "500 within": Refuse(500, "InternalError", "Internal error occurred: something"),
    "502": Refuse(502),
    "503": Refuse(503, "ServiceUnavailable", "apiserver is shutting down", headers={"Retry-After": "1"}),
    "504": Refuse(504, "Timeout", "request did not complete within the allotted timeout"),
    "401 once": Refuse(401, "Unauthorized"),
    "lost on its way": ResetBefore(),
    "lost on its way back": ResetAfter(),
    "cut short on its way back": Truncated(),
    "slow": Slow(2.0),
}

Places = dict[str, dict[str, Any]]
"""Which requests are hit, by what people call them."""

FIRST: Places = {
    "the lock's creation": {"verb": "create", "resource": "leases"},
    "a question for rights": {"verb": "create", "resource": "selfsubjectaccessreviews"},
    "a trial": {"verb": "patch", "resource": "configmaps", "dry_run": True, "first": 2},
    "a creation": {"verb": "patch", "resource": "configmaps", "first": 2},
    "a record's part": {"verb": "create", "resource": "secrets", "first": 1},
    "a record's head": {"verb": "create", "resource": "secrets", "first": 3},
    "a change of a record": {"verb": "update", "resource": "secrets"},
}
SECOND: Places = {
    "the namespace": {"verb": "get", "resource": "namespaces"},
    "an object": {"verb": "get", "resource": "configmaps", "first": 2},
    "the records": {"verb": "list", "resource": "secrets"},
    "taking the lock": {"verb": "update", "resource": "leases"},
    "giving the lock up": {"verb": "update", "resource": "leases", "first": 2},
    "a change": {"verb": "patch", "resource": "configmaps"},
    "a deletion's trial": {"verb": "delete", "resource": "configmaps", "dry_run": True},
    "a deletion": {"verb": "delete", "resource": "configmaps"},
    "the last change of a record": {"verb": "update", "resource": "secrets", "first": 2},
    "tidying the records": {"verb": "delete", "resource": "secrets"},
}
"""What is asked in a first deploy, and what in one that changes and deletes; each is hit once."""


WRITE: Places = {"a change": {"verb": "patch", "resource": "configmaps", "times": 2}}
PASSING: dict[str, Fault] = {
    "a namespace that is just ending": Refuse(
        403,
        "Forbidden",
        "unable to create new content in namespace because it is being terminated",
        details={"causes": [{"reason": "NamespaceTerminating"}]},
    ),
    "a webhook that nobody serves yet": Refuse(
        500, "InternalError", 'failed calling webhook "w.example.com": dial tcp: connect: connection refused'
    ),
    "a quota that another write has just changed": Refuse(
        409, "Conflict", "please apply your changes again", details={"kind": "resourcequotas", "name": "q"}
    ),
    "a kind that is not served yet": Refuse(404, "NotFound", "the server could not find the resource"),
    "another write at the same moment": Refuse(409, "Conflict", "the object has been modified"),
}
"""What only writes of a plan wait for that was accepted: it is mostly what the same plan is bringing up."""


@dataclass(slots=True)
class Told:
    """Both deploys under one fault, what was written, and what is there then."""

    results: list[Result]
    unmet: list[str]
    written: list[str]
    data: dict[str, Any]
    lease_holder: str


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    def story(fault: Fault, *places: Places) -> Callable[[], Told]:
        return lambda: deploys(make_repo, audit, tmp_path_factory.mktemp("proxy"), fault, *places)

    anywhere = {name: story(fault, FIRST, SECOND) for name, fault in FAULTS.items()}
    return tell(anywhere | {name: story(fault, {}, WRITE) for name, fault in PASSING.items()}, AT_ONCE)


def deploys(
    make_repo: MakeRepo, audit: Audit, folder: Path, fault: Fault, first: Places, second: Places
) -> Told:
    repo = make_repo(create=True)
    witness = audit.watch(repo)
    repo.environment(deploy="{timeout: 60s}")
    results, unmet, written = [], [], []
    with FaultyServer(repo.cluster, folder) as faulty:
        repo.environ["KUBECONFIG"] = str(faulty.kubeconfig(repo.cluster.token_of(witness.user)))
        for places, objects in ((first, {"a": "1", "b": "1", "c": "1"}), (second, {"a": "1", "b": "2"})):
            for name in "abc":
                if name in objects:
                    repo.manifest(f"{name}.yaml", config_map(name, value=objects[name]))
                else:
                    repo.remove(f"environments/dev/manifests/{name}.yaml")
            repo.commit()
            rules = meeting(faulty, fault, places)
            results.append(witness.deploy())
            unmet += [place for place, rule in rules.items() if not rule.met]
            written += witness.written
    live = {item["metadata"]["name"]: item.get("data") for item in repo.get("configmaps")["items"]}
    lease = repo.get("coordination.k8s.io/v1/leases", f"pipeline.{repo.application}.dev")
    return Told(
        results, unmet, written, {name: live.get(name) for name in "abc"}, lease["spec"]["holderIdentity"]
    )  # fmt: skip


def meeting(faulty: FaultyServer, fault: Fault, places: Places) -> dict[str, Rule]:
    faulty.rules.clear()
    return {place: faulty.does(fault, **where) for place, where in places.items()}


@pytest.mark.parametrize("fault", [*FAULTS, *PASSING])
def test_every_request_met_it_and_both_deploys_succeed(fault: str, told: dict[str, Told]) -> None:
    story = told[fault]
    assert [result.code for result in story.results] == [0, 0], "\n".join(map(str, story.results))
    assert story.unmet == []


@pytest.mark.parametrize("fault", [*FAULTS, *PASSING])
def test_what_is_there_then_is_what_was_wanted(fault: str, told: dict[str, Told]) -> None:
    story = told[fault]
    assert story.data == {"a": {"value": "1"}, "b": {"value": "2"}, "c": None}
    assert story.lease_holder == "", "the lock was not given up"


@pytest.mark.parametrize("fault", [*FAULTS, *PASSING])
def test_a_write_is_sent_again_only_where_it_may_have_been_lost(fault: str, told: dict[str, Told]) -> None:
    """Three creations, one change, one deletion; a request that reached the server counts there each time."""
    again = fault in ("lost on its way back", "cut short on its way back")
    story = told[fault]
    assert sorted(set(story.written)) == ["configmaps/a", "configmaps/b", "configmaps/c"]
    assert len(story.written) == 5 + (3 if again else 0)


# --- a write that meets another one


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody else's write comes first, and the request is turned away for that."""

    write: Callable[[], object]

    def answer(self, exchange: Exchange) -> None:
        self.write()
        Refuse(409, "Conflict", "the object has been modified").answer(exchange)


@pytest.mark.parametrize(
    ("theirs", "code", "data"),
    [
        pytest.param('{"metadata": {"labels": {"theirs": "1"}}}', 0, {"value": "2"}, id="beside ours"),
        pytest.param('{"data": {"value": null}}', 11, None, id="what was to change"),
    ],
)
def test_after_another_write_it_goes_on_only_where_the_change_is_the_planned_one(
    make_repo: MakeRepo, audit: Audit, tmp_path: Path, theirs: str, code: int, data: Any
) -> None:
    repo = make_repo(create=True)
    witness = audit.watch(repo)
    repo.environment("rollback: {auto: false}")
    repo.manifest("a.yaml", config_map("a", value="1"))
    repo.commit()
    repo.deployed()
    repo.manifest("a.yaml", config_map("a", value="2"))
    repo.commit()

    def write() -> None:
        repo.cluster.api.call(
            "PATCH",
            f"/api/v1/namespaces/{repo.namespace}/configmaps/a?fieldManager=a-controller",
            json.loads(theirs),
            "application/merge-patch+json",
        )

    with FaultyServer(repo.cluster, tmp_path) as faulty:
        repo.environ["KUBECONFIG"] = str(faulty.kubeconfig(repo.cluster.token_of(witness.user)))
        rule = faulty.does(Overtaken(write), verb="patch", resource="configmaps")
        result = witness.deploy()

    assert rule.met
    assert result.code == code, str(result)
    assert repo.get("configmaps", "a").get("data") == data
    if code:
        (cause,) = result.document["causes"]
        assert "no longer as it was when this was planned" in cause["message"]
        assert witness.written == []
