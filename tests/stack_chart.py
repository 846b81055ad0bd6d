"""A chart of the shape and size of kube-prometheus-stack: a few files are written out, the many are made.

Definitions in ``crds/`` of a part, webhooks whose certificates Jobs of hooks make, custom resources, a part
under two aliases, a packed part, dashboards by ``.Files.Glob``, rules in loops, made-up passwords, tests.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

NAME = "stack"
GROUP = "monitoring.coreos.com"
DEFINITIONS = {
    "Alertmanager": "alertmanagers",
    "AlertmanagerConfig": "alertmanagerconfigs",
    "PodMonitor": "podmonitors",
    "Probe": "probes",
    "Prometheus": "prometheuses",
    "PrometheusAgent": "prometheusagents",
    "PrometheusRule": "prometheusrules",
    "ScrapeConfig": "scrapeconfigs",
    "ServiceMonitor": "servicemonitors",
    "ThanosRuler": "thanosrulers",
}
RULES = 30
DASHBOARDS = 25
TARGETS = ("api-server", "coredns", "etcd", "kubelet", "proxy", "scheduler", "controller-manager", "dns")
_FIELDS = 150
"""Properties of each definition: the real ones have thousands of lines."""


def write(folder: Path) -> None:
    """Lay the chart into ``folder``."""
    for path, text in files().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())


def files() -> dict[str, str | bytes]:
    """The chart's files by their paths within it."""
    return {
        **{path: textwrap.dedent(text).lstrip("\n") for path, text in _WRITTEN.items()},
        **dict(_definitions()),
        **{
            f"dashboards/{n:02}.json": json.dumps({"title": f"board {n}", "panels": []})
            for n in range(DASHBOARDS)
        },
        "charts/node-exporter-4.1.0.tgz": packed("node-exporter", _EXPORTER),
    }


def packed(name: str, content: dict[str, str]) -> bytes:
    """The archive of a chart: the same files, the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, text in content.items():
            data = textwrap.dedent(text).lstrip("\n").encode()
            info = tarfile.TarInfo(f"{name}/{path}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0)


def _definitions() -> Iterator[tuple[str, str]]:
    for kind, plural in DEFINITIONS.items():
        fields = {
            f"field{n}": {
                "type": "string",
                "description": f"Field {n} of {kind}. " + "It says what it does. " * 5,
            }
            for n in range(_FIELDS)
        }
        spec = {"type": "object", "properties": fields, "x-kubernetes-preserve-unknown-fields": True}
        status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        schema = {"type": "object", "properties": {"spec": spec, "status": status}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        version |= {"subresources": {"status": {}}}
        names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
        }
        yield f"charts/crds/crds/{plural}.yaml", json.dumps(body, indent=1)


_EXPORTER = {
    "Chart.yaml": "{apiVersion: v2, name: node-exporter, version: 4.1.0}\n",
    "values.yaml": "image: node-exporter:1.8\nport: 9100\n",
    "templates/daemonset.yaml": """
        apiVersion: apps/v1
        kind: DaemonSet
        metadata:
          name: {{ .Release.Name }}-node-exporter
        spec:
          selector: {matchLabels: {app: node-exporter}}
          template:
            metadata: {labels: {app: node-exporter}}
            spec:
              containers:
              - name: exporter
                image: {{ .Values.image }}
                ports: [{name: metrics, containerPort: {{ .Values.port }}}]
        """,
    "templates/service.yaml": """
        apiVersion: v1
        kind: Service
        metadata:
          name: {{ .Release.Name }}-node-exporter
        spec:
          selector: {app: node-exporter}
          ports: [{name: metrics, port: {{ .Values.port }}, targetPort: metrics}]
        """,
}


_PATCH = "admission-webhooks/job-patch"


def _job(name: str, events: str, argument: str) -> str:
    return f"""
        {{{{- if .Values.admissionWebhooks.enabled }}}}
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: {{{{ include "stack.fullname" . }}}}-admission-{name}
          annotations:
            helm.sh/hook: {events}
            helm.sh/hook-weight: "5"
            helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
        spec:
          template:
            spec:
              restartPolicy: OnFailure
              serviceAccountName: {{{{ include "stack.fullname" . }}}}-admission
              containers:
              - name: {name}
                image: {{{{ .Values.admissionWebhooks.image }}}}
                args: [{argument}, "--namespace={{{{ .Release.Namespace }}}}"]
        {{{{- end }}}}
        """


def _access(kind: str, body: str) -> str:
    return f"""
        {{{{- if .Values.admissionWebhooks.enabled }}}}
        apiVersion: {"v1" if kind == "ServiceAccount" else "rbac.authorization.k8s.io/v1"}
        kind: {kind}
        metadata:
          name: {{{{ include "stack.fullname" . }}}}-admission
          annotations:
            helm.sh/hook: pre-install,pre-upgrade,post-install,post-upgrade
            helm.sh/hook-weight: "-5"
            helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
        {body}
        {{{{- end }}}}
        """


def _webhook(kind: str, word: str) -> str:
    return f"""
        {{{{- if .Values.admissionWebhooks.enabled }}}}
        apiVersion: admissionregistration.k8s.io/v1
        kind: {kind}
        metadata:
          name: {{{{ include "stack.fullname" . }}}}-admission
        webhooks:
        - name: {word}.prometheusrules.example.com
          admissionReviewVersions: [v1]
          sideEffects: None
          failurePolicy: {{{{ .Values.admissionWebhooks.failurePolicy }}}}
          timeoutSeconds: 1
          clientConfig:
            service:
              namespace: {{{{ .Release.Namespace }}}}
              name: {{{{ include "stack.fullname" . }}}}-operator
              path: /admission-prometheusrules/{word}
          namespaceSelector:
            matchLabels: {{kubernetes.io/metadata.name: {{{{ .Release.Namespace }}}}}}
          rules:
          - apiGroups: [{GROUP}]
            apiVersions: ["*"]
            resources: [prometheusrules]
            operations: [CREATE, UPDATE]
        {{{{- end }}}}
        """


_WRITTEN = {
    "Chart.yaml": """
        apiVersion: v2
        name: stack
        version: 72.3.0
        appVersion: v0.82.0
        kubeVersion: ">=1.25.0-0"
        dependencies:
        - {name: crds, version: "0.0.0", condition: crds.enabled}
        - {name: metrics, version: "5.*", alias: kube-state-metrics, repository: "https://example.com/charts"}
        - {name: metrics, version: "5.*", alias: pushgateway, repository: "https://example.com/charts"}
        - {name: node-exporter, version: "4.*", repository: "https://example.com/charts"}
        """,
    ".helmignore": "*.orig\n",
    "values.yaml": """
        fullnameOverride: ""
        crds: {enabled: true}
        operator: {image: "prometheus-operator:0.82", replicas: 1}
        prometheus: {replicas: 2, retention: 10d}
        alertmanager: {enabled: true, replicas: 1}
        grafana: {adminUser: admin, image: "grafana:12"}
        admissionWebhooks: {enabled: true, failurePolicy: Ignore, image: "certgen:1.5"}
        commonLabels: {}
        """,
    "values.schema.json": json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": {"prometheus": {"properties": {"replicas": {"$ref": "#/$defs/count"}}}},
            "$defs": {"count": {"type": "integer", "minimum": 1}},
        }
    ),
    "charts/crds/Chart.yaml": "{apiVersion: v2, name: crds, version: 0.0.0}\n",
    "charts/metrics/Chart.yaml": "{apiVersion: v2, name: metrics, version: 5.1.0}\n",
    "charts/metrics/values.yaml": "image: metrics:2\nreplicas: 1\n",
    "charts/metrics/templates/all.yaml": """
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: {{ .Release.Name }}-{{ .Chart.Name }}
        spec:
          replicas: {{ .Values.replicas }}
          selector: {matchLabels: {app: {{ .Chart.Name }}}}
          template:
            metadata: {labels: {app: {{ .Chart.Name }}}}
            spec:
              containers:
              - name: main
                image: {{ .Values.image }}
                ports: [{name: http, containerPort: 8080}]
        ---
        apiVersion: v1
        kind: Service
        metadata:
          name: {{ .Release.Name }}-{{ .Chart.Name }}
        spec:
          selector: {app: {{ .Chart.Name }}}
          ports: [{name: http, port: 8080, targetPort: http}]
        """,
    "templates/_helpers.tpl": """
        {{- define "stack.fullname" -}}
        {{- default .Release.Name .Values.fullnameOverride | trunc 26 -}}
        {{- end }}
        {{- define "stack.labels" -}}
        app.kubernetes.io/managed-by: {{ .Release.Service }}
        app.kubernetes.io/instance: {{ .Release.Name | quote }}
        helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
        {{- with .Values.commonLabels }}
        {{ toYaml . }}
        {{- end }}
        {{- end }}
        """,
    "templates/NOTES.txt": "{{ .Chart.Name }} is there.\n",
    "templates/operator.yaml": """
        apiVersion: v1
        kind: ServiceAccount
        metadata:
          name: {{ include "stack.fullname" . }}-operator
          labels: {{- include "stack.labels" . | nindent 4 }}
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata:
          name: {{ include "stack.fullname" . }}-operator
          labels: {{- include "stack.labels" . | nindent 4 }}
        rules:
        - {apiGroups: [monitoring.coreos.com], resources: ["*"], verbs: ["*"]}
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata:
          name: {{ include "stack.fullname" . }}-operator
          labels: {{- include "stack.labels" . | nindent 4 }}
        roleRef:
          apiGroup: rbac.authorization.k8s.io
          kind: ClusterRole
          name: {{ include "stack.fullname" . }}-operator
        subjects:
        - kind: ServiceAccount
          name: {{ include "stack.fullname" . }}-operator
          namespace: {{ .Release.Namespace }}
        ---
        apiVersion: v1
        kind: Service
        metadata:
          name: {{ include "stack.fullname" . }}-operator
          labels: {{- include "stack.labels" . | nindent 4 }}
        spec:
          selector: {app: operator}
          ports: [{name: https, port: 443, targetPort: https}]
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: {{ include "stack.fullname" . }}-operator
          labels: {{- include "stack.labels" . | nindent 4 }}
        spec:
          replicas: {{ .Values.operator.replicas }}
          selector: {matchLabels: {app: operator}}
          template:
            metadata: {labels: {app: operator}}
            spec:
              serviceAccountName: {{ include "stack.fullname" . }}-operator
              containers:
              - name: operator
                image: {{ .Values.operator.image }}
                ports: [{name: https, containerPort: 10250}]
                volumeMounts: [{name: tls, mountPath: /cert, readOnly: true}]
              volumes:
              - name: tls
                secret: {secretName: {{ include "stack.fullname" . }}-admission}
        """,
    "templates/prometheus.yaml": """
        apiVersion: monitoring.coreos.com/v1
        kind: Prometheus
        metadata:
          name: {{ include "stack.fullname" . }}
          labels: {{- include "stack.labels" . | nindent 4 }}
        spec:
          replicas: {{ .Values.prometheus.replicas }}
          retention: {{ .Values.prometheus.retention }}
        {{- if .Values.alertmanager.enabled }}
        ---
        apiVersion: monitoring.coreos.com/v1
        kind: Alertmanager
        metadata:
          name: {{ include "stack.fullname" . }}
          labels: {{- include "stack.labels" . | nindent 4 }}
        spec:
          replicas: {{ .Values.alertmanager.replicas }}
        {{- end }}
        """,
    "templates/rules.yaml": f"""
        {{{{- range $i := until {RULES} }}}}
        ---
        apiVersion: monitoring.coreos.com/v1
        kind: PrometheusRule
        metadata:
          name: {{{{ include "stack.fullname" $ }}}}-rules-{{{{ $i }}}}
          labels: {{{{- include "stack.labels" $ | nindent 4 }}}}
        spec:
          groups:
          - name: group-{{{{ $i }}}}
            rules:
            - alert: TooMany
              expr: sum(rate(errors_total[5m])) > {{{{ $i }}}}
              annotations: {{{{ `{{summary: "{{{{ $labels.pod }}}} has errors"}}` }}}}
        {{{{- end }}}}
        """,
    "templates/monitors.yaml": f"""
        {{{{- range $name := list {" ".join(f'"{name}"' for name in TARGETS)} }}}}
        ---
        apiVersion: monitoring.coreos.com/v1
        kind: ServiceMonitor
        metadata:
          name: {{{{ include "stack.fullname" $ }}}}-{{{{ $name }}}}
          labels: {{{{- include "stack.labels" $ | nindent 4 }}}}
        spec:
          selector: {{matchLabels: {{app: {{{{ $name }}}}}}}}
          endpoints: [{{port: http-metrics, interval: 30s}}]
        ---
        apiVersion: v1
        kind: Service
        metadata:
          name: {{{{ include "stack.fullname" $ }}}}-{{{{ $name }}}}
          labels: {{{{- include "stack.labels" $ | nindent 4 }}}}
        spec:
          clusterIP: None
          ports: [{{name: http-metrics, port: 9090}}]
        {{{{- end }}}}
        """,
    "templates/dashboards.yaml": """
        {{- range $path, $_ := .Files.Glob "dashboards/*.json" }}
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: {{ include "stack.fullname" $ }}-{{ base $path | trimSuffix ".json" }}
          labels: {{- include "stack.labels" $ | nindent 4 }}
        data:
          {{ base $path }}: |-
            {{- $.Files.Get $path | nindent 4 }}
        {{- end }}
        """,
    "templates/grafana.yaml": """
        apiVersion: v1
        kind: Secret
        metadata:
          name: {{ .Release.Name }}-grafana
          labels: {{- include "stack.labels" . | nindent 4 }}
        type: Opaque
        data:
          admin-user: {{ .Values.grafana.adminUser | b64enc }}
          admin-password: {{ randAlphaNum 40 | b64enc }}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: {{ .Release.Name }}-grafana
          labels: {{- include "stack.labels" . | nindent 4 }}
        spec:
          selector: {matchLabels: {app: grafana}}
          template:
            metadata:
              labels: {app: grafana}
            spec:
              containers:
              - name: grafana
                image: {{ .Values.grafana.image }}
                env:
                - name: GF_SECURITY_ADMIN_PASSWORD
                  valueFrom: {secretKeyRef: {name: {{ .Release.Name }}-grafana, key: admin-password}}
        """,
    "templates/tests/test.yaml": """
        apiVersion: v1
        kind: Pod
        metadata:
          name: {{ .Release.Name }}-test
          annotations: {helm.sh/hook: test}
        spec:
          restartPolicy: Never
          containers: [{name: test, image: "bats:1"}]
        """,
    f"templates/{_PATCH}/serviceaccount.yaml": _access("ServiceAccount", ""),
    f"templates/{_PATCH}/clusterrole.yaml": _access(
        "ClusterRole",
        "rules: [{apiGroups: [admissionregistration.k8s.io], resources: ['*'], verbs: [get, update]}]",
    ),
    f"templates/{_PATCH}/clusterrolebinding.yaml": _access(
        "ClusterRoleBinding",
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, "
        'name: {{ include "stack.fullname" . }}-admission}\n'
        "        subjects: [{kind: ServiceAccount, namespace: {{ .Release.Namespace }}, "
        'name: {{ include "stack.fullname" . }}-admission}]',
    ),
    f"templates/{_PATCH}/role.yaml": _access(
        "Role", "rules: [{apiGroups: [''], resources: [secrets], verbs: [get, create]}]"
    ),
    f"templates/{_PATCH}/rolebinding.yaml": _access(
        "RoleBinding",
        'roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ include "stack.fullname" . }}'
        "-admission}\n        subjects: [{kind: ServiceAccount, namespace: {{ .Release.Namespace }}, "
        'name: {{ include "stack.fullname" . }}-admission}]',
    ),
    f"templates/{_PATCH}/job-create.yaml": _job("create", "pre-install,pre-upgrade", "create"),
    f"templates/{_PATCH}/job-patch.yaml": _job("patch", "post-install,post-upgrade", "patch"),
    "templates/admission-webhooks/mutating.yaml": _webhook("MutatingWebhookConfiguration", "mutate"),
    "templates/admission-webhooks/validating.yaml": _webhook("ValidatingWebhookConfiguration", "validate"),
}
