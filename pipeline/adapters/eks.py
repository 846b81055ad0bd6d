"""EKS clusters: the look-up, the bearer token and the connection, without the aws CLI.

The token is a presigned STS GetCallerIdentity request (aws-iam-authenticator's format): made here,
offline, and good for 15 minutes from its signature or until the signing credentials expire.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.model.environment import EksCluster
from pipeline.model.errors import UnreachableError

from . import aws
from .connection import Connection
from .endpoint import Endpoint, open_pool

PREFIX = "k8s-aws-v1."
HEADER = "x-k8s-aws-id"
LIFE_S = 14 * 60.0  # the server takes 15 minutes; one is left for clocks that differ
SKEW_S = 60.0  # credentials are not used in their last minute
SIGNED_FOR_S = 60  # what the aws CLI writes; STS ignores it, the authenticator wants 0..900
LARGEST_BYTES = 4096  # the authenticator refuses more


@dataclass(frozen=True, slots=True, kw_only=True)
class EksDescription:
    """What EKS says about a cluster. ``id`` is what a token is made for: the name, but on Outposts the id.

    ``ca_data`` is base64 as EKS and kubeconfigs have it. ``details`` is the whole answer.
    """

    name: str
    arn: str
    region: str
    status: str
    endpoint: str
    ca_data: str = field(repr=False)
    id: str = ""
    version: str = ""
    details: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when to stop using it: seconds since 1970."""

    value: str = field(repr=False)
    expires: float


def describe(cluster: EksCluster) -> EksDescription:
    """Look the cluster up, as ``describe_role`` where one is given.

    Raises:
        UnreachableError: no credentials, no permission, no such cluster, or not ACTIVE or UPDATING.
    """
    session = aws.session(cluster.region)
    if cluster.describe_role:
        session, _ = aws.assume(session, cluster.describe_role, aws.DESCRIBE_SESSION, cluster.region)
    what = f"looking up the EKS cluster {cluster.name}"
    with aws.aws_errors(what):
        found = aws.client(session, "eks", cluster.region).describe_cluster(name=cluster.name)["cluster"]
    status = str(found.get("status") or "")
    if status not in ("ACTIVE", "UPDATING"):
        raise UnreachableError(f"{what}: its status is {status}", hint="wait until it is ACTIVE")
    return EksDescription(
        name=str(found["name"]),
        arn=str(found["arn"]),
        region=str(found["arn"]).split(":")[3],  # the cluster's own, whatever was asked
        status=status,
        endpoint=str(found.get("endpoint") or ""),
        ca_data=str((found.get("certificateAuthority") or {}).get("data") or ""),
        id=str(found.get("id") or found["name"]),
        version=str(found.get("version") or ""),
        details=found,
    )


class TokenSource:
    """Bearer tokens for one cluster, made anew when due. Thread-safe; ``now`` is the wall clock."""

    def __init__(
        self, cluster_id: str, region: str, role: str = "", *, now: Callable[[], float] = time.time
    ) -> None:
        self._cluster_id = cluster_id
        self._region = region
        self._role = role
        self._now = now
        self._lock = threading.Lock()
        self._base: Any = None
        self._session: tuple[Any, float] | None = None
        self._token: Token | None = None

    def token(self) -> Token:
        """A token that is good for this moment. Offline, unless credentials or a role must be fetched.

        Raises:
            UnreachableError: credentials are missing or expired, or make a token that is too large.
        """
        with self._lock:
            if self._token is None or self._now() >= self._token.expires:
                self._token = self._mint()
            return self._token

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token().value}"}

    def renew(self) -> None:
        """Forget everything: the next token comes of credentials that are read, and a role assumed, anew."""
        with self._lock:
            self._base = self._session = self._token = None

    def _mint(self) -> Token:
        session, expires = self._signer()
        now = self._now()
        if expires - SKEW_S <= now:
            raise UnreachableError(
                "signing in to EKS: the AWS credentials have expired",
                hint="log in to AWS again, or let the role's session last longer",
            )
        value = PREFIX + _unpadded(presign(session, self._region, self._cluster_id))
        if len(value) > LARGEST_BYTES:
            raise UnreachableError(
                f"signing in to EKS: the token has {len(value)} bytes; EKS takes {LARGEST_BYTES}",
                hint="the AWS session token is too long: use fewer session tags and a shorter session policy",
            )
        return Token(value, min(now + LIFE_S, expires - SKEW_S))

    def _signer(self) -> tuple[Any, float]:
        """(session, when its credentials expire; infinite where that is not known)."""
        if self._base is None:
            self._base = aws.session(self._region)
        if not self._role:
            return self._base, _expiry(self._base)
        if self._session is None or self._session[1] - SKEW_S <= self._now():
            self._session = aws.assume(self._base, self._role, aws.TOKEN_SESSION, self._region)
        return self._session


def presign(session: Any, region: str, cluster_id: str) -> str:
    """The URL of a GetCallerIdentity request that is signed together with the cluster's name."""
    client = aws.client(session, "sts", region)
    key = "ClusterId"

    def take(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[key] = params.pop(key)

    def put(request: Any, **_: Any) -> None:
        request.headers[HEADER] = request.context[key]

    client.meta.events.register("provide-client-params.sts.GetCallerIdentity", take)
    client.meta.events.register("before-sign.sts.GetCallerIdentity", put)
    with aws.aws_errors("signing in to EKS"):
        url: str = client.generate_presigned_url(
            "get_caller_identity", Params={key: cluster_id}, ExpiresIn=SIGNED_FOR_S, HttpMethod="GET"
        )
    return url


def exec_credential(token: Token, exec_info: str = "") -> dict[str, Any]:
    """The ExecCredential document for a token; ``exec_info`` is kubectl's KUBERNETES_EXEC_INFO."""
    version = "v1beta1"
    try:
        asked = str(json.loads(exec_info).get("apiVersion", "")) if exec_info else ""
    except (ValueError, AttributeError):
        asked = ""
    if asked == "client.authentication.k8s.io/v1":
        version = "v1"
    expires = datetime.fromtimestamp(int(token.expires), UTC)
    return {
        "kind": "ExecCredential",
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "spec": {},
        "status": {"expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "token": token.value},
    }


def eks_token(name: str, region: str = "", role_arn: str = "") -> str:
    """What ``pipeline eks token`` prints: an ExecCredential, as JSON. UnreachableError as ``TokenSource``."""
    region = region or os.environ.get("AWS_REGION", "")
    token = TokenSource(name, region, role_arn).token()
    return json.dumps(exec_credential(token, os.environ.get("KUBERNETES_EXEC_INFO", "")))


def connect(cluster: EksCluster, *, pool_size: int) -> Connection:
    """A connection of the look-up's data; nothing is written to disk."""
    found = describe(cluster)
    endpoint = _endpoint(found)
    return Connection(
        server=endpoint.server,
        pool=open_pool(endpoint, pool_size),
        credentials=TokenSource(found.id, found.region, cluster.role),
        source=f"EKS cluster {found.name} in {found.region}",
        login_hint=(
            "has the cluster an access entry (or an aws-auth mapping) for this AWS identity, "
            "and is this machine's clock right?"
        ),
    )


def _endpoint(found: EksDescription) -> Endpoint:
    try:
        authorities = base64.b64decode(found.ca_data, validate=True)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities.decode("ascii"))
    except (ValueError, ssl.SSLError):
        raise UnreachableError(
            f"EKS cluster {found.name}: EKS gave no usable certificate authority for it",
            hint="is the cluster still being made?",
        ) from None
    return Endpoint(server=found.endpoint.rstrip("/"), authorities=authorities)


def _expiry(session: Any) -> float:
    """When the session's credentials expire; they renew themselves here where they can."""
    with aws.aws_errors("reading the AWS credentials"):
        credentials = session.get_credentials()
        if credentials is None:
            from botocore.exceptions import NoCredentialsError

            raise NoCredentialsError
        credentials.get_frozen_credentials()
    # botocore has no public name for it; without it the token's own life still holds.
    expiry = getattr(credentials, "_expiry_time", None)
    return expiry.timestamp() if isinstance(expiry, datetime) else float("inf")


def _unpadded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
