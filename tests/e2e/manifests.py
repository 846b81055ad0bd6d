"""The manifests that end-to-end tests start from. ``$NS`` and ``$APP`` are replaced as they are written."""

SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  greeting: hello
"""

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: nginx:1.21
          envFrom:
            - configMapRef: {name: settings}
          readinessProbe: {tcpSocket: {port: 80}}
"""

SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: credentials
stringData:
  password: CANARY
"""


def config_map(name: str, **data: str) -> str:
    """A ConfigMap."""
    lines = [f"  {key}: {value!r}" for key, value in (data or {"key": "value"}).items()]
    return "\n".join(
        ["apiVersion: v1", "kind: ConfigMap", f"metadata: {{name: {name}}}", "data:", *lines, ""]
    )
