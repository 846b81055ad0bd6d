"""Programs of others that tests run: found, or built once into the user's cache by Go from its module proxy.

``python -m tests.tools`` builds what is missing, minutes each, outside of any test's time limit.
"""

from __future__ import annotations

import functools
import sys

from tests.bench import peers
from tests.bench.peers import HELM, Peer

AGE_KEYGEN = Peer(
    name="age-keygen",
    module="filippo.io/age",
    package="filippo.io/age/cmd/age-keygen",
    version="v1.3.2",
    ask=("--version",),
    looks_like=r"v1\.\d+",
)
SOPS = Peer(
    name="sops",
    module="github.com/getsops/sops/v3",
    package="github.com/getsops/sops/v3/cmd/sops",
    version="v3.13.3",
    ask=("--version", "--disable-version-check"),
    looks_like=r"sops 3\.\d+",
)
FIXTURES = {"helm": (HELM,), "sops": (SOPS, AGE_KEYGEN)}
"""What a test needs that asks for a fixture."""


@functools.cache
def path(peer: Peer) -> str:
    """Where it is; built first where it is not here.

    Raises:
        RuntimeError: it cannot be built.
    """
    found = peers.find(peer)
    if found is None:
        print(f"building {peer.name} {peer.version}, once: minutes", file=sys.stderr, flush=True)
        why = peers.build(peer)
        found = peers.find(peer)
        if found is None:
            raise RuntimeError(f"build {peer.name}: {why or 'it does not tell the version that it should'}")
    return found.path


def main() -> int:
    """Build what is missing."""
    for peer in {peer for needed in FIXTURES.values() for peer in needed}:
        try:
            print(f"{peer.name}: {path(peer)}")
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
