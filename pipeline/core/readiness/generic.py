"""Custom resources by the conventions of their conditions, and the kinds of the API machinery itself.

kstatus takes a custom resource without a Ready condition for Current: measured over the health
cases of 241 kinds, that is wrong for three of four that are still progressing. So silence is
Unknown here, and a rule of the user's (``pipeline/ready``, ``rollout.rules``) speaks for it.
"""

from __future__ import annotations

from pipeline.core.readiness import admission
from pipeline.core.readiness.verdicts import SETTLE_S, Facts, current, failed, unknown, waiting
from pipeline.core.reading import condition, items, mapping, number, seconds, text
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus

_FAILED = ("Stalled", "Failed", "Failure")  # True means: will not mend by itself
_BUSY = ("Reconciling", "Degraded", "Pending", "Terminating")  # True means: not yet
_READY = ("Ready", "Available", "Healthy", "Succeeded", "Complete", "Completed", "Established", "Programmed")

_PHASES = (("status", "phase"), ("status", "state"), ("status", "health"), ("status", "status"))
_LONGEST = 50  # characters of what may be one word
_UNTOLD = ", so nothing tells whether it is ready; the annotation pipeline/ready can"


def custom(obj: Object, facts: Facts) -> ObjectStatus:
    """Judge by conditions; those that are older than the spec count as not there yet."""
    if not mapping(obj, "status"):
        return _without_status(facts)
    if number(obj, "status", "observedGeneration") < 0:
        return waiting("NotObserved", "its controller has not seen it yet")
    conditions = {text(c, "type"): c for c in items(obj, "status", "conditions")}
    stale = [name for name, found in conditions.items() if _is_stale(found, obj)]
    if any(name in stale for name in (*_READY, *_FAILED, *_BUSY)):
        return waiting("NotObserved", f"its condition {min(stale)} is that of an older generation")
    for name in _FAILED:
        if text(conditions.get(name), "status") == "True":
            return failed("CustomResourceFailed", _say(conditions[name]))
    for name in _BUSY:
        if text(conditions.get(name), "status") == "True":
            return waiting(name, _say(conditions[name]))
    return _by_ready(conditions, facts) or unknown("CustomResourceUnknown", _untold(obj))


def _by_ready(conditions: dict[str, Object], facts: Facts) -> ObjectStatus | None:
    names = [name for name in _READY if name in conditions]
    for name in names:
        if text(conditions[name], "status") != "True":
            return waiting(f"Not{name}", _say(conditions[name]))
    if text(conditions.get("Progressing"), "status") == "True" and "Ready" not in names:
        return waiting("Progressing", _say(conditions["Progressing"]))
    if text(conditions.get("Synced"), "status") == "False":
        # Crossplane and its like: Ready is about what exists, Synced about whether the spec reached it.
        return waiting("NotSynced", _say(conditions["Synced"]))
    if names:
        return current(names[0], text(conditions[names[0]], "message"))
    if facts.has_status_subresource is False:
        return current("Exists", "its kind reports no status")
    return None


def _untold(obj: Object) -> str:
    """With what is the next best: what a rule can be written about."""
    path = next((path for path in _PHASES if 0 < len(text(obj, *path)) < _LONGEST), None)
    said = f" ({'.'.join(path)} is {text(obj, *path)})" if path else ""
    return f"has none of the usual conditions{said}{_UNTOLD}"


def _without_status(facts: Facts) -> ObjectStatus:
    if facts.has_status_subresource is None:
        return unknown("CustomResourceUnknown", f"has no status{_UNTOLD}")
    if facts.has_status_subresource:
        return waiting("NoStatus", "its controller has not reported a status yet")
    return current("Exists", "its kind reports no status")


def _is_stale(found: Object, obj: Object) -> bool:
    seen = number(found, "observedGeneration", default=-1)
    return 0 <= seen < number(obj, "metadata", "generation")


def _say(found: Object) -> str:
    said = text(found, "message") or text(found, "reason")
    kind, status = text(found, "type"), text(found, "status") or "Unknown"
    return f"{kind} is {status}" + (f": {said}" if said else "")


def definition(obj: Object, facts: Facts) -> ObjectStatus:
    """A CRD serves its kind once it is Established; names that clash never will be.

    Its conditions tell of no generation before 1.35, so that a clash may be the one that our write ends.
    """
    names, established = condition(obj, "NamesAccepted"), condition(obj, "Established")
    if names.get("status") == "False" and _may_be_over(names, facts):
        return waiting("NotObserved", "its new names have not been looked at yet")
    if names.get("status") == "False":
        return failed("NamesNotAccepted", text(names, "message") or "its names clash with another kind")
    if established.get("status") == "True" and admission.conversion_waits(obj):
        return waiting("CABundlePending", "cert-manager has not written the CA of its conversion webhook yet")
    if established.get("status") == "True":
        return current("Established", "is served")
    if established.get("status") == "False" and established.get("reason") != "Installing":
        return failed("NotEstablished", text(established, "message") or "cannot be served")
    return waiting("Installing", "is not served yet")


def _may_be_over(found: Object, facts: Facts) -> bool:
    """Whether a condition from before our write may just not have been looked at anew."""
    began = seconds(found.get("lastTransitionTime"))
    if facts.since is None or facts.now is None or began is None:
        return False
    return began + 1 < facts.since and facts.now - facts.since < SETTLE_S  # times are whole seconds


def api_service(obj: Object, facts: Facts) -> ObjectStatus:
    found = condition(obj, "Available")
    if found.get("status") == "True":
        return current("Available", text(found, "message") or "is served")
    return waiting("APIUnavailable", text(found, "message") or "its server has not been reached yet")


def by_ready(obj: Object, facts: Facts) -> ObjectStatus:
    """Of kinds whose only condition is Ready: a Node (core/v1), a ServiceCIDR (networking.k8s.io/v1)."""
    found = condition(obj, "Ready")
    if found.get("status") == "True":
        return current("Ready", text(found, "message"))
    return waiting("NotReady", _say(found) if found else "has not been reported as ready yet")


def signing_request(obj: Object, facts: Facts) -> ObjectStatus:
    """Denied or Failed: "approved/denied conditions are mutually exclusive", "Failed: the signer failed to
    issue the certificate" (certificates.k8s.io/v1). Who signs is a person, or not: nothing waits for it."""
    for kind in ("Denied", "Failed"):
        if condition(obj, kind).get("status") == "True":
            return failed(f"Request{kind}", _say(condition(obj, kind)))
    if text(obj, "status", "certificate"):
        return current("Issued", "its certificate is issued")
    return current("Pending", warning="its certificate is not issued yet: it needs approval and a signer")


def migration(obj: Object, facts: Facts) -> ObjectStatus:
    """Succeeded, or Failed (storagemigration.k8s.io MigrationConditionType)."""
    if condition(obj, "Failed").get("status") == "True":
        return failed("MigrationFailed", _say(condition(obj, "Failed")))
    if condition(obj, "Succeeded").get("status") == "True":
        return current("Succeeded", "all stored objects are migrated")
    return waiting("Running", "stored objects are being migrated")
