"""Deleting what the repository no longer has: in the right order, never too much, and never in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import line_of, until
from tests.e2e.manifests import SETTINGS, WEB, config_map
from tests.e2e.stories import tell
from tests.e2e.test_engine_order import needs, noted
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FOLDER = "environments/dev/manifests"
STAYS = config_map("stays")
PROTECTED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $APP, namespace: kube-public}\n"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
RIGHTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default}]
"""


@dataclass(frozen=True)
class Told:
    """The deploy after the files were removed."""

    run: Witness
    result: Result

    def has(self, path: str, name: str, namespace: str = "") -> bool:
        live = self.run.repo.get(path, name, namespace)
        return live is not None and "deletionTimestamp" not in live["metadata"]

    @property
    def deleted(self) -> list[str]:
        """``configmaps/settings``, as the requests came in."""
        return [r.what for r in self.run.writes if r.verb == "delete"]

    def change(self, name: str) -> Any:
        return next(c for c in self.result.document["plan"]["changes"] if c["object"].endswith(f"/{name}"))


@dataclass(frozen=True)
class Case:
    """What is deployed, and removed again; ``between`` happens before that, and ``coming`` is new then."""

    going: Mapping[str, str]
    between: Callable[[Workspace], object] = lambda _: None
    environment: str = ""
    coming: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, str] = field(default_factory=dict)


def _take_labels_off(repo: Workspace) -> None:
    repo.kubectl("label", "configmap/gone", "pipeline/environment-", "pipeline/application-")


def _make_anew(repo: Workspace) -> None:
    """Labels and all: only the uid tells that it is another one."""
    live = repo.get("configmaps", "gone")
    kept = {key: live["metadata"][key] for key in ("name", "labels")}
    folder, api = f"/api/v1/namespaces/{repo.namespace}/configmaps", repo.cluster.api
    api.call("DELETE", f"{folder}/gone")
    api.call("POST", folder, {**live, "metadata": kept})


def _give_to_another(repo: Workspace) -> None:
    repo.kubectl("label", "--overwrite", "configmap/gone", "pipeline/environment=prod")


def _hold(repo: Workspace) -> None:
    patch = {"metadata": {"finalizers": ["example.com/hold"]}}
    repo.kubectl("patch", "configmap/gone", "--type=merge", "--patch", json.dumps(patch))


def _group(name: str) -> str:
    return f"kapp.k14s.io/change-group: shop/{name}"


def _rule(text: str) -> str:
    return f"kapp.k14s.io/change-rule: {text}"


def _wave(number: int) -> str:
    return f'argocd.argoproj.io/sync-wave: "{number}"'


def _maps(**notes: tuple[str, ...]) -> dict[str, str]:
    """A ConfigMap a file, with its annotations."""
    return {f"{name}.yaml": noted("ConfigMap", name, *of) for name, of in notes.items()}


KEEPING = {
    "own": "pipeline/prune: keep",
    "helm": "helm.sh/resource-policy: keep",
    "argo": "argocd.argoproj.io/sync-options: SkipDryRunOnMissingResource=true,Prune=false",
    "argo-delete": "argocd.argoproj.io/sync-options: Delete=false",
    "kapp": "kapp.k14s.io/delete-strategy: orphan",
    "flux": "kustomize.toolkit.fluxcd.io/prune: disabled",
    "cli-utils": "cli-utils.sigs.k8s.io/on-remove: keep",
    "kpt": "client.lifecycle.config.k8s.io/deletion: detach",
    "kluctl": 'kluctl.io/skip-delete: "true"',
}
"""What people of each tool write so that an object stays."""


def _noted(name: str, annotation: str) -> str:
    return config_map(name).replace(
        f"metadata: {{name: {name}}}", f"metadata:\n  name: {name}\n  annotations:\n    {annotation}"
    )


REFUSING = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: $NS}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NS}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [DELETE], resources: [configmaps]}]
  validations: [{expression: "has(request.dryRun) && request.dryRun", message: nothing goes from here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: $NS}
spec: {policyName: $NS, validationActions: [Deny]}
"""
"""What no dry run foretells: the deletion itself is refused."""


def _refuse_deletions(repo: Workspace) -> None:
    """In effect when this returns."""
    repo.kubectl("apply", "-f", "-", stdin=REFUSING.replace("$NS", repo.namespace))
    until(lambda: not _can_delete(repo), "for the policy")


def _allow_deletions(repo: Workspace) -> None:
    """As ``_refuse_deletions``."""
    repo.kubectl("delete", "-f", "-", stdin=REFUSING.replace("$NS", repo.namespace))
    until(lambda: _can_delete(repo), "for the policy's end")


def _can_delete(repo: Workspace) -> bool:
    folder, api = f"/api/v1/namespaces/{repo.namespace}/configmaps", repo.cluster.api
    with suppress(HTTPError):
        api.call("POST", folder, {"metadata": {"name": "probe"}})
    try:
        api.call("DELETE", f"{folder}/probe")
    except HTTPError:
        return False
    return True


GONE = {"gone.yaml": config_map("gone")}
RULES = _maps(
    a=(_rule("delete after deleting shop/db"),),
    m=(_group("db"),),
    o=(_group("db"),),
    z=(_rule("delete before deleting shop/db"),),
)
BEFORE_ITS_USER = {
    "settings.yaml": SETTINGS.replace(
        "name: settings", f"name: settings\n  annotations: {{{_rule('delete before deleting shop/web')}}}"
    ),
    "web.yaml": WEB.replace("name: web\n", f"name: web\n  annotations: {{{_group('web')}}}\n", 1),
}
OLD_ANNOTATIONS = {
    **_maps(a=(), z=(needs("/ConfigMap/$NS/a"),)),
    **_maps(b=(), x=(needs("/namespaces/$NS/ConfigMap/b", "config.kubernetes.io/depends-on"),)),
}
CONTRADICTION = _maps(
    one=(_group("one"), _rule("delete after deleting shop/other")),
    other=(_group("other"), _rule("delete after deleting shop/one")),
)
CASES = {
    "users first": Case({"settings.yaml": SETTINGS, "web.yaml": WEB, "s.yaml": SERVICE, "r.yaml": RIGHTS}),
    "labels taken off": Case(GONE, _take_labels_off),
    "given to another": Case(GONE, _give_to_another),
    "made anew": Case(GONE, _make_anew),
    "protected namespace": Case(
        {"p.yaml": PROTECTED, **GONE}, environment='allow: {namespaces: ["*"]}'
    ),
    "held": Case(GONE, _hold, spec={"deploy": "{timeout: 3s}"}),
    "rules": Case(RULES),
    "before its user": Case(BEFORE_ITS_USER),
    "dependents": Case(OLD_ANNOTATIONS),
    "sync waves": Case(_maps(a=(_wave(-1),), b=(), c=(_wave(2),))),
    "after what is held": Case(
        {
            **_maps(gone=(_group("db"),), after=(_rule("delete after deleting shop/db"),), other=()),
        },
        _hold,
        spec={"deploy": "{timeout: 3s}"},
    ),
    "contradiction": Case(CONTRADICTION),
    "before a write": Case(
        _maps(old=(_group("db"),)), coming=_maps(new=(_rule("upsert after deleting shop/db"),))
    ),
    "kept": Case({f"{name}.yaml": _noted(name, note) for name, note in KEEPING.items()} | GONE),
    "refused": Case(GONE, _refuse_deletions),
    "refused for good": Case(GONE, _refuse_deletions, "rollback: {auto: false}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def story(case: Case) -> Callable[[], Told]:
        def deploy() -> Told:
            repo = make_repo(create=True)
            witness = audit.watch(repo)
            repo.environment(f"prune: {{maxPercent: 100}}\n{case.environment}", **case.spec)
            for name, text in {"stays.yaml": STAYS, **case.going}.items():
                repo.manifest(name, text)
            repo.commit()
            repo.deployed()
            case.between(repo)
            for name in case.going:
                repo.remove(f"{FOLDER}/{name}")
            for name, text in case.coming.items():
                repo.manifest(name, text)
            repo.commit()
            return Told(witness, witness.deploy())

        return deploy

    return tell({name: story(case) for name, case in CASES.items()})


def test_users_are_deleted_before_what_they_use(told: dict[str, Told]) -> None:
    story = told["users first"]
    assert story.result.code == 0, str(story.result)
    deleted = story.deleted
    rights = ["rolebindings/reader", "roles/reader"]
    assert sorted(deleted) == ["configmaps/settings", "deployments/web", *rights, "services/web"]
    order = {what: place for place, what in enumerate(deleted)}
    assert order["rolebindings/reader"] < order["roles/reader"]
    assert order["deployments/web"] < order["configmaps/settings"]
    assert story.has("configmaps", "stays")


def test_what_lost_our_labels_is_kept_and_said_so(told: dict[str, Told]) -> None:
    story = told["labels taken off"]
    assert story.result.code == 0, str(story.result)
    assert story.has("configmaps", "gone")
    assert story.change("gone")["action"] == "keep"
    assert "labels" in story.result.output


def test_what_belongs_to_another_environment_by_now_is_kept_and_said_so(told: dict[str, Told]) -> None:
    story = told["given to another"]
    assert story.result.code == 0, str(story.result)
    assert story.has("configmaps", "gone")
    assert "prod" in story.result.output


def test_what_somebody_made_anew_is_not_ours_to_delete(told: dict[str, Told]) -> None:
    story = told["made anew"]
    assert story.result.code == 0, str(story.result)
    assert story.has("configmaps", "gone")
    assert [r.what for r in story.run.writes if r.verb == "delete"] == []


def test_nothing_is_deleted_in_a_namespace_of_the_cluster(told: dict[str, Told]) -> None:
    story = told["protected namespace"]
    application = story.run.repo.application
    try:
        assert story.result.code == 0, str(story.result)
        assert story.has("configmaps", application, "kube-public")
        assert not story.has("configmaps", "gone")
        assert story.change(application)["action"] == "keep"
    finally:
        story.run.repo.kubectl("-n", "kube-public", "delete", "configmap", application)


def test_what_a_finalizer_holds_is_warned_of_and_deleted_by_a_later_run(told: dict[str, Told]) -> None:
    story = told["held"]
    repo = story.run.repo
    assert story.result.code == 0, str(story.result)
    (warning,) = story.result.document["warnings"]
    assert "example.com/hold" in warning
    assert "/gone" in warning
    assert {a["object"].rpartition("/")[2]: a["result"] for a in story.result.document["applied"]}[
        "gone"
    ] == "left"
    assert repo.get("configmaps", "gone") is not None

    again = story.run.deploy()
    assert again.code == 0, str(again)
    assert any("example.com/hold" in text for text in again.document["warnings"]), "it was forgotten"

    repo.kubectl("patch", "configmap/gone", "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    until(lambda: repo.get("configmaps", "gone") is None)
    last = story.run.deploy()
    assert (last.code, last.document["warnings"]) == (0, []), str(last)


def test_change_rules_of_what_was_removed_order_its_deletion(told: dict[str, Told]) -> None:
    story = told["rules"]
    assert (story.result.code, story.result.document["warnings"]) == (0, []), str(story.result)
    first, *group, last = (what.rpartition("/")[2] for what in story.deleted)
    assert (first, sorted(group), last) == ("z", ["m", "o"], "a")


def test_a_change_rule_wins_over_a_reference(told: dict[str, Told]) -> None:
    assert told["before its user"].deleted == ["configmaps/settings", "deployments/web"]


def test_dependents_are_deleted_before_what_they_declared_to_need(told: dict[str, Told]) -> None:
    order = [what.rpartition("/")[2] for what in told["dependents"].deleted]
    assert sorted(order[:2]) == ["x", "z"]
    assert sorted(order[2:]) == ["a", "b"]


def test_sync_waves_are_deleted_from_the_last_to_the_first(told: dict[str, Told]) -> None:
    assert told["sync waves"].deleted == ["configmaps/c", "configmaps/b", "configmaps/a"]


def test_what_is_to_go_after_a_held_object_waits_for_the_run_in_which_that_is_gone(
    told: dict[str, Told],
) -> None:
    story = told["after what is held"]
    repo = story.run.repo
    assert story.result.code == 0, str(story.result)
    assert sorted(story.deleted) == ["configmaps/gone", "configmaps/other"]
    held, waiting = story.result.document["warnings"]
    assert "example.com/hold" in held
    assert f"/ConfigMap/{repo.namespace}/after: not sent, as" in waiting
    assert story.has("configmaps", "after")

    repo.kubectl("patch", "configmap/gone", "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    until(lambda: repo.get("configmaps", "gone") is None)
    last = story.run.deploy()
    assert (last.code, last.document["warnings"]) == (0, []), str(last)
    assert story.deleted == ["configmaps/after"]


def test_rules_that_contradict_each_other_are_told_and_block_no_deploy(told: dict[str, Told]) -> None:
    story = told["contradiction"]
    assert story.result.code == 0, str(story.result)
    assert sorted(story.deleted) == ["configmaps/one", "configmaps/other"]
    (warning,) = story.result.document["warnings"]
    for name in ("one", "other"):
        assert f"{FOLDER}/{name}.yaml:1" in warning
        assert f"kapp.k14s.io/change-rule of /ConfigMap/{story.run.repo.namespace}/{name}" in warning


def test_a_rule_that_asks_for_a_deletion_before_a_write_is_told_with_its_line(told: dict[str, Told]) -> None:
    story = told["before a write"]
    repo = story.run.repo
    line = line_of((repo.folder / FOLDER / "new.yaml").read_text(), "upsert after deleting")
    assert story.result.code == 0, str(story.result)
    assert story.run.written == ["configmaps/new", "configmaps/old"]
    (warning,) = story.result.document["warnings"]
    assert warning.startswith(f"{FOLDER}/new.yaml:{line}: ")
    assert f"/ConfigMap/{repo.namespace}/old is deleted after" in warning

    validated = repo.run("-o", "json", "validate")
    assert validated.code == 0, "a warning is no error"
    (problem,) = validated.document["problems"]
    assert (problem["file"], problem["line"]) == (f"{FOLDER}/new.yaml", line)
    assert problem["code"] == "change-rule-not-followed"


def test_what_a_failed_release_made_goes_by_its_rules_too(make_repo: MakeRepo, audit: Audit) -> None:
    repo = make_repo(create=True)
    witness = audit.watch(repo)
    repo.environment("rollout: {grace: {restarts: 0}}")
    repo.manifest("stays.yaml", STAYS)
    repo.commit()
    repo.deployed()
    for name, text in {**RULES, "bad.yaml": noted("Deployment", "bad", mode="crash")}.items():
        repo.manifest(name, text)
    repo.commit()
    result = witness.deploy()
    assert result.code == 10, str(result)
    deleted = [r.what for r in witness.writes if r.verb == "delete"]
    first, *group, last = (what for what in deleted if what.startswith("configmaps/"))
    assert (first, sorted(group), last) == ("configmaps/z", ["configmaps/m", "configmaps/o"], "configmaps/a")


@pytest.mark.parametrize("name", KEEPING)
def test_what_any_tool_was_told_to_keep_is_kept_and_said_so(told: dict[str, Told], name: str) -> None:
    story = told["kept"]
    assert story.result.code == 0, str(story.result)
    assert story.has("configmaps", name)
    assert not story.has("configmaps", "gone")
    assert story.change(name)["action"] == "keep"
    (note,) = [line for line in story.result.stderr.splitlines() if f"/{name}: left in the cluster" in line]
    assert KEEPING[name].partition(":")[0] in note


@pytest.mark.parametrize(("name", "code"), [("refused", 10), ("refused for good", 11)])
def test_what_could_not_be_deleted_is_named_and_deleted_by_a_later_run(
    told: dict[str, Told], name: str, code: int
) -> None:
    story = told[name]
    repo = story.run.repo
    assert story.result.code == code, str(story.result)
    (cause,) = story.result.document["causes"]
    assert cause["object"].endswith("/gone")
    assert "nothing goes from here" in cause["message"]
    assert repo.get("configmaps", "gone") is not None

    _allow_deletions(repo)
    again = story.run.deploy()
    assert again.code == 0, str(again)
    assert [r.what for r in story.run.writes if r.verb == "delete"] == ["configmaps/gone"]
    assert repo.get("configmaps", "gone") is None


def test_an_object_of_another_environment_is_refused(make_repo: MakeRepo, audit: Audit) -> None:
    repo = make_repo(create=True)
    witness = audit.watch(repo)
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.environment(name="prod", namespace=repo.namespace)
    repo.manifest("settings.yaml", SETTINGS, "prod")
    repo.commit()
    assert repo.run("deploy", "-e", "prod").code == 0
    result = witness.deploy()
    assert result.code == 21, str(result)
    (problem,) = result.document["problems"]
    assert "prod" in problem["message"]
    assert (problem["file"], problem["line"]) == (f"{FOLDER}/settings.yaml", 1)
    assert witness.all_writes == []
