"""What our API server adapter does when the server or the network stumbles."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import urllib3

from pipeline.adapters.cluster import KubeCluster
from pipeline.adapters.http import Call
from pipeline.core.kinds import builtin
from pipeline.model.errors import ApiError, InterruptedRunError, UnreachableError
from pipeline.model.objects import Object, ObjectRef
from tests.contract.fake_server import FakeClock, Login, Reply, Script, open_fake, serving, status

POD: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "demo"}}
VERSIONED: Object = {**POD, "metadata": {**POD["metadata"], "resourceVersion": "7"}}
SECRET: Object = {**POD, "kind": "Secret", "data": {"password": "aHVudGVyMg=="}}
REF = ObjectRef.of(POD)
RESET = Reply(reset=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def login() -> Login:
    return Login()


@pytest.fixture
def script() -> Iterator[Script]:
    with serving() as script:
        yield script


@pytest.fixture
def kube(script: Script, clock: FakeClock, login: Login) -> Iterator[KubeCluster]:
    kube = open_fake(script, clock, login)
    yield kube
    kube.http.connection.close()


@pytest.mark.parametrize(
    "stumble",
    [
        RESET,
        status(429, "TooManyRequests"),
        status(500, "InternalError", "etcdserver: leader changed"),
        status(502),
        status(503, "ServiceUnavailable"),
        status(504, "Timeout"),
    ],
    ids=["reset", "429", "500", "502", "503", "504"],
)
def test_what_can_do_no_harm_twice_is_repeated(kube: KubeCluster, script: Script, stumble: Reply) -> None:
    for act in (
        lambda: kube.get(REF, "v1"),
        lambda: kube.apply(POD),
        lambda: kube.delete(REF, "v1", uid="some"),
    ):
        script.requests.clear()
        script.says(stumble, stumble, Reply(body=POD))
        act()
        assert len(script.requests) == 3


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"[]", b'{"kind": '])
def test_success_without_an_object_is_no_answer(kube: KubeCluster, script: Script, body: bytes) -> None:
    """A proxy's log-in page: what can do no harm is asked again, of the rest nobody knows what was done."""
    nonsense = Reply(body=body)
    script.says(nonsense, nonsense, Reply(body=POD))
    assert kube.apply(POD)["kind"] == "Pod"

    for act in (lambda: kube.apply(POD), lambda: kube.get(REF, "v1")):
        script.requests.clear()
        script.says(*[nonsense] * 3)
        with pytest.raises(UnreachableError, match="not JSON"):
            act()
        assert len(script.requests) == 3


def _lost() -> None:
    raise InterruptedRunError("the lock was taken by another run")


def test_nothing_is_written_any_more_once_the_lock_is_lost(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(body=POD))
    kube.fence(_lost)
    for act in (
        lambda: kube.apply(POD),
        lambda: kube.create(POD),
        lambda: kube.replace(VERSIONED),
        lambda: kube.patch(REF, "v1", {}, content_type="application/merge-patch+json"),
        lambda: kube.delete(REF, "v1", uid="some"),
    ):
        with pytest.raises(InterruptedRunError):
            act()
    assert script.requests == []


def test_nothing_is_written_where_the_lock_was_lost_while_it_connected(
    kube: KubeCluster, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.says(RESET, Reply(body=POD))
    lost: list[bool] = []
    connect = urllib3.connection.HTTPConnection.connect

    def slowly(connection: urllib3.connection.HTTPConnection) -> None:
        connect(connection)
        lost.append(True)

    def check() -> None:
        if lost:
            _lost()

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", slowly)
    kube.fence(check)
    with pytest.raises(InterruptedRunError):
        kube.apply(POD)
    assert lost
    assert len(script.requests) == 1  # the one before, whose connection was reset


def test_what_changes_no_object_needs_no_lock(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(body={**POD, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}))
    kube.fence(_lost)
    kube.get(REF, "v1")
    kube.try_apply(POD)
    kube.replace({**VERSIONED, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease"})
    assert [r.method for r in script.requests] == ["GET", "PATCH", "PUT"]


def test_a_write_is_not_repeated_once_the_lock_is_lost(kube: KubeCluster, script: Script) -> None:
    script.says(RESET, Reply(body=POD))

    def check() -> None:
        if script.requests:
            _lost()

    kube.fence(check)
    with pytest.raises(InterruptedRunError):
        kube.apply(POD)
    assert len(script.requests) == 1
    kube.fence(None)
    kube.apply(POD)


ASLEEP_S = 100.0
ASK = Call(method="GET", path="/version", what="ask", idempotent=True, read_s=0.2)


def asleep(clock: FakeClock) -> Reply:
    """Nothing comes, and when somebody looks again much more time has gone by than it might take."""
    return Reply(silent=True, meanwhile=lambda: clock.sleep(ASLEEP_S))


def test_what_was_overslept_is_asked_again(kube: KubeCluster, script: Script, clock: FakeClock) -> None:
    for call in (ASK, replace(ASK, method="PATCH", body=POD)):
        script.requests.clear()
        script.says(asleep(clock), Reply(body=POD))
        assert kube.http.json(call) == POD
        assert len(script.requests) == 2


def test_what_is_overslept_again_and_again_comes_to_an_end(
    kube: KubeCluster, script: Script, clock: FakeClock
) -> None:
    script.says(asleep(clock))
    with pytest.raises(UnreachableError, match="did not answer in time"):
        kube.http.json(ASK)
    assert len(script.requests) == 2


def test_a_server_that_does_not_answer_is_not_asked_again(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(silent=True), Reply(body=POD))
    with pytest.raises(UnreachableError, match="did not answer in time"):
        kube.http.json(ASK)
    assert len(script.requests) == 1


def test_an_overslept_write_whose_fate_is_unknown_is_not_repeated(
    kube: KubeCluster, script: Script, clock: FakeClock
) -> None:
    script.says(asleep(clock), Reply(body=POD))
    with pytest.raises(UnreachableError, match="whether it was done is not known"):
        kube.http.json(replace(ASK, method="POST", body=POD, idempotent=False))
    assert len(script.requests) == 1


def test_an_overslept_write_is_not_repeated_once_the_lock_is_lost(
    kube: KubeCluster, script: Script, clock: FakeClock
) -> None:
    script.says(asleep(clock), Reply(body=POD))

    def check() -> None:
        if clock.slept:
            _lost()

    kube.fence(check)
    with pytest.raises(InterruptedRunError):
        kube.http.json(replace(ASK, method="PATCH", body=POD, fenced=True))
    assert len(script.requests) == 1


STUMBLES = pytest.mark.parametrize("stumble", [RESET, status(503), status(500, "InternalError")])


@STUMBLES
def test_a_write_whose_fate_is_unknown_is_not_repeated(
    kube: KubeCluster, script: Script, stumble: Reply
) -> None:
    patch = "application/json-patch+json"
    for act in (
        lambda: kube.replace(POD),
        lambda: kube.replace(VERSIONED, once=True),
        lambda: kube.delete(REF, "v1"),
        lambda: kube.patch(REF, "v1", [], content_type=patch),
    ):
        script.requests.clear()
        script.says(stumble, Reply(body=POD))
        with pytest.raises((ApiError, UnreachableError)):
            act()
        assert len(script.requests) == 1


@STUMBLES
def test_a_write_of_which_a_second_is_refused_is_repeated(
    kube: KubeCluster, script: Script, stumble: Reply
) -> None:
    for act in (lambda: kube.create(POD), lambda: kube.replace(VERSIONED)):
        script.requests.clear()
        script.says(stumble, Reply(body=POD))
        assert act() == POD
        assert len(script.requests) == 2


def test_what_a_lost_reply_had_done_is_recognised(kube: KubeCluster, script: Script) -> None:
    live = {**POD, "metadata": {**POD["metadata"], "uid": "7"}, "spec": {"nodeName": "added by somebody"}}
    for act in (lambda: kube.create(POD), lambda: kube.replace(VERSIONED)):
        script.requests.clear()
        script.says(RESET, status(409, "AlreadyExists"), Reply(body=live))
        assert act() == live
        assert [request.method for request in script.requests][2:] == ["GET"]


@pytest.mark.parametrize("other", [{"labels": {"app": "theirs"}}, {"labels": {}}, {}])
def test_what_somebody_else_wrote_is_not_taken_for_ours(
    kube: KubeCluster, script: Script, other: Object
) -> None:
    ours = {**POD, "metadata": {**POD["metadata"], "labels": {"app": "ours"}}}
    theirs = {**POD, "metadata": {**POD["metadata"], **other}}
    script.says(RESET, status(409, "AlreadyExists"), Reply(body=theirs))

    with pytest.raises(ApiError) as refused:
        kube.create(ours)

    assert refused.value.reason == "AlreadyExists"


def test_what_etcd_finds_too_large_is_not_sent_again(kube: KubeCluster, script: Script) -> None:
    script.says(status(500, "", "etcdserver: request is too large"), Reply(body=POD))

    with pytest.raises(ApiError, match="request is too large"):
        kube.apply(POD)

    assert len(script.requests) == 1


def test_a_lost_reply_to_a_replacement_says_that_its_fate_is_unknown(
    kube: KubeCluster, script: Script
) -> None:
    script.says(RESET)

    with pytest.raises(UnreachableError, match=r"replace Pod/web: .* whether it was done is not known"):
        kube.replace(POD)


def test_a_creation_that_was_turned_away_unread_is_repeated(kube: KubeCluster, script: Script) -> None:
    script.says(status(429, "TooManyRequests"), Reply(body=POD))

    assert kube.create(POD) == POD


def test_the_server_says_how_long_to_wait(kube: KubeCluster, script: Script, clock: FakeClock) -> None:
    busy = status(429, "TooManyRequests")
    busy.headers["Retry-After"] = "7"
    script.says(busy, Reply(body=POD))

    kube.get(REF, "v1")

    assert clock.slept == [7.0]


def test_a_server_that_stays_away_is_given_half_a_minute(
    kube: KubeCluster, script: Script, clock: FakeClock
) -> None:
    script.says(status(503, "ServiceUnavailable", "shutting down"))

    with pytest.raises(ApiError, match="get Pod/web: shutting down") as caught:
        kube.get(REF, "v1")

    assert caught.value.status == 503
    assert 20 < clock.monotonic() <= 30


@pytest.mark.parametrize(
    "refusal",
    [
        status(
            500,
            "",
            "failed to create typed patch object (a; v1, Kind=A): .spec.x: field not declared in schema",
        ),
        status(400, "BadRequest", 'strict decoding error: unknown field "spec.x"'),
        status(
            500,
            "InternalError",
            'failed calling webhook "a.example.com": no endpoints available for service "a"',
        ),
        status(
            403,
            "Forbidden",
            'error looking up service account demo/default: serviceaccount "default" not found',
        ),
    ],
)
def test_a_write_waits_for_what_its_plan_is_just_bringing_up(
    kube: KubeCluster, script: Script, refusal: Reply
) -> None:
    script.says(refusal, refusal, Reply(body=POD))

    assert kube.apply(POD) == POD
    assert len(script.requests) == 3


def test_a_dry_run_waits_for_nothing_of_that_kind(kube: KubeCluster, script: Script) -> None:
    script.says(status(400, "BadRequest", 'strict decoding error: unknown field "spec.x"'))

    with pytest.raises(ApiError):
        kube.try_apply(POD)

    assert len(script.requests) == 1


def test_an_internal_error_is_not_waited_for_long(
    kube: KubeCluster, script: Script, clock: FakeClock
) -> None:
    script.says(status(500, "InternalError", "failed calling webhook"))

    with pytest.raises(ApiError):
        kube.apply(POD)

    assert len(script.requests) == 3


def test_a_patch_that_fits_no_schema_is_invalid_and_not_repeated(kube: KubeCluster, script: Script) -> None:
    script.says(status(500, "", "failed to create typed patch object (demo/web): .spek: not declared"))

    with pytest.raises(ApiError) as caught:
        kube.apply(POD)

    assert caught.value.reason == "Invalid"
    assert len(script.requests) == 1


def test_a_signal_ends_the_waiting(script: Script, clock: FakeClock) -> None:
    def interrupted(_: float) -> None:
        raise InterruptedRunError("stopped by a signal")

    clock.sleep = interrupted  # type: ignore[method-assign]
    kube = open_fake(script, clock)
    script.says(status(503))

    with pytest.raises(InterruptedRunError):
        kube.get(REF, "v1")
    kube.http.connection.close()


def told_to_stop(kube: KubeCluster) -> None:
    kube.http.retrier = replace(kube.http.retrier, stopped=lambda: True)


def test_after_a_signal_a_server_that_stays_away_is_given_a_second(
    kube: KubeCluster, script: Script, clock: FakeClock
) -> None:
    told_to_stop(kube)
    script.says(status(503, "ServiceUnavailable", "shutting down"))

    with pytest.raises(ApiError, match="shutting down"):
        kube.get(REF, "v1")

    assert 1 < len(script.requests) < 6
    assert clock.monotonic() < 3


def test_after_a_signal_a_server_that_stumbles_is_still_asked_again(
    kube: KubeCluster, script: Script
) -> None:
    """It is mostly the record of the interruption, or the lock that is given up."""
    told_to_stop(kube)
    script.says(status(503, "ServiceUnavailable", "shutting down"), Reply(body=POD))

    assert kube.get(REF, "v1") == POD


def test_a_refused_login_is_renewed_once(kube: KubeCluster, script: Script, login: Login) -> None:
    script.says(status(401, "Unauthorized"), Reply(body=POD))

    assert kube.create(POD) == POD
    assert [r.headers["Authorization"] for r in script.requests] == ["Bearer token-0", "Bearer token-1"]


def test_a_login_that_is_refused_twice_is_an_error_without_the_token(
    kube: KubeCluster, script: Script, login: Login
) -> None:
    script.says(status(401, "Unauthorized", "token-1 is no good"))

    with pytest.raises(UnreachableError, match="refused the login") as caught:
        kube.get(REF, "v1")

    assert len(script.requests) == 2
    assert "token-" not in f"{caught.value} {caught.value.hint}"


def test_a_redirect_is_not_followed(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(302, headers={"Location": "http://192.0.2.1/"}), Reply(body=POD))

    with pytest.raises(UnreachableError, match="redirect"):
        kube.get(REF, "v1")

    assert len(script.requests) == 1


def test_what_is_no_json_is_no_api_server(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(body=b"<html>hello</html>"))

    with pytest.raises(UnreachableError, match="not JSON"):
        kube.list(builtin("v1", "Pod"))


@pytest.mark.parametrize("code", [400, 403, 409, 422, 500, 503])
def test_no_answer_about_a_secret_is_quoted(kube: KubeCluster, script: Script, code: int) -> None:
    cause = {"reason": "FieldValueInvalid", "field": "data[password]", "message": "hunter2 is too short"}
    script.says(status(code, "Invalid", "hunter2 is too short", name="web", causes=[cause]))

    with pytest.raises(ApiError) as caught:
        kube.create(SECRET)

    assert "hunter2" not in f"{caught.value} {caught.value.message} {caught.value.causes}"
    assert caught.value.message == "create Secret/web: Invalid, data[password]"
    assert caught.value.causes == (("FieldValueInvalid", "data[password]", ""),)


def test_messages_are_short_and_hold_no_control_characters(kube: KubeCluster, script: Script) -> None:
    script.says(status(422, "Invalid", "\x1b[31mred\n::error::" + "x" * 5000))

    with pytest.raises(ApiError) as caught:
        kube.create(POD)

    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 650


def test_a_request_to_apply_says_who_and_how(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(body=POD))

    kube.try_apply(POD, force=True)

    [request] = script.requests
    assert request.path == (
        "/api/v1/namespaces/demo/pods/web?fieldManager=pipeline&force=true&fieldValidation=Strict&dryRun=All"
    )
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.body == POD


def test_a_name_cannot_climb_out_of_its_path(kube: KubeCluster, script: Script) -> None:
    kube.resource("v1", "Pod")
    script.says(Reply(body=POD))

    with pytest.raises(ApiError):
        kube.get(ObjectRef("", "Pod", "demo", ".."), "v1")
    kube.get(ObjectRef("", "Pod", "demo", "../secrets/s"), "v1")

    assert [r.path for r in script.requests] == ["/api/v1/namespaces/demo/pods/..%2Fsecrets%2Fs"]


def test_a_list_whose_snapshot_is_gone_starts_again(kube: KubeCluster, script: Script) -> None:
    first = Reply(body={"metadata": {"continue": "next", "resourceVersion": "5"}, "items": [POD]})
    whole = Reply(body={"metadata": {"resourceVersion": "9"}, "items": [POD]})
    script.says(first, status(410, "Expired"), whole)

    found, version = kube.list(builtin("v1", "Pod"), "demo")

    assert (len(found), version) == (1, "9")


def watching(kube: KubeCluster, script: Script, reply: Reply) -> Iterator[tuple[str, Object]]:
    script.says(reply)
    return kube.watch(builtin("v1", "Pod"), "demo", "5", timeout_s=30)


def line(kind: str, body: Object) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def test_a_watch_ends_with_the_servers_answer(kube: KubeCluster, script: Script) -> None:
    watch = watching(kube, script, Reply(body=line("ADDED", POD) + line("BOOKMARK", POD)))

    assert [kind for kind, _ in watch] == ["ADDED", "BOOKMARK"]
    assert list(watch) == []


@pytest.mark.parametrize("rest", [b'{"type": "MODIF', b"garbage\n", b"null\n", b'{"type": "ADDED"}\n'])
def test_a_broken_line_ends_a_watch_after_the_whole_ones(
    kube: KubeCluster, script: Script, rest: bytes
) -> None:
    for cut in (False, True):
        watch = watching(kube, script, Reply(body=line("ADDED", POD) + rest, cut=cut))

        assert list(watch) == [("ADDED", POD)]


def test_nothing_comes_after_a_broken_line(kube: KubeCluster, script: Script) -> None:
    watch = watching(kube, script, Reply(body=line("ADDED", POD) + b"garbage\n" + line("DELETED", POD)))

    assert list(watch) == [("ADDED", POD)]
    assert list(watch) == []


def test_a_watch_that_is_too_old_says_so(kube: KubeCluster, script: Script) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    watch = watching(kube, script, Reply(body=line("ADDED", POD) + line("ERROR", gone)))

    assert next(watch) == ("ADDED", POD)
    with pytest.raises(ApiError, match="too old resource version") as caught:
        next(watch)
    assert caught.value.status == 410


def test_a_watch_that_is_refused_at_once_says_so(kube: KubeCluster, script: Script) -> None:
    with pytest.raises(ApiError) as caught:
        watching(kube, script, status(410, "Expired", "too old resource version"))

    assert caught.value.status == 410


def test_events_longer_than_one_read_stay_whole(kube: KubeCluster, script: Script) -> None:
    big = {**POD, "data": "ü" * 300_000}

    watch = watching(kube, script, Reply(body=line("ADDED", big) + line("DELETED", POD)))

    assert list(watch) == [("ADDED", big), ("DELETED", POD)]


def test_an_older_server_is_asked_for_each_version(kube: KubeCluster, script: Script) -> None:
    resources = [
        {"name": "lamps", "kind": "Lamp", "namespaced": True},
        {"name": "lamps/status", "kind": "Lamp", "namespaced": True},
    ]
    script.says(Reply(body={"kind": "APIGroupList", "groups": []}), Reply(body={"resources": resources}))

    assert kube.resource("test.example/v1", "Lamp").plural == "lamps"
    assert kube.resource("test.example/v1", "Torch") is None
    assert [r.path for r in script.requests] == ["/apis", "/apis/test.example/v1"]


def test_a_builtin_kind_that_this_server_lacks_is_no_absent_object(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(404, b"404 page not found"))

    with pytest.raises(ApiError, match="does not serve Pod of v1"):
        kube.get(REF, "v1")

    script.says(status(404, "NotFound", 'pods "web" not found', name="web", kind="pods"))
    assert kube.get(REF, "v1") is None


def test_a_server_that_was_never_there_is_told_soon(script: Script, clock: FakeClock) -> None:
    kube = open_fake(script, clock)
    kube.http._date = None  # as before the first answer
    script.says(RESET)

    with pytest.raises(UnreachableError):
        kube.get(REF, "v1")

    assert clock.monotonic() <= 3
    kube.http.connection.close()


def test_our_name_is_asked_for_once(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(body={"status": {"userInfo": {"username": "deployer"}}}))

    assert [kube.identity(), kube.identity()] == ["deployer", "deployer"]

    assert len(script.requests) == 1


def _group(freshness: str) -> Object:
    kind = {"responseKind": {"kind": "Job"}, "resource": "jobs", "scope": "Namespaced", "verbs": ["list"]}
    versions = [{"version": "v1", "freshness": freshness, "resources": [kind]}]
    return {"metadata": {"name": "batch"}, "versions": versions}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"kind": "APIGroupDiscoveryList", "items": [_group("Stale")]}, "batch/v1 did not answer"),
        ({"kind": "APIGroupList", "groups": []}, "the server is too old to tell"),
    ],
    ids=["stale", "old"],
)
def test_where_not_every_kind_is_told_that_is_an_error(
    kube: KubeCluster, script: Script, document: Object, why: str
) -> None:
    script.says(Reply(body={"kind": "APIGroupDiscoveryList", "items": [_group("Current")]}))
    assert [(kind.api_version, kind.kind) for kind in kube.namespaced_kinds()] == [("batch/v1", "Job")]

    script.says(Reply(body=document))
    with pytest.raises(ApiError, match=why):
        kube.namespaced_kinds()
