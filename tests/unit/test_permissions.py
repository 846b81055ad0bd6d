"""What is asked of the cluster before the first write, and what is told of what it denies."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pipeline.core.access import Access
from pipeline.core.kinds import builtin
from pipeline.model.errors import ApiError, InterruptedRunError
from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Action, Change
from pipeline.run.permissions import Missing, missing_permissions
from tests.unit.sessions import session_on


class Server:
    """Answers by ``rights``, (verb, resource, namespace) with * for any; remembers what it was asked."""

    def __init__(
        self, *rights: tuple[str, str, str], answer: bool | None = False, user: str = "alice"
    ) -> None:
        self._rights, self._answer, self._user = rights, answer, user
        self.asked: list[Access] = []
        self._lock = threading.Lock()

    def lanes(self) -> int:
        return 4

    def allowed(self, access: Access) -> bool | None:
        with self._lock:
            self.asked.append(access)
        wanted = (access.verb, access.resource, access.namespace or "all")
        if any(all(r in ("*", w) for r, w in zip(right, wanted, strict=True)) for right in self._rights):
            return True
        return self._answer

    def identity(self) -> str:
        if not self._user:
            raise ApiError("who are we", status=403)
        return self._user


def ask(server: Server, *changes: Change, stopped: bool = False) -> Missing:
    return missing_permissions(session_on(server, lambda: stopped), changes, builtin)


def write(namespace: str, name: str = "n", action: Action = Action.UPDATE, **more: Any) -> Change:
    origin = Origin(f"{namespace}.yaml", len(name))
    ref = ObjectRef("", "ConfigMap", namespace, name)
    return Change(ref=ref, action=action, api_version="v1", origin=origin, **more)


def test_nothing_to_write_asks_nothing() -> None:
    server = Server()
    assert ask(server, write("a", action=Action.KEEP)) == Missing()
    assert ask(server) == Missing()
    assert server.asked == []


def test_a_right_in_every_namespace_is_asked_for_once() -> None:
    server = Server(("patch", "configmaps", "all"))
    assert not ask(server, *(write(f"n{n}") for n in range(25))).problems
    assert server.asked == [Access("patch", "", "configmaps", "")]


def test_a_right_that_we_lack_in_all_is_asked_for_in_each() -> None:
    server = Server(("patch", "configmaps", "a"))
    missing = ask(server, write("a"), write("b"))
    assert sorted(a.namespace for a in server.asked) == ["", "a", "b"]
    assert missing.accesses == {Access("patch", "", "configmaps", "b")}


def test_one_namespace_is_asked_about_at_once() -> None:
    server = Server(("patch", "configmaps", "a"))
    assert not ask(server, write("a", "x"), write("a", "y")).problems
    assert server.asked == [Access("patch", "", "configmaps", "a")]


def test_what_cannot_be_told_counts_as_allowed() -> None:
    assert ask(Server(answer=None), write("a"), write("b", action=Action.CREATE)) == Missing()


def test_there_is_one_problem_for_a_resource_with_its_verbs_its_first_line_and_its_rule() -> None:
    missing = ask(Server(), write("a", "second"), write("a", "new", Action.CREATE), write("b"))
    first, second = missing.problems
    assert first.code == "permission-missing"
    assert first.message == "alice may not create, patch configmaps in namespace a"
    assert str(first.origin) == "a.yaml:6"
    assert first.object == ObjectRef("", "ConfigMap", "a", "second")
    assert first.hint == (
        'add to a Role of it: {apiGroups: [""], resources: [configmaps], verbs: [create, patch]}'
    )
    assert second.message == "alice may not patch configmaps in namespace b"


def test_the_role_for_all_of_it_comes_along() -> None:
    missing = ask(Server(), write("a"), write("b"))
    assert missing.hint.startswith('{"apiVersion": "v1", "kind": "List"')
    assert missing.role.count("kind: RoleBinding") == 2
    assert missing.role.count("kind: User, name: alice") == 2


def test_in_a_namespace_that_the_plan_creates_only_a_cluster_role_helps() -> None:
    namespace = Change(ref=ObjectRef("", "Namespace", "", "new"), action=Action.CREATE, api_version="v1")
    missing = ask(Server(("*", "namespaces", "*")), namespace, write("new"))
    assert [p.message for p in missing.problems] == ["alice may not patch configmaps in namespace new"]
    assert "kind: ClusterRole\n" in missing.role
    assert "kind: Role\n" not in missing.role


def test_who_we_are_need_not_be_known() -> None:
    missing = ask(Server(user=""), write("a"))
    assert missing.problems[0].message.startswith("the login may not patch")
    assert "Binding" not in missing.role


def test_a_signal_stops_the_questions() -> None:
    server = Server()
    with pytest.raises(InterruptedRunError):
        ask(server, write("a"), stopped=True)
    assert server.asked == []
