"""What a container's probes show, and how long their own timings bear it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline.core.evidence.events import Happening, one_line
from pipeline.core.evidence.scene import Container, Scene
from pipeline.core.reading import mapping, number, seconds, text
from pipeline.model.objects import Object, get_path
from pipeline.model.status import CauseCode, Evidence, Grade

# core/v1 Probe: periodSeconds and failureThreshold where nothing is written
_PERIOD_S = 10
_THRESHOLD = 3


def window_s(probe: Object) -> int:
    """How many seconds after a container's start its probe may fail before the kubelet acts on it."""
    tries = max(1, number(probe, "failureThreshold", default=_THRESHOLD))
    period_s = max(1, number(probe, "periodSeconds", default=_PERIOD_S))
    return max(0, number(probe, "initialDelaySeconds")) + tries * period_s


def probe_events(container: Container, scene: Scene) -> list[Happening]:
    return container.happenings(scene, "Unhealthy", "ProbeError", "Killing")


def not_ready(container: Container, scene: Scene) -> Iterator[Evidence]:
    """Runs, but is not ready: told when the time is over, no reason to stop before, unless the environment
    says how long is too long (``rollout.grace.ready``).

    How long a start takes is the application's business: a readiness probe's threshold says when it
    gets no requests, not when it is given up. What gives up is a startup or liveness probe, by a
    restart, and progressDeadlineSeconds.
    """
    starting = "startupProbe" in container.spec and container.status.get("started") is not True
    word, field = ("Startup", "startupProbe") if starting else ("Readiness", "readinessProbe")
    said = [h for h in probe_events(container, scene) if h.message.startswith(f"{word} probe")]
    if not said and field not in container.spec:
        return
    probe = " ".join(filter(None, (word.lower(), "probe", _words(container.spec, field))))
    shown = container.evidence(
        CauseCode.STARTUP_PROBE_FAILED if starting else CauseCode.READINESS_PROBE_FAILED,
        Grade.TRANSIENT,
        f"{container.title} of image {container.image} runs, but is not ready: "
        f"{probe} has not passed{_since(container, scene, field)}",
        *(h.told for h in said[-1:]),
        # A startup probe is judged by its restarts, like every other death.
        count=container.restarts if starting else max((h.count for h in said), default=0),
        field=(field,),
    )
    yield replace(shown, window_s=window_s(mapping(container.spec, field)))


def _since(container: Container, scene: Scene, field: str) -> str:
    """How long it has been tried, and whether its own timings allow for that."""
    started = seconds(get_path(container.status, "state", "running", "startedAt"))
    probe = mapping(container.spec, field)
    if started is None or not probe:
        return ""
    tried_s, allowed_s = max(0, int(scene.now - started)), window_s(probe)
    if tried_s < allowed_s:
        return f" in {tried_s} s; its timings allow {allowed_s} s"
    return f" in {tried_s} s, more than the {allowed_s} s of its timings"


def _words(spec: Object, field: str) -> str:
    """The probe in a few words: ``GET :8080/ready``."""
    http, tcp = mapping(spec, field, "httpGet"), mapping(spec, field, "tcpSocket")
    if http:
        return f"GET :{http.get('port', '')}{text(http, 'path') or '/'}"
    if tcp:
        return f"of TCP port {tcp.get('port', '')}"
    words = get_path(spec, field, "exec", "command")
    if isinstance(words, list) and words:
        return f"of command {one_line(str(words[0]))}"  # its arguments may hold a password
    return "of gRPC" if mapping(spec, field, "grpc") else ""
