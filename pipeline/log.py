"""The log for operators, on stderr: what happened as facts, without a secret in any of them.

People read the reporter's lines; programs read this. structlog is loaded on first use, so that
``pipeline --version`` is quick.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from pipeline.core.escape import defuse, defuse_json, escape, one_line
from pipeline.core.known import Known
from pipeline.core.redaction import scrub as scrub_patterns
from pipeline.core.redaction import scrub_tree

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Facts = MutableMapping[str, Any]

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_FRAMES = 30
_MESSAGE_LIMIT = 300
"""Characters of a foreign exception's message: its first line may be useful, its body may be a Secret."""


class _State:
    """What this process knows: facts bound to every entry, and values that must not appear."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.format, self.level = "text", _LEVELS[0]
        self.set_up = False
        self.bound: dict[str, Any] = {}
        self.secrets: set[str] = set()
        self.known = Known()

    def clear(self) -> None:
        self.format, self.level, self.set_up = "text", _LEVELS[0], False
        self.bound, self.secrets, self.known = {}, set(), Known()


_state = _State()


def configure(format: str = "text", verbosity: int = 0) -> None:
    """Set up the log. ``format`` is ``text`` or ``json``; ``verbosity`` counts ``-v``.

    Text starts at warnings, since progress comes from the reporter; JSON at info, since then the
    log is the progress. Each ``-v`` shows one level more of ours; other libraries stay at
    warnings, because at debug they print tokens and bodies. structlog is imported with the first
    entry: most commands that a person types have none.
    """
    first = 1 if format == "json" else 0
    _state.format = format
    _state.level = _LEVELS[min(first + max(verbosity, 0), len(_LEVELS) - 1)]
    _state.set_up = False
    _forward_libraries(_state.level)


def _set_up() -> None:
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _add_bound,
            _describe_exception,
            _redact,
            _to_json if _state.format == "json" else _to_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_state.level),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )
    _state.set_up = True


def get() -> FilteringBoundLogger:
    """The logger; with default settings where ``configure`` was not called."""
    import structlog

    if not _state.set_up:
        _set_up()
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def bind(**facts: Any) -> None:
    """Facts that every entry carries from now on, on all threads: release, environment, revision."""
    with _state.lock:
        _state.bound = {**_state.bound, **facts}


def unbind() -> None:
    """Forget what was bound: the next environment begins."""
    with _state.lock:
        _state.bound = {}


def redact(*values: str) -> None:
    """These values, in any usual encoding, appear in no entry and in no scrubbed text from now on."""
    with _state.lock:
        if not _state.secrets.issuperset(values):
            _state.secrets |= set(values)
            _state.known = Known(_state.secrets)


def hide(text: str) -> str:
    """``text`` without registered values, and else as it is: what looks like a credential may be none."""
    return _state.known.remove(text)


def scrub(text: str) -> str:
    """``text`` without registered values and without what looks like a credential."""
    return scrub_patterns(_state.known.remove(text))


def scrub_document(document: Any) -> Any:
    """A JSON value, its strings scrubbed. Keys are not judged: a document's are ours."""
    return _scrubbed(document, {})


def _scrubbed(document: Any, known: dict[str, str]) -> Any:
    """``known`` has what became of a string: kinds, namespaces and verdicts stand in it a thousand times."""
    if isinstance(document, str):
        if document not in known:
            known[document] = scrub(document)
        return known[document]
    if isinstance(document, dict):
        return {key: _scrubbed(value, known) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [_scrubbed(item, known) for item in document]
    return document


def forget() -> None:
    """Forget bound facts and registered values: the next run of a process that stays begins."""
    with _state.lock:
        _state.bound, _state.secrets, _state.known = {}, set(), Known()


def reset() -> None:
    """Forget settings, bound facts and registered values. For tests and for a process that starts anew."""
    with _state.lock:
        _state.clear()


class _Stderr:
    """Writes to whatever stderr is now: a live view may have put itself in front of it."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, message: str) -> None:
        try:
            stream = sys.stderr
            encoding = getattr(stream, "encoding", None) or "utf-8"
            stream.write(message.encode(encoding, "replace").decode(encoding) + "\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):
            return  # a log that no one takes is no reason to stop

    debug = info = warning = error = critical = exception = log = msg


class _Forward(logging.Handler):
    """Entries of other libraries, by way of the same redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        facts: dict[str, Any] = {"logger": record.name, "message": message}
        if record.exc_info:
            facts["exc_info"] = record.exc_info
        get().log(record.levelno, "library_reported", **facts)


def _forward_libraries(level: int) -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Forward):
            root.removeHandler(handler)
    root.addHandler(_Forward())
    root.setLevel(logging.WARNING)
    logging.getLogger("pipeline").setLevel(level)
    for name in ("urllib3", "botocore", "boto3", "kubernetes", "git"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_bound(_: Any, __: str, facts: Facts) -> Facts:
    return {**_state.bound, **facts}


def _describe_exception(_: Any, __: str, facts: Facts) -> Facts:
    given = facts.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        facts["exception"] = describe(error)
    return facts


def describe(error: BaseException) -> list[str]:
    """An exception and what led to it, one line each: types, first lines of messages, places.

    Never the values of variables, never more than the first line of a message: str(ApiException)
    holds the whole body of the answer.
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        # scrubbed before it is cut: half of a secret is found no more
        first = scrub(str(current)).strip().partition("\n")[0][:_MESSAGE_LIMIT]
        prefix = "caused by " if lines else ""
        lines.append(f"{prefix}{type(current).__module__}.{type(current).__qualname__}: {first}")
        frames = traceback.extract_tb(current.__traceback__)[-_FRAMES:]
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines


def _redact(_: Any, __: str, facts: Facts) -> Facts:
    redacted: Facts = scrub_tree(dict(facts), scrub)
    return redacted


def _to_json(_: Any, __: str, facts: Facts) -> str:
    return defuse_json(json.dumps(facts, ensure_ascii=True, default=str))


def _to_text(_: Any, __: str, facts: Facts) -> str:
    time, level, event = (str(facts.pop(key, "")) for key in ("time", "level", "event"))
    exception = facts.pop("exception", [])
    shown = " ".join(f"{one_line(key)}={_value(value)}" for key, value in facts.items())
    lines = [
        f"{time} {level:<8} {one_line(event)} {shown}".rstrip(),
        *(f"  {escape(str(x))}" for x in exception),
    ]
    return "\n".join(defuse(line) for line in lines)


def _value(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w./:@+-]+", value, re.ASCII):
        return value
    return one_line(json.dumps(value, ensure_ascii=False, default=str))
