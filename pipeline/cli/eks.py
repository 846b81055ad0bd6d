"""``pipeline eks``: logging in to EKS without the aws CLI."""

from __future__ import annotations

import argparse
import sys

from pipeline.cli.screen import Screen
from pipeline.model.environment import EksCluster
from pipeline.model.errors import UsageError
from pipeline.model.exit_codes import ExitCode
from pipeline.wiring import App


def run(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    """Print an ExecCredential, or write the entry of a kubeconfig."""
    cluster = _cluster(app, args)
    if args.eks_command == "token":
        from pipeline.adapters.eks import eks_token

        screen.show(eks_token(cluster.name, cluster.region, args.role_arn or cluster.role))
        return ExitCode.OK
    from pipeline.adapters.eks_kubeconfig import KubeconfigOptions, eks_kubeconfig

    options = KubeconfigOptions(
        kubeconfig=args.kubeconfig,
        role_arn=args.role_arn,
        alias=args.alias,
        user_alias=args.user_alias,
        proxy_url=args.proxy_url,
        dry_run=args.dry_run,
    )
    result = eks_kubeconfig(cluster, options)
    for warning in result.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    screen.show(result.text)
    return ExitCode.OK


def _cluster(app: App, args: argparse.Namespace) -> EksCluster:
    """``--name`` and ``--region``, else what the environment's file says."""
    assume = getattr(args, "assume_role_arn", "")
    if args.name:
        return EksCluster(name=args.name, region=args.region, role=args.role_arn, describe_role=assume)
    if not args.environment:
        raise UsageError("which cluster?", hint="--name CLUSTER --region REGION, or -e ENV")
    workspace = app.workspace()
    environment = workspace.environment(args.environment, workspace.repository.resolve("HEAD"))
    if not isinstance(environment.cluster, EksCluster):
        raise UsageError(
            f"{environment.name} names no EKS cluster", hint=f"set spec.cluster.eks in {environment.path}"
        )
    return environment.cluster
