"""Two releases of an application made up by a seed: one that comes up, and one that cannot.

What the second one changes, adds, and no longer has is as random as what the first one consists of; in one
place, at least, it fails for good.
"""

from __future__ import annotations

import copy
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

CHANGED, REMOVED = 0.6, 0.15  # of the objects of the first release, in the second
MOST = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRelease:
    """``why`` is what it fails by; ``rollout`` the line of the environment that lets it fail in time."""

    good: list[Manifest]
    bad: list[Manifest]
    why: str
    timeout: str = "40s"


def bad_release(seed: int) -> BadRelease:
    """The same for the same seed."""
    chance = random.Random(seed)
    good = [_workload(chance, 0), *(_any(chance, n) for n in range(1, chance.randint(3, MOST)))]
    bad = _second(chance, good)
    bad += [_any(chance, len(good) + n) for n in range(chance.randint(0, 3))]
    why = chance.choice(sorted(_BREAKS))
    _BREAKS[why](chance, bad)
    return BadRelease(good=good, bad=bad, why=why, timeout="4s" if why in _SLOW else "40s")


def _second(chance: random.Random, good: list[Manifest]) -> list[Manifest]:
    """The first object stays: there is always a workload that was there before."""
    found = []
    for number, manifest in enumerate(good):
        if number and chance.random() < REMOVED:
            continue
        new = copy.deepcopy(manifest)
        if chance.random() < CHANGED:
            _KINDS[manifest["kind"]][1](chance, new)
            _note(chance, new)
        found.append(new)
    return found


# --- what it consists of


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(string.ascii_lowercase, k=6))


def _object(api_version: str, kind: str, name: str, **rest: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}


def _any(chance: random.Random, number: int) -> Manifest:
    kind = chance.choice(sorted(_KINDS))
    made = _KINDS[kind][0](chance, f"{kind.lower()}-{number}")
    if chance.random() < 0.5:
        _note(chance, made)
    return made


def _note(chance: random.Random, manifest: Manifest) -> None:
    where = chance.choice(("labels", "annotations"))
    manifest["metadata"].setdefault(where, {})[f"example.com/{chance.choice('abc')}"] = _word(chance)


def _workload(chance: random.Random, number: int) -> Manifest:
    kind = chance.choice(("Deployment", "StatefulSet", "DaemonSet"))
    return _KINDS[kind][0](chance, f"{kind.lower()}-{number}")


def _template(chance: random.Random, name: str) -> Manifest:
    containers = [_container(chance, f"c{n}") for n in range(chance.randint(1, 2))]
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}


def _container(chance: random.Random, name: str) -> Manifest:
    made: Manifest = {"name": name, "image": f"app:{chance.randint(1, 9)}"}
    if chance.random() < 0.5:
        made["env"] = [{"name": word.upper(), "value": _word(chance)} for word in chance.sample("abcd", 2)]
    if chance.random() < 0.3:
        made["ports"] = [{"containerPort": 8080, "name": "http"}]
    if chance.random() < 0.3:
        made["resources"] = {"requests": {"cpu": f"{chance.randint(1, 9)}m"}}
    return made


def _deployment(chance: random.Random, name: str) -> Manifest:
    spec = {
        "replicas": chance.randint(1, 3),
        "selector": {"matchLabels": {"app": name}},
        "template": _template(chance, name),
    }
    return _object("apps/v1", "Deployment", name, spec=spec)


def _stateful_set(chance: random.Random, name: str) -> Manifest:
    made = _deployment(chance, name)
    # In order, a bad pod blocks its own revert: that is an environment's own decision, and another test's.
    made["spec"] |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    return made | {"kind": "StatefulSet"}


def _daemon_set(chance: random.Random, name: str) -> Manifest:
    made = _deployment(chance, name)
    del made["spec"]["replicas"]
    return made | {"kind": "DaemonSet"}


def _cron_job(chance: random.Random, name: str) -> Manifest:
    template = _template(chance, name)
    template["spec"]["restartPolicy"] = "Never"
    spec = {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": {"template": template}}}
    return _object("batch/v1", "CronJob", name, spec=spec)


def _of_pods(chance: random.Random, manifest: Manifest) -> None:
    """Change what a workload of any kind runs."""
    spec = manifest["spec"]
    template = spec["jobTemplate"]["spec"]["template"] if manifest["kind"] == "CronJob" else spec["template"]
    container = chance.choice(template["spec"]["containers"])
    match chance.randrange(4):
        case 0:
            container["image"] = f"app:{chance.randint(10, 99)}"
        case 1:
            container["env"] = [{"name": "E", "value": _word(chance)}]
        case 2:
            container.pop("env", None)
            container["command"] = ["run", _word(chance)]
        case _:
            template["metadata"]["annotations"] = {"example.com/turn": _word(chance)}
    if "replicas" in spec:
        spec["replicas"] = chance.randint(1, 3)


def _data(chance: random.Random, name: str) -> Manifest:
    return _object("v1", "ConfigMap", name, data={key: _word(chance) for key in chance.sample("abcdef", 3)})


def _change_data(chance: random.Random, manifest: Manifest) -> None:
    data = manifest.get("data") or manifest["stringData"]
    data.pop(chance.choice(sorted(data)))
    data[chance.choice("abcdefgh")] = _word(chance) + "\n" * chance.randint(0, 2)


def _secret(chance: random.Random, name: str) -> Manifest:
    return _object(
        "v1", "Secret", name, stringData={key: _word(chance) for key in chance.sample("abcdef", 2)}
    )


def _service(chance: random.Random, name: str) -> Manifest:
    ports = [{"name": f"p{port}", "port": port} for port in chance.sample(range(8000, 8010), 2)]
    return _object("v1", "Service", name, spec={"ports": ports})  # without selector: it needs no endpoints


def _change_ports(chance: random.Random, manifest: Manifest) -> None:
    ports = manifest["spec"]["ports"]
    ports.pop(chance.randrange(2))
    ports.append({"name": "new", "port": chance.randint(8010, 8020), "targetPort": 80})


def _role(chance: random.Random, name: str) -> Manifest:
    rule = {
        "apiGroups": [""],
        "resources": chance.sample(["pods", "services", "secrets"], 2),
        "verbs": ["get"],
    }
    return _object("rbac.authorization.k8s.io/v1", "Role", name, rules=[rule])


def _change_rules(chance: random.Random, manifest: Manifest) -> None:
    manifest["rules"].append({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]})


def _account(chance: random.Random, name: str) -> Manifest:
    return _object("v1", "ServiceAccount", name)


def _change_token(chance: random.Random, manifest: Manifest) -> None:
    manifest["automountServiceAccountToken"] = chance.random() < 0.5


def _policy(chance: random.Random, name: str) -> Manifest:
    ingress = [{"ports": [{"protocol": "TCP", "port": chance.randint(80, 90)}]}]
    spec = {"podSelector": {"matchLabels": {"app": _word(chance)}}, "ingress": ingress}
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, spec=spec)


def _change_policy(chance: random.Random, manifest: Manifest) -> None:
    manifest["spec"]["podSelector"] = {}
    manifest["spec"]["policyTypes"] = ["Ingress"]


def _budget(chance: random.Random, name: str) -> Manifest:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": _word(chance)}}}
    return _object("policy/v1", "PodDisruptionBudget", name, spec=spec)


def _change_budget(chance: random.Random, manifest: Manifest) -> None:
    del manifest["spec"]["minAvailable"]
    manifest["spec"]["maxUnavailable"] = f"{chance.randint(10, 50)}%"


_KINDS: Mapping[
    str, tuple[Callable[[random.Random, str], Manifest], Callable[[random.Random, Manifest], None]]
] = {
    "ConfigMap": (_data, _change_data),
    "CronJob": (_cron_job, _of_pods),
    "DaemonSet": (_daemon_set, _of_pods),
    "Deployment": (_deployment, _of_pods),
    "NetworkPolicy": (_policy, _change_policy),
    "PodDisruptionBudget": (_budget, _change_budget),
    "Role": (_role, _change_rules),
    "Secret": (_secret, _change_data),
    "Service": (_service, _change_ports),
    "ServiceAccount": (_account, _change_token),
    "StatefulSet": (_stateful_set, _of_pods),
}
"""How one is made, and how one is changed."""


# --- what breaks it


def _with_image(image: str) -> Callable[[random.Random, list[Manifest]], None]:
    def broken(chance: random.Random, manifests: list[Manifest]) -> None:
        workload = chance.choice(
            [m for m in manifests if m["kind"] in ("Deployment", "StatefulSet", "DaemonSet")]
        )
        chance.choice(workload["spec"]["template"]["spec"]["containers"])["image"] = image

    return broken


def _init_crashes(chance: random.Random, manifests: list[Manifest]) -> None:
    manifests[0]["spec"]["template"]["spec"]["initContainers"] = [{"name": "prepare", "image": "setup:crash"}]


def _job_fails(chance: random.Random, manifests: list[Manifest]) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "migrate:crash"}]}
    manifests.append(
        _object("batch/v1", "Job", "migrate", spec={"backoffLimit": 0, "template": {"spec": pod}})
    )


def _never_ready(chance: random.Random, manifests: list[Manifest]) -> None:
    template = manifests[0]["spec"]["template"]
    template["metadata"].setdefault("annotations", {})["pipeline.test/pod"] = "unready"
    for container in template["spec"]["containers"]:
        container["readinessProbe"] = {"tcpSocket": {"port": 80}}


def _recreated_and_crashes(chance: random.Random, manifests: list[Manifest]) -> None:
    """An immutable field changes, and what takes its place does not come up."""
    workload = manifests[0]
    workload["metadata"].setdefault("annotations", {})["pipeline/recreate"] = "allowed"
    labels = {**workload["spec"]["template"]["metadata"]["labels"], "turn": "second"}
    workload["spec"]["selector"] = {"matchLabels": labels}
    workload["spec"]["template"]["metadata"]["labels"] = labels
    _with_image("app:crash")(chance, [workload])


_SLOW = ("it is never ready",)
_BREAKS: Mapping[str, Callable[[random.Random, list[Manifest]], None]] = {
    "a job fails": _job_fails,
    "an init container crashes": _init_crashes,
    "it is never ready": _never_ready,
    "its configuration is missing": _with_image("app:configerror"),
    "its image is denied": _with_image("app:denied"),
    "its image is missing": _with_image("app:missing"),
    "it crashes": _with_image("app:crash"),
    "it has no memory": _with_image("app:oom"),
    "what is recreated crashes": _recreated_and_crashes,
}
