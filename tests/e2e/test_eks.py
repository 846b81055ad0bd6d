"""`pipeline eks` as a user types it, against a server that answers like AWS."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[2]
NAME = "my-eks-cluster"


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """The environment of a process whose AWS is on loopback, with one cluster."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-real-key",
        "AWS_DEFAULT_REGION": "ap-northeast-2",
    }
    import boto3

    eks = boto3.client(
        "eks",
        region_name="ap-northeast-2",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    eks.create_cluster(
        name=NAME,
        roleArn="arn:aws:iam::111122223333:role/eks",
        resourcesVpcConfig={"subnetIds": ["subnet-1"], "securityGroupIds": []},
    )
    yield environ
    server.stop()


def run(aws: dict[str, str], home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environ = {**aws, "HOME": str(home)}
    command = [sys.executable, "-m", "pipeline", *args]
    return subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, check=False)


def test_a_token_is_an_exec_credential(aws, tmp_path):
    result = run(aws, tmp_path, "eks", "token", "--name", NAME, "--region", "ap-northeast-2")
    assert result.returncode == 0, result.stderr
    credential = json.loads(result.stdout)
    assert credential["kind"] == "ExecCredential"
    assert credential["status"]["token"].startswith("k8s-aws-v1.")


def test_the_kubeconfig_calls_us_for_the_token(aws, tmp_path):
    result = run(aws, tmp_path, "eks", "kubeconfig", "--name", NAME, "--region", "ap-northeast-2")
    assert result.returncode == 0, result.stderr
    written = tmp_path / ".kube" / "config"
    assert written.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(written.read_text())
    user = config["users"][0]["user"]["exec"]
    assert user["command"] == "pipeline"
    assert user["args"][:2] == ["eks", "token"]
    assert config["current-context"] == config["contexts"][0]["name"]
    assert NAME in config["current-context"]


def test_a_dry_run_writes_nothing(aws, tmp_path):
    result = run(
        aws, tmp_path, "eks", "kubeconfig", "--name", NAME, "--region", "ap-northeast-2", "--dry-run"
    )
    assert result.returncode == 0
    assert yaml.safe_load(result.stdout)["kind"] == "Config"
    assert not (tmp_path / ".kube").exists()


@pytest.mark.parametrize(
    ("change", "args"),
    [
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true"}, (), id="without credentials"
        ),
        pytest.param({}, ("--name", "no-such-cluster"), id="of a cluster that does not exist"),
    ],
)
def test_what_aws_refuses_is_one_line(aws, tmp_path, change, args):
    environ = {k: v for k, v in {**aws, **change}.items() if v}
    if not change.get("AWS_ACCESS_KEY_ID", "x"):
        environ.pop("AWS_SECRET_ACCESS_KEY")
    result = run(
        environ, tmp_path, "eks", "kubeconfig", "--region", "ap-northeast-2", *(args or ("--name", NAME))
    )
    assert result.returncode == 40
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")


def test_without_a_cluster_the_usage_is_told(aws, tmp_path):
    result = run(aws, tmp_path, "eks", "token")
    assert result.returncode == 2
    assert "--name" in result.stderr
