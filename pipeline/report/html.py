"""A release as one page that needs nothing else: no script, no request, no text of others that acts.

It is made of the finished JSON documents, in which secrets are masked already.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.escape import one_line

from .markup import code, plain, pre
from .words import SIGNS, count, seconds, value_text

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1f2328}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .75rem .25rem 0;
border-bottom:1px solid #d1d9e0;vertical-align:top}
pre{background:#f6f8fa;padding:.75rem;overflow-x:auto}code{font-size:.9em}
.good{color:#1a7f37}.bad{color:#cf222e}
"""

_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
"""Nothing is loaded and nothing runs, whatever got into the page (CSP level 3)."""

Document = Mapping[str, Any]


def release_page(report: Document, facts: Mapping[str, str], plan: Document | None) -> str:
    """``report`` as ``report_document`` makes it, ``facts`` of the record for its head, and the plan with
    its fields where there is one."""
    number = (report["release"] or {}).get("number", "?")
    title = f"release {number} of {report['environment']}"
    tone = "good" if report["exit_code"] == 0 else "bad"
    result = f'<span class="{tone}">{plain(report["result"])}</span>'
    body = [f"<h1>{plain(title)}: {result}</h1>"]
    for part in (
        _facts(report, facts),
        _causes(report["causes"]),
        _rollback(report["rollback"]),
        _list("Warnings", report["warnings"]),
        _checks(report["checks"]),
        _rollout(report["rollout"]),
        _changes(report, plan),
        _timings(report["timings"]),
    ):
        body += part
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{plain(title)}: {plain(report['result'])}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def _facts(report: Document, facts: Mapping[str, str]) -> Iterator[str]:
    known = {
        "command": report["command"],
        "revision": report["revision"]["sha"],
        "base": report["revision"]["base"],
        **facts,
        "plan": report["plan"]["digest"],
        "next": report.get("next"),
    }
    yield from _table((), [(plain(name), plain(value)) for name, value in known.items() if value])


def _causes(causes: Sequence[Document]) -> Iterator[str]:
    if causes:
        yield "<h2>Causes</h2>"
    for cause in causes:
        yield f"<p><b>{plain(cause['code'])}</b> {code(cause['object'] or '')} {plain(cause['message'])}</p>"
        if cause["origin"]:
            yield f"<p>at {code(cause['origin'])}</p>"
        if lines := [line for entry in cause["evidence"] for line in entry.splitlines() if line.strip()]:
            yield "\n".join(pre(lines))
        if cause["hint"]:
            yield f"<p>Hint: {plain(cause['hint'])}</p>"


def _rollback(rollback: Document) -> Iterator[str]:
    if rollback["verified"] is None:
        return
    yield "<h2>Rollback</h2>"
    yield f"<p>{'verified by comparison' if rollback['verified'] else 'NOT verified'}</p>"
    rows = [
        (
            code(d["object"]),
            code(d["path"] or "object"),
            plain(value_text(d["before"])),
            plain(value_text(d["after"])),
            plain(d.get("reason", "")),
        )
        for d in rollback["differences"]
    ]
    yield from _table(("object", "field", "before", "after", "why"), rows)


def _list(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"<h2>{title}</h2><ul>"
        yield from (f"<li>{plain(item)}</li>" for item in items)
        yield "</ul>"


def _checks(checks: Sequence[Document]) -> Iterator[str]:
    if checks:
        yield "<h2>Checks</h2>"
    rows = [
        (plain(c["name"]), plain(c["verdict"]), plain(c["reason"]), plain(count(len(c["samples"]), "sample")))
        for c in checks
    ]
    yield from _table(("check", "verdict", "reason", "samples"), rows)


def _rollout(rollout: Sequence[Document]) -> Iterator[str]:
    if rollout:
        yield "<h2>Rollout</h2>"
    rows = [
        (
            code(e["object"]),
            *(plain(e[key]) for key in ("status", "reason", "message")),
            seconds(e["seconds"]),
        )
        for e in rollout
    ]
    yield from _table(("object", "status", "reason", "message", "after"), rows)


def _changes(report: Document, plan: Document | None) -> Iterator[str]:
    changes = report["plan"]["changes"]
    if not changes:
        return
    results = {a["object"]: a["result"] for a in report["applied"]}
    signs = {str(action): sign for action, sign in SIGNS.items()}
    yield "<h2>Changes</h2>"
    rows = [
        (
            str(c["wave"]),
            plain(f"{signs.get(c['action'], '?')} {c['action']}"),
            code(c["object"]),
            code(c["origin"] or ""),
            plain(results.get(c["object"], "")),
            plain(c["reversible"]),
        )
        for c in changes
    ]
    yield from _table(("wave", "action", "object", "from", "result", "reversible"), rows)
    if lines := list(_field_lines(plan)):
        yield "<h2>Fields</h2>"
        yield "\n".join(pre(lines))


def _field_lines(plan: Document | None) -> Iterator[str]:
    for change in plan["changes"] if plan else ():
        if change["fields"]:
            yield one_line(change["object"])
        for field in change["fields"]:
            before, after = (value_text(field[key]) for key in ("before", "after"))
            values = {"add": after, "remove": before}.get(field["op"], f"{before} → {after}")
            yield f"  {field['op']} {one_line(field['path'])}: {values}"


def _timings(timings: Mapping[str, float]) -> Iterator[str]:
    yield "<h2>Time</h2>"
    yield from _table((), [(plain(name), seconds(value)) for name, value in timings.items() if value])


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Cells are finished HTML."""
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    if lines:
        head = ["<tr>" + "".join(f"<th>{name}</th>" for name in header) + "</tr>"] if header else []
        yield "\n".join(["<table>", *head, *lines, "</table>"])
