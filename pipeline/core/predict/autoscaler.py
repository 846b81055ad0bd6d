"""HorizontalPodAutoscalers: a number that they overrule, and a ratio that they can never compute."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.at_field import warning
from pipeline.core.predict.facts import Outlook, Workload, scale_target
from pipeline.core.predict.resources import of_container
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, get_path


def autoscaler_problems(outlook: Outlook) -> Iterator[Problem]:
    """For each autoscaler of a workload of the set, where one of the two is written."""
    by_ref = {w.ref: w for w in outlook.workloads}
    for scaler in outlook.of_kind("autoscaling", "HorizontalPodAutoscaler"):
        target = scale_target(scaler)
        if target not in by_ref or not {scaler.ref, target} & outlook.refs:
            continue
        workload = by_ref[target]
        yield from _overruled(scaler, workload)
        yield from _without_requests(scaler, workload, outlook)


def _overruled(scaler: Manifest, workload: Workload) -> Iterator[Problem]:
    """A number between the autoscaler's own two is a good start; any other one never lasts."""
    replicas = get_path(workload.manifest.body, "spec", "replicas")
    fewest = get_path(scaler.body, "spec", "minReplicas", default=1)
    most = get_path(scaler.body, "spec", "maxReplicas")
    if not all(isinstance(number, int) for number in (replicas, fewest, most)) or fewest <= replicas <= most:
        return
    yield warning(
        workload.manifest,
        ("spec", "replicas"),
        "replicas-of-autoscaler",
        f"{scaler.ref.short} keeps it between {fewest} and {most}; {replicas} is used only for creation",
        "remove spec.replicas, or write a number between the two",
    )


def _without_requests(scaler: Manifest, workload: Workload, outlook: Outlook) -> Iterator[Problem]:
    """Usage is a share of the request (k8s.io/kubernetes pkg/controller/podautoscaler)."""
    defaults = outlook.defaults(scaler.ref.namespace)
    for resource, path, only in _utilisations(scaler):
        if get_path(workload.spec, "resources", "requests", resource) is not None:
            continue
        lacking = [
            str(container.get("name"))
            for container, at in workload.containers()
            if _is_counted(container, at, only) and resource not in of_container(container, defaults).requests
        ]
        if lacking:
            yield warning(
                scaler,
                path,
                "hpa-needs-requests",
                f"it scales on a share of the requested {resource}, which {workload.ref.short} does not"
                f" request for {', '.join(lacking)}: it can never compute that",
                f"set resources.requests.{resource} there",
            )


def _is_counted(container: Json, path: FieldPath, only: str) -> bool:
    if only and container.get("name") != only:
        return False
    return path[-2] == "containers" or container.get("restartPolicy") == "Always"


def _utilisations(scaler: Manifest) -> Iterator[tuple[str, FieldPath, str]]:
    """(resource, where it is written, the one container that counts or empty) of each share."""
    spec = get_path(scaler.body, "spec")
    if scaler.api_version == "autoscaling/v1":
        # Without a target it scales on cpu all the same: 80 % is the default.
        yield "cpu", ("spec", "targetCPUUtilizationPercentage"), ""
        return
    metrics = get_path(spec, "metrics")
    if not metrics:
        yield "cpu", ("spec",), ""
        return
    for index, metric in enumerate(metrics if isinstance(metrics, list) else ()):
        for field in ("resource", "containerResource"):
            source = get_path(metric, field)
            resource = get_path(source, "name")
            if get_path(source, "target", "type") == "Utilization" and isinstance(resource, str):
                at: FieldPath = ("spec", "metrics", index, field)
                yield resource, at, str(get_path(source, "container", default=""))
