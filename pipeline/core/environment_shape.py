"""The shape of ``environment.yaml``: the one definition behind its reader and its JSON Schema."""

from __future__ import annotations

from pipeline.core.chart_reference import DIGEST
from pipeline.core.charts import KUBE_VERSION
from pipeline.core.ready_rules import parse_rule
from pipeline.core.schema import Duration, Either, Field, Flag, Keys, Many, Text, Whole
from pipeline.model.objects import ObjectRef

LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""DNS-1123 label (RFC 1123): names of namespaces and, by our records' names, of environments."""

RELEASE = r"^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$"
"""Helm's own limit for a release's name: objects append to it."""


def _reference(text: str) -> None:
    ObjectRef.parse(text)


def _ready_rule(text: str) -> None:
    parse_rule(text)


_NAME = Text(pattern=LABEL, words="lower-case letters, digits and -, at most 63")
_ANY = Text(pattern=r".", words="must not be empty")
_NAMES = Many(_NAME)
_PORT = Either(
    (Whole(1, 65535), Text(pattern=r"^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$", words="no port's name"))
)
_SPAN = Duration(0.001)


def _keys(**fields: Field) -> dict[str, Field]:
    """Fields whose names are no keywords of Python; ``from_`` stands for ``from``."""
    return {name.removesuffix("_"): field for name, field in fields.items()}


_EKS = Keys(
    fields=_keys(
        name=Field(shape=_ANY, required=True, about="The cluster's name in EKS."),
        region=Field(shape=Text(pattern=r"^[a-z]{2,}(-[a-z0-9]+)+$", words="no AWS region")),
        role=Field(shape=_ANY, about="ARN of the role that the token is made for."),
        describeRole=Field(shape=_ANY, about="ARN of the role that looks the cluster up."),
    )
)

_CLUSTER = Keys(
    fields=_keys(
        eks=Field(shape=_EKS),
        kubeconfig=Field(shape=Keys(fields=_keys(path=Field(shape=_ANY), context=Field(shape=_ANY)))),
    ),
    one_of=("eks", "kubeconfig"),
)

_PINNED = Keys(
    fields=_keys(
        name=Field(shape=_ANY, required=True, about="Its name, or its alias, in Chart.yaml."),
        digest=Field(
            shape=Text(pattern=DIGEST, words="write sha256: and 64 hexadecimal digits"),
            required=True,
            about="Write sha256:…: of its archive, as the repository's index tells it; in an OCI registry of "
            "its manifest, as `helm pull` tells it.",
        ),
    )
)

_HELM = Keys(
    fields=_keys(
        chart=Field(
            shape=_ANY,
            required=True,
            about="Folder or archive of a chart; oci://…@sha256:… or https://…@sha256:… of an allowed host.",
        ),
        release=Field(
            shape=Text(pattern=RELEASE, words="lower-case letters, digits and -, at most 53"),
            about="Default: the application.",
        ),
        namespace=Field(shape=_NAME, about="For objects that name none; default: the environment's."),
        values=Field(shape=Many(_ANY), about="Files, of which the last wins; SOPS may have encrypted them."),
        kubeVersion=Field(
            shape=Text(pattern=r"^v?[0-9]+\.[0-9]+(\.[0-9]+)?$", words="write it like 1.36.0, in quotes"),
            about=f"What templates are told where no cluster is at hand; default: {KUBE_VERSION}.",
        ),
        apiVersions=Field(
            shape=Many(Text(pattern=r"^[A-Za-z0-9./-]+$", words="write group/version or group/version/Kind")),
            about="Beyond those that Helm knows, what templates are told where no cluster is at hand.",
        ),
        dependencies=Field(
            shape=Many(_PINNED),
            about="Those in Chart.yaml that are not in charts/: fetched by digest, from allowed hosts.",
        ),
    )
)

_SOURCE = Keys(
    fields=_keys(
        manifests=Field(shape=_ANY, about="File or folder, recursive: *.yaml, *.yml, *.json."),
        kustomize=Field(shape=_ANY, about="Folder of a kustomization.yaml."),
        helm=Field(shape=_HELM),
    ),
    one_of=("manifests", "kustomize", "helm"),
)

_DEPLOY = Keys(
    fields=_keys(
        onMerge=Field(shape=Flag(), about="Deploy when the branch changes."),
        branch=Field(shape=Text(pattern=r"^[^-\s][^\s]*$", words="no branch's name")),
        timeout=Field(shape=_SPAN, about="For the whole deploy."),
        parallelism=Field(
            shape=Whole(1, 64),
            about="Requests at once; up to four times as many where the API server is far away.",
        ),
        onError=Field(
            shape=Text(choices=("stop", "continue")),
            about="After a failed write: start nothing more, or go on with what does not need it.",
        ),
    )
)

_PRUNE = Keys(
    fields=_keys(
        enabled=Field(shape=Flag(), about="Delete what the repository no longer has."),
        maxDeletions=Field(shape=Whole(0, 100_000)),
        maxPercent=Field(shape=Whole(0, 100)),
    )
)

_GRACE = Keys(
    fields=_keys(
        image=Field(shape=Duration(), about="For pulls that fail without proof that they always will."),
        schedule=Field(shape=Duration(), about="For pods that no node takes."),
        quota=Field(shape=Duration(), about="For pods that a quota refuses."),
        restarts=Field(shape=Whole(0, 100), about="Restarts that are borne."),
        ready=Field(
            shape=Duration(),
            about="For readiness probes that have not passed, beyond what their own timings allow. "
            "Unset: as long as deploy.timeout.",
        ),
    )
)

_RULE = Keys(
    fields=_keys(
        group=Field(shape=Text(), about="API group; empty for the core API."),
        kind=Field(shape=_ANY, required=True),
        ready=Field(shape=Many(Text(rule=_ready_rule)), about="All must hold."),
        failed=Field(shape=Many(Text(rule=_ready_rule)), about="Any fails the object."),
    )
)

_ROLLOUT = Keys(
    fields=_keys(
        grace=Field(shape=_GRACE),
        steady=Field(
            shape=Duration(),
            about="How long a container without a readiness probe must run before its workload counts.",
        ),
        rules=Field(shape=Many(_RULE)),
    )
)

_HTTP = Keys(
    fields=_keys(
        service=Field(shape=_NAME),
        port=Field(shape=_PORT),
        path=Field(shape=Text(pattern=r"^/\S*$", words="must begin with / and have no blanks")),
        url=Field(shape=Text(pattern=r"^https?://[^\s/@]+(/\S*)?$", words="no http or https URL")),
        status=Field(shape=Whole(100, 599)),
        contains=Field(shape=_ANY, about="Text that the answer must hold."),
    ),
    one_of=("service", "url"),
)

_TCP = Keys(
    fields=_keys(
        service=Field(shape=_NAME),
        host=Field(shape=Text(pattern=r"^[A-Za-z0-9.:-]+$", words="no host")),
        port=Field(shape=_PORT, required=True, about="Write port: NUMBER."),
    ),
    one_of=("service", "host"),
)

_CHECK = Keys(
    fields=_keys(
        name=Field(shape=_NAME, required=True),
        http=Field(shape=_HTTP),
        tcp=Field(shape=_TCP),
        samples=Field(shape=Whole(1, 1000), about="Good samples in a row that pass the check."),
        interval=Field(shape=_SPAN, about="Between the starts of two samples."),
        timeout=Field(shape=_SPAN, about="For one sample."),
        deadline=Field(shape=_SPAN, about="For the whole check."),
    ),
    one_of=("http", "tcp"),
)

_ALLOW = Keys(
    fields=_keys(
        clusterScoped=Field(
            shape=Many(
                Text(pattern=r"^(\*|[A-Z][A-Za-z0-9]*(\.[a-z0-9.-]+)?)$", words="write Kind, Kind.group or *")
            ),
            about="Cluster-scoped kinds that manifests may hold: Kind, Kind.group or *.",
        ),
        namespaces=Field(
            shape=Many(Text(pattern=rf"^\*$|{LABEL}", words="no namespace's name, nor *")),
            about="Namespaces that manifests may write to; default: the environment's own.",
        ),
        conflicts=Field(shape=Text(choices=("refuse", "take"))),
        missing=Field(
            shape=Many(Text(rule=_reference)),
            about="Objects, as group/Kind/namespace/name, that something else creates later.",
        ),
        remote=Field(
            shape=Many(Text(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]+)?$", words="no host's name")),
            about="Hosts, over https, of which kustomizations may use git repositories at a full commit id, "
            "and charts come by digest.",
        ),
    )
)

_APPROVALS = Keys(
    fields=_keys(
        required=Field(shape=Whole(0, 100)),
        from_=Field(shape=Many(_ANY)),
        notAuthor=Field(shape=Flag()),
        identity=Field(shape=Text(choices=("actor", "cluster"))),
    )
)

_WINDOW = Keys(
    fields=_keys(
        allow=Field(shape=_ANY),
        deny=Field(shape=_ANY),
        duration=Field(shape=_SPAN),
        timezone=Field(shape=_ANY),
    ),
    one_of=("allow", "deny"),
)

_PROMOTION = Keys(
    fields=_keys(
        from_=Field(shape=_NAMES, about="Environments whose verified release comes here."),
        soak=Field(shape=Duration(), later="soak is not enforced by this version"),
        approvals=Field(shape=_APPROVALS, later="approvals are not enforced by this version"),
        windows=Field(shape=Many(_WINDOW), later="windows are not enforced by this version"),
        auto=Field(shape=Flag(), later="auto is not acted upon by this version"),
    )
)

_SPEC = Keys(
    fields=_keys(
        application=Field(shape=_NAME, about="Default: the repository's name."),
        namespace=Field(shape=_NAME, required=True, about="Default for objects, and home of the records."),
        createNamespace=Field(shape=Flag()),
        cluster=Field(shape=_CLUSTER),
        sources=Field(shape=Many(_SOURCE), required=True, about="Where manifests come from."),
        deploy=Field(shape=_DEPLOY),
        prune=Field(shape=_PRUNE),
        rollout=Field(shape=_ROLLOUT),
        checks=Field(shape=Many(_CHECK)),
        rollback=Field(
            shape=Keys(
                fields=_keys(
                    auto=Field(shape=Flag()),
                    onFirstDeploy=Field(shape=Text(choices=("remove", "keep"))),
                    require=Field(
                        shape=Text(choices=("possible", "exact")),
                        about="exact: refuse a plan that a rollback could not undo.",
                    ),
                )
            )
        ),
        allow=Field(shape=_ALLOW),
        promotion=Field(shape=_PROMOTION),
    )
)

ENVIRONMENT = Keys(
    fields=_keys(
        apiVersion=Field(shape=Text(choices=("pipeline/v1",)), required=True, about="Write pipeline/v1."),
        kind=Field(shape=Text(choices=("Environment",)), required=True, about="Write Environment."),
        metadata=Field(
            shape=Keys(fields=_keys(name=Field(shape=_NAME, required=True, about="The folder's name."))),
            required=True,
        ),
        spec=Field(shape=_SPEC, required=True),
    )
)
