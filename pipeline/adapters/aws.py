"""Sessions, roles and errors of AWS, for what we ask of EKS, STS and ECR. boto3 is imported on use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from pipeline.model.errors import UnreachableError

from .apierror import clean

DESCRIBE_SESSION = "EKSDescribeClusterSession"
TOKEN_SESSION = "EKSGetTokenAuth"  # noqa: S105 - a name in CloudTrail, the same as the aws CLI's


def session(region: str = "") -> Any:
    """A boto3 session by the usual chain: environment, profile, web identity, container, instance."""
    import boto3

    with aws_errors("reading the AWS configuration"):
        # boto3 itself does not look at AWS_REGION, which containers and actions set.
        return boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None)


def client(of: Any, service: str, region: str = "") -> Any:
    """A client with bounded patience: a few tries, seconds each."""
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})
    with aws_errors(f"preparing to ask AWS {service}"):
        return of.client(service, region_name=region or None, config=config)


def assume(base: Any, role: str, name: str, region: str = "") -> tuple[Any, float]:
    """(a session with the role's credentials, when they expire: seconds since 1970)."""
    import boto3

    with aws_errors(f"assuming the role {role}"):
        answer = client(base, "sts", region).assume_role(RoleArn=role, RoleSessionName=name)
    got = answer["Credentials"]
    assumed = boto3.Session(
        aws_access_key_id=got["AccessKeyId"],
        aws_secret_access_key=got["SecretAccessKey"],
        aws_session_token=got["SessionToken"],
        region_name=region or base.region_name,
    )
    return assumed, got["Expiration"].timestamp()


@contextlib.contextmanager
def aws_errors(what: str, needs: str = "eks:DescribeCluster on this cluster") -> Iterator[None]:
    """Raise what botocore raises as UnreachableError, with what to do about it; ``needs`` are the rights that
    whoever is denied it lacks."""
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as exc:
        code = str(exc.response.get("Error", {}).get("Code", ""))
        text = clean(exc.response.get("Error", {}).get("Message"), 300)
        denied = f"the identity needs {needs}" if code == "AccessDeniedException" else ""
        hint = denied or _HINTS.get(code, "check the identity's IAM permissions")
        raise UnreachableError(f"{what}: {code}: {text}", hint=hint) from None
    except exceptions.BotoCoreError as exc:
        hint = _HINTS.get(type(exc).__name__, "check the AWS configuration and the network")
        raise UnreachableError(f"{what}: {clean(str(exc), 300)}", hint=hint) from None


_LOG_IN = "log in to AWS again: the credentials are missing, expired or not valid"
_OIDC = (
    "may this identity do that? With GitHub OIDC compare the role's trust policy with the token's sub: "
    "repositories made after 2026-07-15 have one with immutable ids"
)

_HINTS = {
    "NoCredentialsError": "set AWS credentials: a role in GitHub Actions, a profile or variables",
    "PartialCredentialsError": "the AWS credentials are incomplete: both key and secret are needed",
    "NoRegionError": "name the region: --region, spec.cluster.eks.region or AWS_REGION",
    "ProfileNotFound": "AWS_PROFILE names a profile that the AWS configuration does not have",
    "EndpointConnectionError": "check the region's name, the network and the proxy",
    "ConnectTimeoutError": "check the network and the proxy",
    "CredentialRetrievalError": _LOG_IN,
    "TokenRetrievalError": _LOG_IN,
    "SSOTokenLoadError": _LOG_IN,
    "UnauthorizedSSOTokenError": _LOG_IN,
    "ExpiredToken": _LOG_IN,
    "ExpiredTokenException": _LOG_IN,
    "RequestExpired": "is this machine's clock right?",
    "SignatureDoesNotMatch": "is the secret key right, and this machine's clock?",
    "InvalidClientTokenId": _LOG_IN,
    "UnrecognizedClientException": _LOG_IN,
    "AccessDenied": _OIDC,
    "ResourceNotFoundException": "check the cluster's name, the region and the account",
    "ThrottlingException": "AWS is limiting requests: try again in a minute",
    "Throttling": "AWS is limiting requests: try again in a minute",
}
