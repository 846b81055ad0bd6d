"""The objects that are deployed and read: settings, secrets, Services and Deployments that use them."""

from __future__ import annotations

from collections.abc import Iterator

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings-{n}
data:
  greeting: "hello"
  log.level: info
  retries: "3"
"""

SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: access-{n}
type: Opaque
stringData:
  user: reader
  password: not-a-secret-{n}
"""

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: web-{n}
spec:
  selector: {{app: web-{n}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{n}
  labels: {{bench: "true"}}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: web-{n}}}
  template:
    metadata:
      labels: {{app: web-{n}}}
      annotations: {{pipeline.test/delay: 200ms}}
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        ports:
        - {{name: http, containerPort: 8080}}
        readinessProbe: {{httpGet: {{port: http}}}}
        envFrom:
        - configMapRef: {{name: settings-{n}}}
        env:
        - name: PASSWORD
          valueFrom:
            secretKeyRef: {{name: access-{n}, key: password}}
        resources:
          requests: {{cpu: 10m, memory: 16Mi}}
"""

KINDS = (
    ("settings", CONFIG_MAP),
    ("access", SECRET),
    ("deployment", DEPLOYMENT),
    ("service", SERVICE),
)


def files(count: int) -> Iterator[tuple[str, str]]:
    """(file name, text) of ``count`` objects, one a file, a quarter of each kind.

    Where ``count`` is no multiple of four the last round lacks kinds that nothing refers to.
    """
    for number in range(count):
        name, text = KINDS[number % len(KINDS)]
        n = number // len(KINDS)
        yield f"{name}-{n}.yaml", text.format(n=n)


def one_text(count: int) -> bytes:
    """The same objects as one file."""
    return "---\n".join(text for _, text in files(count)).encode()
