"""EKS look-up, tokens and kubeconfig entries, against a fake AWS on loopback."""

import base64
import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from pipeline.adapters import aws, eks
from pipeline.adapters.connection import connect
from pipeline.adapters.eks_kubeconfig import KubeconfigOptions, KubeconfigResult, eks_kubeconfig
from pipeline.model.environment import EksCluster
from pipeline.model.errors import InvalidError, UnreachableError
from tests.cluster.local import LocalCluster
from tests.contract.fake_server import Reply, Script, serving

ROLE = "arn:aws:iam::123456789012:role/deployer"
ARN = "arn:aws:eks:eu-central-1:123456789012:cluster/shop"
SHOP = EksCluster(name="shop", region="eu-central-1")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything, and static credentials."""
    for name in ("KUBECONFIG", "AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN", "KUBERNETES_EXEC_INFO"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-real-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


@pytest.fixture
def shop(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster called shop."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    client = boto3.client("eks")
    client.create_cluster(name="shop", roleArn=ROLE, resourcesVpcConfig={"subnetIds": []})
    yield
    client.delete_cluster(name="shop")


@pytest.fixture
def fake_eks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    with serving() as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL", script.server)
        yield script


def described(**fields: Any) -> Reply:
    cluster = {"name": "shop", "arn": ARN, "status": "ACTIVE", "endpoint": "https://127.0.0.1:1"}
    return Reply(body={"cluster": {**cluster, **fields}})


def url_in(token: str) -> str:
    assert token.startswith("k8s-aws-v1.")
    text = token.removeprefix("k8s-aws-v1.")
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def test_a_token_is_a_signed_request_for_our_identity_bound_to_the_cluster() -> None:
    url = urlsplit(url_in(eks.TokenSource("shop", "eu-central-1").token().value))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}

    assert (url.scheme, url.hostname, url.path) == ("https", "sts.eu-central-1.amazonaws.com", "/")
    assert query["Action"] == "GetCallerIdentity"
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert query["X-Amz-Expires"] == "60"
    assert "/eu-central-1/sts/" in query["X-Amz-Credential"]


def test_tokens_for_two_clusters_differ_in_their_signature() -> None:
    urls = [url_in(eks.TokenSource(name, "eu-central-1").token().value) for name in ("a", "b")]

    assert len({parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] for url in urls}) == 2


def test_a_token_is_kept_until_it_is_due_and_then_made_anew() -> None:
    now = [1000.0]
    source = eks.TokenSource("shop", "eu-central-1", now=lambda: now[0])

    first = source.token()
    now[0] = first.expires - 1
    assert source.token() is first
    now[0] = first.expires
    assert source.token() is not first
    assert first.expires == 1000 + 14 * 60


def test_a_renewed_token_is_a_new_one() -> None:
    source = eks.TokenSource("shop", "eu-central-1", now=lambda: 1000.0)
    first = source.token()

    source.renew()

    assert source.token() is not first


def test_a_token_does_not_outlive_the_role_that_signed_it(
    shop: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=5)
    assumed = []

    def assume(base: Any, role: str, name: str, region: str) -> tuple[Any, float]:
        assumed.append((role, name))
        return base, ends.timestamp()

    monkeypatch.setattr(aws, "assume", assume)

    token = eks.TokenSource("shop", "eu-central-1", ROLE).token()

    assert token.expires == ends.timestamp() - 60
    assert assumed == [(ROLE, "EKSGetTokenAuth")]


def test_a_role_is_assumed_for_the_token(shop: None) -> None:
    url = url_in(eks.TokenSource("shop", "eu-central-1", ROLE).token().value)

    assert "X-Amz-Security-Token" in url
    assert "AKIDEXAMPLE" not in url


def test_credentials_that_have_expired_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "assume", lambda base, *_: (base, 0.0))

    with pytest.raises(UnreachableError, match="credentials have expired"):
        eks.TokenSource("shop", "eu-central-1", ROLE).token()


def test_a_token_that_eks_would_refuse_for_its_size_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "x" * 3000)

    with pytest.raises(UnreachableError, match="EKS takes 4096") as caught:
        eks.TokenSource("shop", "eu-central-1").token()

    assert "session tags" in caught.value.hint


def test_missing_credentials_are_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(UnreachableError, match="Unable to locate credentials") as caught:
        eks.eks_token("shop", "eu-central-1")

    assert "set AWS credentials" in caught.value.hint


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_exec_credential_speaks_the_version_that_kubectl_asks_for(version: str) -> None:
    api = f"client.authentication.k8s.io/{version}"

    document = eks.exec_credential(eks.Token("k8s-aws-v1.x", 0.0), json.dumps({"apiVersion": api}))

    assert document == {
        "kind": "ExecCredential",
        "apiVersion": api,
        "spec": {},
        "status": {"expirationTimestamp": "1970-01-01T00:00:00Z", "token": "k8s-aws-v1.x"},
    }


@pytest.mark.parametrize("info", ["", "{", "[]", '{"apiVersion": "nonsense"}'])
def test_without_a_known_version_the_exec_credential_is_v1beta1(info: str) -> None:
    document = eks.exec_credential(eks.Token("t", 0.0), info)

    assert document["apiVersion"] == "client.authentication.k8s.io/v1beta1"


def test_a_cluster_is_looked_up_by_its_name(shop: None) -> None:
    found = eks.describe(SHOP)

    assert (found.arn, found.region, found.status, found.id) == (ARN, "eu-central-1", "ACTIVE", "shop")
    assert found.endpoint.startswith("https://")


def test_a_cluster_that_is_not_there_is_called_so(shop: None) -> None:
    with pytest.raises(UnreachableError, match=r"looking up the EKS cluster shoe: .*No cluster found"):
        eks.describe(EksCluster(name="shoe", region="eu-central-1"))


@pytest.mark.parametrize("state", ["CREATING", "DELETING", "FAILED", "PENDING"])
def test_a_cluster_that_is_not_up_is_refused(fake_eks: Script, state: str) -> None:
    fake_eks.says(described(status=state))

    with pytest.raises(UnreachableError, match=f"its status is {state}"):
        eks.describe(SHOP)


def test_a_cluster_that_is_being_updated_is_fine(fake_eks: Script) -> None:
    fake_eks.says(described(status="UPDATING"))

    assert eks.describe(SHOP).status == "UPDATING"


def test_a_refused_look_up_names_the_permission(fake_eks: Script) -> None:
    refusal = {"message": "not authorized to perform: eks:DescribeCluster"}
    fake_eks.says(Reply(403, refusal, {"x-amzn-ErrorType": "AccessDeniedException"}))

    with pytest.raises(UnreachableError) as caught:
        eks.describe(SHOP)

    assert "eks:DescribeCluster" in caught.value.hint


def test_a_cluster_without_an_authority_cannot_be_connected_to(fake_eks: Script) -> None:
    fake_eks.says(described(certificateAuthority={"data": "bm90IGEgcGVt"}))

    with pytest.raises(UnreachableError, match="no usable certificate authority"):
        connect(SHOP)


@pytest.mark.cluster
def test_a_cluster_that_does_not_know_the_identity_refuses_the_login(
    cluster: LocalCluster, fake_eks: Script
) -> None:
    from tests.contract.test_cluster import open_connection

    authority = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    fake_eks.says(described(endpoint=cluster.server, certificateAuthority={"data": authority}))

    kube = open_connection(connect(SHOP))

    with pytest.raises(UnreachableError, match="refused the login") as caught:
        kube.identity()
    assert "access entry" in caught.value.hint
    kube.http.connection.close()


def write(**options: Any) -> KubeconfigResult:
    return eks_kubeconfig(SHOP, KubeconfigOptions(**options))


def test_the_entry_is_what_the_aws_cli_would_write_but_for_the_command(shop: None) -> None:
    result = write()

    config = yaml.safe_load(result.path.read_text())
    found = eks.describe(SHOP)
    assert config["clusters"] == [
        {"cluster": {"certificate-authority-data": found.ca_data, "server": found.endpoint}, "name": ARN}
    ]
    assert config["contexts"] == [{"context": {"cluster": ARN, "user": ARN}, "name": ARN}]
    assert config["current-context"] == ARN
    assert config["users"][0]["user"]["exec"] == {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "pipeline",
        "args": ["eks", "token", "--region", "eu-central-1", "--name", "shop"],
    }
    assert result.text == f"Added new context {ARN} to {result.path}"


def test_names_role_proxy_and_profile_are_as_asked(
    shop: None, monkeypatch: pytest.MonkeyPatch, laptop: Path
) -> None:
    (laptop / ".aws").mkdir()
    (laptop / ".aws" / "config").write_text("[profile work]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_PROFILE", "work")

    result = write(alias="prod", user_alias="me", role_arn=ROLE, proxy_url="http://proxy.example:3128")

    config = yaml.safe_load(result.path.read_text())
    command = config["users"][0]["user"]["exec"]
    assert config["contexts"] == [{"context": {"cluster": ARN, "user": "me"}, "name": "prod"}]
    assert config["clusters"][0]["cluster"]["proxy-url"] == "http://proxy.example:3128"
    assert command["args"][-2:] == ["--role-arn", ROLE]
    assert command["env"] == [{"name": "AWS_PROFILE", "value": "work"}]


def test_other_entries_keep_their_order_and_spelling(shop: None, laptop: Path) -> None:
    path = laptop / "config"
    path.write_text(
        "apiVersion: v1\nkind: Config\nclusters:\n"
        "- {name: z, cluster: {server: 'https://z', insecure-skip-tls-verify: yes}}\n"
        f"- name: {ARN}\n  cluster: {{server: old}}\n"
        "- {name: a, cluster: {server: 'https://a'}}\n"
        "contexts: null\nusers:\n- {name: n, user: {username: 012, password: '1e3'}}\ncurrent-context: z\n"
    )

    write(kubeconfig=str(path))

    text = path.read_text()
    config = yaml.safe_load(text)
    assert [c["name"] for c in config["clusters"]] == ["z", ARN, "a"]
    assert [u["name"] for u in config["users"]] == ["n", ARN]
    assert "insecure-skip-tls-verify: yes" in text
    assert "username: 012, password: '1e3'" in text


def test_a_second_time_changes_nothing_but_says_updated(shop: None) -> None:
    first = write()
    before = first.path.read_bytes()

    second = write()

    assert second.text == f"Updated context {ARN} in {second.path}"
    assert second.path.read_bytes() == before


def test_the_file_is_for_its_owner_alone(shop: None, laptop: Path) -> None:
    first = write()
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.path.parent.stat().st_mode) == 0o700
    assert not first.warnings

    first.path.chmod(0o644)
    second = write()

    assert "0644" in second.warnings[0]
    assert stat.S_IMODE(second.path.stat().st_mode) == 0o600
    assert [p.name for p in first.path.parent.iterdir()] == ["config"]


def test_a_link_to_the_file_stays_a_link(shop: None, laptop: Path) -> None:
    link = laptop / "link"
    link.symlink_to(laptop / "real")

    write(kubeconfig=str(link))

    assert link.is_symlink()
    assert ARN in (laptop / "real").read_text()


def test_a_dry_run_writes_nothing(shop: None, laptop: Path) -> None:
    result = write(dry_run=True)

    assert yaml.safe_load(result.text)["current-context"] == ARN
    assert not result.path.exists()


def test_the_file_is_the_one_that_has_the_cluster_or_the_first(
    shop: None, laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (laptop / name for name in ("one", "two", "three"))
    monkeypatch.setenv("KUBECONFIG", f"{one}:{two}")
    assert write().path == one

    monkeypatch.setenv("KUBECONFIG", f"{two}:{one}")
    assert write().path == one
    assert write(kubeconfig=str(three)).path == three


@pytest.mark.parametrize("text", ["{", "- a list", "clusters: 5"])
def test_what_is_no_kubeconfig_is_refused_and_left_alone(shop: None, laptop: Path, text: str) -> None:
    path = laptop / "config"
    path.write_text(text)

    with pytest.raises(InvalidError):
        write(kubeconfig=str(path))

    assert path.read_text() == text


def aws_cli(*arguments: str) -> str:
    command = shutil.which("aws")
    if command is None:
        pytest.skip("the aws CLI is not installed")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode == 127:
        pytest.skip("the aws CLI does not start")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_our_token_is_the_aws_clis_but_for_time_and_signature(shop: None) -> None:
    theirs = json.loads(aws_cli("eks", "get-token", "--cluster-name", "shop"))
    ours = json.loads(eks.eks_token("shop", "eu-central-1"))

    assert ours.keys() == theirs.keys()
    assert (ours["kind"], ours["apiVersion"]) == (theirs["kind"], theirs["apiVersion"])
    queries = [parse_qs(urlsplit(url_in(t["status"]["token"])).query) for t in (ours, theirs)]
    for query in queries:
        del query["X-Amz-Date"], query["X-Amz-Signature"]
    assert list(queries[0].items()) == list(queries[1].items())


def test_we_and_the_aws_cli_replace_each_others_entries(shop: None) -> None:
    path = write().path
    ours = yaml.safe_load(path.read_text())
    aws_cli("eks", "update-kubeconfig", "--name", "shop")
    theirs = yaml.safe_load(path.read_text())
    write()

    assert yaml.safe_load(path.read_text()) == ours
    assert theirs["users"][0]["user"]["exec"]["command"] == "aws"
    assert {k: v for k, v in theirs.items() if k != "users"} == {
        k: v for k, v in ours.items() if k != "users"
    }
