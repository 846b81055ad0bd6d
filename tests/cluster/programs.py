"""The command lines of the cluster's programs, and the nodes they simulate.

Every program listens on loopback only, or not at all, and sends nothing further, the API
server by way of ``EGRESS``. All state is below the folder.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE_NET = "10.96.0.0/16"
MAX_NODES = 2048  # what the pods' network, 10.128.0.0/9 in parts of /20, has room for

# The default class. Its volumes are made by stages/volume.yaml.
STORAGE_CLASS = {
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "pipeline.test/simulated",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}

# Where egress.py listens. Relative to the folder, in which every program runs: the name of
# a socket is limited to some 100 characters, and a test's folder may be longer.
EGRESS_SOCKET = "egress.sock"

# ``cluster`` is the way to nodes, pods, services and the webhooks behind them;
# ``controlplane`` to webhooks with a URL. That to etcd stays direct. A socket, since over
# TCP the API server would insist on TLS.
EGRESS = {
    "apiVersion": "apiserver.k8s.io/v1beta1",
    "kind": "EgressSelectorConfiguration",
    "egressSelections": [
        {
            "name": name,
            "connection": {
                "proxyProtocol": "HTTPConnect",
                "transport": {"uds": {"udsName": EGRESS_SOCKET}},
            },
        }
        for name in ("cluster", "controlplane")
    ],
}

# The client's own limit, 20 to 50 calls a second, would be what a benchmark measures.
UNTHROTTLED = ("--kube-api-qps=1000", "--kube-api-burst=2000")
# One copy of each: an election would only cost seconds at the start.
ALONE = ("--leader-elect=false", "--secure-port=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports of 127.0.0.1 that were free a moment ago."""

    api: int
    etcd: int
    etcd_peer: int
    kubelet: int


def commands(binary: Path, folder: Path, ports: Ports, stages: Iterable[Path]) -> dict[str, list[str]]:
    """Return the command line of each program, by its name."""
    access = f"--kubeconfig={folder}/kubeconfig"
    return {
        "etcd": [str(binary), "etcd", *_etcd_flags(folder, ports)],
        "kube-apiserver": [str(binary), "kube-apiserver", *_apiserver_flags(folder, ports)],
        "kube-controller-manager": [
            *(str(binary), "kube-controller-manager", access, *UNTHROTTLED, *ALONE),
            f"--service-account-private-key-file={folder}/certs/apiserver.key",
            f"--root-ca-file={folder}/certs/apiserver.crt",
        ],
        "kube-scheduler": [str(binary), "kube-scheduler", access, *UNTHROTTLED, *ALONE],
        "kwok": [
            *(str(binary), "kwok", access, *(f"--config={stage}" for stage in stages)),
            *(
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                "--node-lease-duration-seconds=40",
            ),
        ],
        "kubelet": [
            *(sys.executable, str(Path(__file__).parent / "kubelet.py")),
            *(str(folder), str(ports.api), str(ports.kubelet)),
        ],
    }


def _etcd_flags(folder: Path, ports: Ports) -> list[str]:
    client, peer = (f"http://127.0.0.1:{port}" for port in (ports.etcd, ports.etcd_peer))
    return [
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # The data need not outlive the machine, nor even the test.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver_flags(folder: Path, ports: Ports) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--secure-port={ports.api}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        # An Endpoints object cannot hold a loopback address, so nobody may write one.
        "--endpoint-reconciler-type=none",
        f"--cert-dir={folder}/certs",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        # Written by the server itself before it reads it as this.
        f"--service-account-key-file={folder}/certs/apiserver.key",
        f"--service-account-signing-key-file={folder}/certs/apiserver.key",
        f"--service-cluster-ip-range={SERVICE_NET}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--egress-selector-config-file={folder}/egress.json",
    ]


def node(number: int, kubelet_port: int) -> dict[str, Any]:
    """Return a node for kwok to play: large, in one of three zones, without taints."""
    name = f"node-{number}"
    first = (number - 1) * 16  # a /20 is 16 times 256 addresses
    resources = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"}
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "simulated",
        "topology.kubernetes.io/region": "local",
        "topology.kubernetes.io/zone": f"local-{'abc'[(number - 1) % 3]}",
    }
    cidr = f"10.{128 + first // 256}.{first % 256}.0/20"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            # All nodes are at one address: kubelet.py answers for every one of them.
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        },
    }
