"""Rollouts that a quota stops, and containers that do not state what it counts."""

from __future__ import annotations

import pytest

from pipeline.core.predict.surge import surge_of
from tests.unit.predicting import DEPLOYMENT, facts, foresee, told

WEB = DEPLOYMENT + "        resources:\n          requests: {cpu: 500m, memory: 1Gi}\n"
NEXT = WEB.replace("web:1.2", "web:1.3")
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: load, namespace: demo}
spec:
  parallelism: 4
  template:
    spec:
      containers:
      - name: c
        image: a:1
        resources: {requests: {cpu: 1}}
"""


def _quota(hard: str, used: str = "") -> str:
    return (
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: compute, namespace: demo}\n"
        f"spec: {{hard: {{{hard}}}}}\nstatus: {{used: {{{used}}}}}\n"
    )


def _strategy(text: str, rolling: str) -> str:
    return text.replace("  replicas: 3\n", f"  replicas: 3\n  strategy:\n    rollingUpdate: {{{rolling}}}\n")


# --- the first pod


def test_a_rollout_that_may_miss_no_pod_and_has_no_room_for_one_more_cannot_start() -> None:
    (problem,) = foresee(NEXT, facts=facts(WEB, _quota("pods: 3", "pods: 3")))
    assert told([problem]) == [("quota-exceeded", 4, False)]
    assert "the rollout cannot start" in problem.message
    assert "ResourceQuota/compute allows 3 of pods, 3 used, and a pod needs 1" in problem.message
    assert "maxUnavailable: 1" in problem.hint


@pytest.mark.parametrize(
    "hard",
    [
        ("requests.cpu: 1800m", "requests.cpu: 1500m"),
        ("cpu: 1800m", "cpu: 1500m"),
        ("memory: 3500Mi", "memory: 3Gi"),
        ("count/pods: 3", "count/pods: 3"),
        ("pods: 2", "pods: 3"),
    ],
)
def test_every_resource_that_pods_are_charged_by_counts(hard: tuple[str, str]) -> None:
    problems = foresee(NEXT, facts=facts(WEB, _quota(*hard)))
    assert [(p.code, p.warning) for p in problems] == [("quota-exceeded", False)]


def test_extended_resources_are_charged_as_requests() -> None:
    text = WEB.replace("memory: 1Gi", "nvidia.com/gpu: 1")
    hard = _quota("requests.nvidia.com/gpu: 3", "requests.nvidia.com/gpu: 3")
    known = facts(text, hard)
    assert len(foresee(text.replace("1.2", "1.3"), facts=known)) == 1


@pytest.mark.parametrize("rolling", ["maxUnavailable: 1", "maxUnavailable: 34%", "maxUnavailable: 100%"])
def test_a_rollout_that_may_miss_a_pod_goes_on(rolling: str) -> None:
    known = facts(_strategy(WEB, rolling), _quota("pods: 3", "pods: 3"))
    assert foresee(_strategy(NEXT, rolling), facts=known) == []


def test_recreating_and_stateful_sets_go_on() -> None:
    text = NEXT.replace("  replicas: 3\n", "  replicas: 3\n  strategy: {type: Recreate}\n")
    known = facts(WEB, _quota("pods: 3", "pods: 3"))
    assert foresee(text, facts=known) == []
    known = facts(WEB.replace("Deployment", "StatefulSet"), _quota("pods: 3", "pods: 3"))
    assert foresee(NEXT.replace("Deployment", "StatefulSet"), facts=known) == []


@pytest.mark.parametrize(
    ("rolling", "replicas", "expected"),
    [
        ({}, 3, (1, 0)),
        ({}, 4, (1, 1)),
        ({}, 10, (3, 2)),
        ({"maxSurge": 0, "maxUnavailable": "10%"}, 3, (0, 1)),
        ({"maxSurge": 2, "maxUnavailable": 0}, 3, (2, 0)),
        ({"maxSurge": "many"}, 3, (0, 1)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(
    rolling: dict[str, object], replicas: int, expected: tuple[int, int]
) -> None:
    assert surge_of({"strategy": {"rollingUpdate": rolling}}, replicas) == expected


def test_a_new_workload_of_which_no_pod_fits_is_an_error() -> None:
    (problem,) = foresee(WEB, facts=facts(_quota("requests.memory: 1000Mi")))
    assert told([problem]) == [("quota-exceeded", 16, False)]
    assert "none of its pods can be created" in problem.message
    (problem,) = foresee(JOB, facts=facts(_quota("pods: 2", "pods: 2")))
    assert not problem.warning


# --- when some fit, or something goes


def test_a_new_workload_of_which_some_pods_fit_is_a_warning_that_says_how_many() -> None:
    (problem,) = foresee(WEB, facts=facts(_quota("requests.cpu: 1200m")))
    assert told([problem]) == [("quota-exceeded", 5, True)]
    assert "room for 2 of 3 more pods" in problem.message


def test_a_job_asks_for_as_many_pods_as_run_at_once() -> None:
    (problem,) = foresee(JOB, facts=facts(_quota("cpu: 3")))
    assert "room for 3 of 4 more pods" in problem.message
    assert foresee(JOB, facts=facts(_quota("cpu: 4"))) == []
    once = JOB.replace("parallelism: 4", "parallelism: 4\n  completions: 3")
    assert foresee(once, facts=facts(_quota("cpu: 3"))) == []
    assert foresee(JOB.replace("parallelism: 4", "suspend: true"), facts=facts(_quota("cpu: 0"))) == []


def test_growing_a_workload_beyond_the_quota_is_a_warning() -> None:
    known = facts(WEB, _quota("pods: 4", "pods: 3"))
    (problem,) = foresee(WEB.replace("replicas: 3", "replicas: 5"), facts=known)
    assert told([problem]) == [("quota-exceeded", 5, True)]
    assert "room for 1 of 2 more pods" in problem.message


def test_an_error_becomes_a_warning_where_another_workload_makes_room() -> None:
    other = WEB.replace("name: web, namespace", "name: api, namespace")
    known = facts(WEB, other, _quota("pods: 6", "pods: 6"))
    smaller = other.replace("replicas: 3", "replicas: 1")
    problems = foresee(NEXT, smaller, facts=known)
    assert [(p.code, p.warning) for p in problems] == [("quota-exceeded", True)]
    assert "only if other workloads of this plan free enough" in problems[0].message
    assert [p.warning for p in foresee(NEXT, other, written=("web",), facts=known)] == [False]


def test_workloads_that_fit_alone_and_not_together_are_a_warning() -> None:
    other = WEB.replace("name: web, namespace", "name: api, namespace")
    known = facts(_quota("requests.cpu: 2"))
    problems = foresee(WEB, other, facts=known)
    assert [(p.code, p.warning) for p in problems] == [("quota-exceeded", True)]
    assert "needs 3 for all" in problems[0].message
    assert foresee(WEB, other, facts=facts(_quota("requests.cpu: 3"))) == []


# --- what does not count


@pytest.mark.parametrize(
    "hard",
    ["services: 0", "limits.cpu: 0", "requests.storage: 0", "requests.nvidia.com/gpu: 0", "pods: lots"],
)
def test_resources_that_its_pods_do_not_use_are_never_short(hard: str) -> None:
    text = WEB.replace("requests: {", "limits: {cpu: 1}\n          requests: {") if "limits" in hard else WEB
    problems = foresee(text, facts=facts(_quota(hard)))
    assert [p.code for p in problems] == (["quota-exceeded"] if "limits" in hard else [])


def test_a_template_that_stays_makes_no_pods() -> None:
    full = _quota("pods: 3, cpu: 1", "pods: 3, cpu: 1500m")
    live = WEB.replace("500m", "'0.5'").replace("name: web\n", "name: web\n        imagePullPolicy: Always\n")
    assert foresee(WEB, facts=facts(live, full)) == []


AFFINE = (
    "affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution:"
    " [{weight: 1, podAffinityTerm: {topologyKey: zone, namespaces: [other]}}]}}"
)
AVERSE = (
    "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution:"
    " [{topologyKey: zone, namespaceSelector: {}}]}}"
)


def _priority(operator: str, *values: str) -> str:
    of_values = f", values: [{', '.join(values)}]" if values else ""
    one = f"{{scopeName: PriorityClass, operator: {operator}{of_values}}}"
    return f"scopeSelector: {{matchExpressions: [{one}]}}"


@pytest.mark.parametrize(
    ("scope", "pod", "is_counted"),
    [
        ("scopes: [BestEffort]", "", False),
        ("scopes: [NotBestEffort]", "", True),
        ("scopes: [Terminating]", "", False),
        ("scopes: [Terminating]", "activeDeadlineSeconds: 0", True),
        ("scopes: [NotTerminating]", "", True),
        ("scopes: [NotTerminating]", "activeDeadlineSeconds: 60", False),
        ("scopes: [NotTerminating, NotBestEffort]", "", True),
        ("scopes: [NotTerminating, BestEffort]", "", False),
        ("scopes: [PriorityClass]", "priorityClassName: high", True),
        (_priority("In", "high", "top"), "priorityClassName: high", True),
        (_priority("In", "top"), "priorityClassName: high", False),
        (_priority("NotIn", "top"), "priorityClassName: high", True),
        (_priority("NotIn", "high"), "priorityClassName: high", False),
        (_priority("Exists"), "priorityClassName: high", True),
        (_priority("DoesNotExist"), "priorityClassName: high", False),
        # The cluster's default class may be added.
        (_priority("NotIn", "top"), "", False),
        (_priority("DoesNotExist"), "", False),
        ("scopes: [CrossNamespacePodAffinity]", "", False),
        ("scopes: [CrossNamespacePodAffinity]", AFFINE, True),
        ("scopes: [CrossNamespacePodAffinity]", AVERSE, True),
        ("scopes: [OfTheFuture]", "", False),
    ],
)
def test_a_quota_with_scopes_counts_the_pods_within(scope: str, pod: str, is_counted: bool) -> None:
    """Each after podMatchesScopeFunc (k8s.io/kubernetes pkg/quota/v1/evaluator/core/pods.go)."""
    scoped = _quota("pods: 3", "pods: 3").replace("spec: {", f"spec: {{{scope}, ")
    old, new = (text.replace("    spec:\n", f"    spec:\n      {pod}\n") for text in (WEB, NEXT))
    problems = foresee(new, facts=facts(old, scoped))
    assert [p.code for p in problems] == (["quota-exceeded"] if is_counted else [])


def test_pods_without_requests_are_best_effort() -> None:
    scoped = _quota("pods: 3", "pods: 3").replace("spec: {", "spec: {scopes: [BestEffort], ")
    new = DEPLOYMENT.replace("web:1.2", "web:1.3")
    assert [p.code for p in foresee(new, facts=facts(DEPLOYMENT, scoped))] == ["quota-exceeded"]


def test_the_sum_that_a_scoped_quota_counts_is_of_the_pods_within() -> None:
    other = WEB.replace("name: web, namespace", "name: api, namespace")
    late = other.replace("    spec:\n", "    spec:\n      activeDeadlineSeconds: 60\n")
    scoped = _quota("requests.cpu: 2").replace("spec: {", "spec: {scopes: [NotTerminating], ")
    assert [p.code for p in foresee(WEB, other, facts=facts(scoped))] == ["quota-exceeded"]
    assert foresee(WEB, late, facts=facts(scoped)) == []


def test_a_quota_with_scopes_wants_requests_of_the_pods_within_only() -> None:
    scoped = _quota("limits.cpu: 9").replace("spec: {", "spec: {scopes: [Terminating], ")
    late = WEB.replace("    spec:\n", "    spec:\n      activeDeadlineSeconds: 60\n")
    assert foresee(WEB, facts=facts(scoped)) == []
    assert [p.code for p in foresee(late, facts=facts(scoped))] == ["quota-needs-requests"]


def test_a_workload_without_replicas_needs_nothing() -> None:
    assert foresee(WEB.replace("replicas: 3", "replicas: 0"), facts=facts(_quota("pods: 0"))) == []


def test_an_autoscaled_workload_keeps_the_pods_that_it_has() -> None:
    hpa = (
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: demo}\n"
        "spec: {minReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n"
    )
    known = facts(WEB, _quota("pods: 4", "pods: 3"))
    assert foresee(NEXT.replace("  replicas: 3\n", ""), hpa, facts=known) == []


def test_a_quota_of_the_set_counts_instead_of_the_live_one() -> None:
    known = facts(WEB, _quota("pods: 3", "pods: 3"))
    wider = _quota("pods: 4").partition("status")[0]
    assert foresee(NEXT, wider, facts=known) == []
    same = _quota("pods: 3").partition("status")[0]
    assert [p.warning for p in foresee(NEXT, same, facts=known)] == [False]  # as much is used as before
    tight = _quota("pods: 0").partition("status")[0]
    assert [p.warning for p in foresee(WEB, tight)] == [False]


# --- what must be stated


def test_a_container_that_does_not_state_what_a_quota_counts_is_an_error() -> None:
    known = facts(_quota("limits.memory: 9Gi, requests.cpu: 9"))
    (problem,) = foresee(WEB, facts=known)
    assert told([problem]) == [("quota-needs-requests", 16, False)]
    assert (
        "container web does not state limits.memory, which ResourceQuota/compute requires" in problem.message
    )


def test_defaults_of_a_range_state_it_for_the_container() -> None:
    limit_range = (
        "apiVersion: v1\nkind: LimitRange\nmetadata: {name: r, namespace: demo}\n"
        "spec: {limits: [{type: Container, default: {memory: 2Gi}}]}\n"
    )
    assert foresee(WEB, facts=facts(limit_range, _quota("limits.memory: 6Gi"))) == []
    # The defaults are charged, too.
    (problem,) = foresee(WEB, facts=facts(limit_range, _quota("limits.memory: 5Gi")))
    assert "room for 2 of 3 more pods" in problem.message


def test_init_containers_must_state_it_and_cron_jobs_too() -> None:
    cron = (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: night, namespace: demo}\n"
        "spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: 'a:1'}]}}}}}\n"
    )
    assert [p.code for p in foresee(cron, facts=facts(_quota("cpu: 9")))] == ["quota-needs-requests"]
    text = WEB.replace(
        "      containers:", "      initContainers: [{name: i, image: 'a:1'}]\n      containers:"
    )
    assert "container i" in foresee(text, facts=facts(_quota("cpu: 9")))[0].message


def test_other_resources_need_not_be_stated() -> None:
    assert foresee(WEB, facts=facts(_quota("limits.ephemeral-storage: 1, requests.nvidia.com/gpu: 1"))) == []


def test_what_the_pod_states_as_a_whole_counts_for_its_containers() -> None:
    text = DEPLOYMENT.replace("    spec:\n", "    spec:\n      resources: {requests: {cpu: 2}}\n")
    assert foresee(text, facts=facts(_quota("cpu: 6"))) == []
    assert "room for 2 of 3" in foresee(text, facts=facts(_quota("cpu: 5")))[0].message


def test_init_containers_and_overhead_are_part_of_a_pod() -> None:
    more = "      overhead: {cpu: 250m}\n      initContainers:\n"
    more += "      - {name: s, image: 'a:1', restartPolicy: Always, resources: {requests: {cpu: 250m}}}\n"
    more += "      - {name: i, image: 'a:1', resources: {requests: {cpu: 1}}}\n      containers:"
    text = WEB.replace("      containers:", more).replace("replicas: 3", "replicas: 1")
    # 1 of the init container beside the sidecar's 250m, and 250m of overhead.
    assert foresee(text, facts=facts(_quota("cpu: 1500m"))) == []
    assert len(foresee(text, facts=facts(_quota("cpu: 1499m")))) == 1
