"""What an ``environment.yaml`` says, once it is known to be right (design §3).

All durations are seconds. Field names are those of the file, in snake_case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .objects import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class EksCluster:
    """A cluster by its EKS name. ``role`` is assumed for the token, ``describe_role`` for the look-up."""

    name: str
    region: str = ""
    role: str = ""
    describe_role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigCluster:
    """A cluster by kubeconfig file and context; empty means kubectl's own defaults."""

    path: str = ""
    context: str = ""


Cluster = EksCluster | KubeconfigCluster


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPart:
    """The content of a chart's dependency, which is called ``name`` or has that alias in its Chart.yaml."""

    name: str
    digest: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class HelmChart:
    """How a chart is rendered. ``values`` are files, as paths within the repository; the last one wins.

    An empty ``namespace`` is the environment's. ``kube_version`` and ``api_versions`` are what templates are
    told of the cluster; empty where none is at hand. ``installed``: the last verified release had the chart,
    so that this is an upgrade of it. ``digest`` is that of a chart which is not in the
    repository; its source's path is an address then. ``dependencies`` are those that are fetched, as they
    are not vendored.
    """

    release: str
    namespace: str = ""
    values: tuple[str, ...] = ()
    digest: str = ""
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()
    installed: bool = False
    dependencies: tuple[PinnedPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where manifests come from. ``path`` is relative to the repository's root, as git writes it:
    a file or folder of manifests, the folder of a kustomization, a chart."""

    kind: str  # manifests | kustomize | helm
    path: str
    origin: Origin
    helm: HelmChart | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """A file or folder that the rendering of a source depends on; it need not exist: it may be added.

    ``chain`` leads there: the source, what it uses, what that uses, …, the path itself.
    """

    path: str
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    on_merge: bool = True
    branch: str = "main"
    timeout_s: float = 600.0
    parallelism: int = 16
    on_error: str = "stop"  # or continue: with what does not need the failed object


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Deleting more than this at once needs a person to say so."""

    enabled: bool = True
    max_deletions: int = 10
    max_percent: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Grace:
    """How long transient evidence is borne, in seconds; ``restarts`` is a count.

    ``ready_s`` counts from the end of a readiness probe's own window; infinite where it is not set, as how
    long a start takes is the application's business.
    """

    image_s: float = 60.0
    schedule_s: float = 90.0
    quota_s: float = 60.0
    restarts: int = 2
    ready_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyRule:
    """Readiness of a whole kind: all of ``ready`` must hold, any of ``failed`` fails it.

    Each entry is ``condition=Ready``, ``condition=Stalled:False``, ``jsonpath={.status.phase}=Running``
    or ``jsonpath={.spec.clusterIP}`` (present and not empty).
    """

    kind: str
    group: str = ""
    ready: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """``steady_s``: how long a container without a readiness probe must run before its workload counts."""

    grace: Grace = Grace()
    steady_s: float = 3.0
    rules: tuple[ReadyRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """GET through the API server's proxy to ``service:port``, or of ``url``."""

    service: str = ""
    port: int | str = 80
    path: str = "/"
    url: str = ""
    status: int = 200
    contains: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """A connection to ``host:port``, or by way of the API server to a ready endpoint of ``service``."""

    service: str = ""
    host: str = ""
    port: int | str = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A health check: passes when ``samples`` samples in a row are good, within ``deadline_s``.

    ``timeout_s`` bounds one sample, ``interval_s`` is the time between the starts of two.
    """

    name: str
    probe: HttpCheck | TcpCheck
    samples: int = 3
    interval_s: float = 2.0
    timeout_s: float = 5.0
    deadline_s: float = 60.0
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    auto: bool = True
    on_first_deploy: str = "remove"  # or keep
    require: str = "possible"  # or exact: refuse what a rollback could not undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """What manifests may touch beyond namespaced objects of the environment's own namespace.

    ``cluster_scoped`` holds ``Kind``, ``Kind.group`` or ``*``; ``missing`` holds written object
    references that something else creates later; ``remote`` the hosts of what sources may fetch.
    """

    cluster_scoped: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    conflicts: str = "refuse"  # or take
    missing: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    sources: tuple[str, ...] = ()  # `from` in the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One place to deploy to, with its policy."""

    name: str
    application: str
    namespace: str
    path: str  # of environment.yaml, within the repository
    create_namespace: bool = True
    cluster: Cluster | None = None
    sources: tuple[Source, ...] = ()
    deploy: Deploy = Deploy()
    prune: Prune = Prune()
    rollout: Rollout = Rollout()
    checks: tuple[Check, ...] = ()
    rollback: Rollback = Rollback()
    allow: Allow = field(default_factory=Allow)
    promotion: Promotion = Promotion()

    @property
    def allowed_namespaces(self) -> tuple[str, ...]:
        return self.allow.namespaces or (self.namespace,)
