"""What a container wrote, as the API server has it of the kubelet."""

from __future__ import annotations

from urllib.parse import quote

from .http import Call, Http

_NO_LOGS = frozenset({400, 404, 500, 502, 503, 504})


def read(http: Http, namespace: str, pod: str, container: str, *, previous: bool, lines: int) -> str:
    """The last lines of a container, or empty where the server has none."""
    query = {"container": container, "tailLines": str(lines)}
    if previous:
        query["previous"] = "true"
    answer = http.send(
        Call(
            method="GET",
            path=f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log",
            what=f"read the logs of Pod/{pod}",
            query=query,
            accept="text/plain, */*",
            idempotent=True,
            budget_s=0,  # logs explain a failure; they must not delay it
        ),
        accept_status=_NO_LOGS,
    )
    return answer.body.decode("utf-8", "replace") if answer.status == 200 else ""
