"""How we connect to an API server: which one, whom to trust, and who we are.

A connection is made from a kubeconfig, from inside a pod, or by the ``eks`` module; each is loaded on use.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pipeline import failpoint
from pipeline.failpoint import Point
from pipeline.model.environment import Cluster, EksCluster, KubeconfigCluster

from .pace import FARTHEST

if TYPE_CHECKING:
    import urllib3

POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account (fixed by Kubernetes)."""

WATCHES = 512
"""Connections kept beside the parallel writes: one for each kind and namespace that is watched. None is
opened before it is needed; of more than are kept, urllib3 warns each time that one is given up."""


class Credentials(Protocol):
    """Who we are, as request headers. Thread-safe."""

    def headers(self) -> dict[str, str]:
        """Fresh at the time of the call; UnreachableError where no login can be had."""

    def renew(self) -> None:
        """The server refused what ``headers`` gave: get new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An API server and the right to talk to it. ``source`` says for people where both come from."""

    server: str
    pool: urllib3.PoolManager = field(repr=False)
    credentials: Credentials = field(repr=False)
    namespace: str = "default"
    source: str = ""
    login_hint: str = "are the credentials expired, and does the cluster know this identity?"

    def headers(self) -> dict[str, str]:
        """The login for one request; call it anew for each."""
        headers = self.credentials.headers()
        failpoint.passing(Point.TOKEN_POST)
        return headers

    def renew(self) -> None:
        self.credentials.renew()

    def close(self) -> None:
        """Drop idle connections."""
        self.pool.clear()


def connect(
    cluster: Cluster | None = None,
    *,
    kubeconfig: str = "",
    context: str = "",
    parallelism: int = 16,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Connection:
    """The connection for an environment's ``spec.cluster`` and the options of the command line.

    ``--kubeconfig`` and ``--context`` win over the environment's file, for a laptop's sake. Without
    any of them: ``KUBECONFIG``, ``~/.kube/config``, and last the pod we run in. A relative
    ``cluster.kubeconfig.path`` is read from ``folder``. No request is made but for exec plugins
    and, with EKS, the look-up of the cluster.

    Raises:
        UnreachableError: no such file or context, no credentials, no cluster of that name.
    """
    env = os.environ if environ is None else environ
    size = parallelism * FARTHEST + WATCHES
    if kubeconfig or context:
        return _from_kubeconfig(kubeconfig, context, size, env)
    match cluster:
        case EksCluster():
            from .eks import connect as connect_eks

            return connect_eks(cluster, pool_size=size)
        case KubeconfigCluster(path=path, context=name):
            full = str((folder or Path()) / Path(path).expanduser()) if path else ""
            return _from_kubeconfig(full, name, size, env)
        case None:
            if _is_in_pod(env):
                return _in_cluster(size)
            return _from_kubeconfig("", "", size, env)


def is_loopback(server: str) -> bool:
    """Whether a URL names this machine; no proxy is meant for it, whatever NO_PROXY says (as in Go)."""
    host = urlsplit(server).hostname or ""
    address = _address(host)
    return address.is_loopback if address else host == "localhost"


def proxy_for(url: str) -> str:
    """The proxy that the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY) wants for a URL; empty: none.

    NO_PROXY may hold hosts with or without port, domains, and, as in Go, networks such as 10.0.0.0/8.
    """
    parts = urlsplit(url)
    settings = getproxies()
    if is_loopback(url) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    address = _address(parts.hostname or "")
    networks = map(_network, settings.get("no", "").split(","))
    if address and any(network and address in network for network in networks):
        return ""
    return settings.get(parts.scheme) or ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def kubeconfig_paths(option: str, env: Mapping[str, str]) -> tuple[Path, ...]:
    """The files that make up the configuration, as kubectl chooses them; they may not exist."""
    if option:
        return (Path(option).expanduser(),)
    listed = [p for p in env.get("KUBECONFIG", "").split(os.pathsep) if p]
    if listed:
        return tuple(dict.fromkeys(Path(p).expanduser() for p in listed))
    return (Path(env.get("HOME") or Path.home()) / ".kube" / "config",)


def _from_kubeconfig(option: str, context: str, size: int, env: Mapping[str, str]) -> Connection:
    from .kubeconfig import load

    return load(kubeconfig_paths(option, env), context, pool_size=size)


def _is_in_pod(env: Mapping[str, str]) -> bool:
    """In a pod, and nobody asked for a kubeconfig."""
    if env.get("KUBECONFIG") or not env.get("KUBERNETES_SERVICE_HOST"):
        return False
    has_own = any(path.is_file() for path in kubeconfig_paths("", env))
    return not has_own and (POD_FOLDER / "token").is_file()


def _in_cluster(size: int) -> Connection:
    from .endpoint import Endpoint, open_pool
    from .package_login import from_service_account

    login = from_service_account()
    server, authority = str(login.settings.host), Path(str(login.settings.ssl_ca_cert))
    # The API server of one's own cluster is never behind a proxy.
    endpoint = Endpoint(server=server, authorities=authority.read_bytes(), proxy="")
    return Connection(
        server=server,
        pool=open_pool(endpoint, size),
        credentials=login,
        namespace=_read(POD_FOLDER / "namespace") or "default",
        source="this pod's service account",
        login_hint="does the pod's service account still exist, and is its token mounted?",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
