import json
import logging
import subprocess
import sys
import threading

import pytest

from pipeline import log

CANARY = "canary-7Zq/4x+Wm-9v"


@pytest.fixture(autouse=True)
def _fresh():
    import structlog

    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("pipeline").level)
    log.reset()
    yield
    log.reset()
    structlog.reset_defaults()
    root.handlers[:], level, ours = before
    root.setLevel(level)
    logging.getLogger("pipeline").setLevel(ours)


def entries(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_json_entries_carry_name_facts_level_time_and_what_is_bound(capsys):
    log.configure("json")
    log.bind(release=7, environment="dev")
    log.get().info("wave_applied", wave=3, elapsed_s=1.9)
    (entry,) = entries(capsys)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "event": "wave_applied",
        "level": "info",
        "wave": 3,
        "elapsed_s": 1.9,
        "release": 7,
        "environment": "dev",
    }


def test_what_is_bound_is_bound_on_all_threads_until_it_is_unbound(capsys):
    log.configure("json")
    log.bind(release=7)
    thread = threading.Thread(target=lambda: log.get().info("x"))
    thread.start()
    thread.join()
    log.unbind()
    log.get().info("y")
    first, second = entries(capsys)
    assert first["release"] == 7
    assert "release" not in second


def test_text_starts_at_warnings_and_each_v_shows_more(capsys):
    for verbosity, levels in ((0, ["warning"]), (1, ["info", "warning"]), (2, ["debug", "info", "warning"])):
        log.configure("text", verbosity)
        logger = log.get()
        logger.debug("happened")
        logger.info("happened")
        logger.warning("happened")
        assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == levels


def test_the_log_works_when_it_was_never_configured(capsys):
    log.get().info("hidden")
    log.get().warning("shown", path="a b")
    assert capsys.readouterr().err.partition("Z ")[2] == 'warning  shown path="a b"\n'


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_entry_holds_a_registered_value(capsys, style):
    import base64

    log.configure(style)
    log.redact(CANARY)
    encoded = base64.b64encode(CANARY.encode()).decode()
    log.bind(bound=CANARY)
    try:
        raise ValueError(f"bad {CANARY}") from KeyError(encoded)
    except ValueError:
        log.get().exception(
            CANARY, a=f"x{CANARY}", b=[{"c": encoded}], d=(CANARY,), e=CANARY.encode(), **{CANARY: 1}
        )
    logging.getLogger("urllib3").warning("retry %s", CANARY)
    err = capsys.readouterr().err
    assert CANARY not in err
    assert encoded not in err
    assert err.count("***") >= 8


@pytest.mark.parametrize("style", ["text", "json"])
def test_facts_are_masked_by_key_and_by_what_they_look_like(capsys, style):
    log.configure(style)
    log.get().warning(
        "x", Authorization=CANARY, nested={"api_key": CANARY}, url=f"https://me:{CANARY[:6]}@h/"
    )
    err = capsys.readouterr().err
    assert CANARY[:6] not in err


def test_an_exception_shows_types_places_and_the_first_line_only(capsys):
    log.configure("json")

    def fail():
        body = "body-of-the-answer"
        raise RuntimeError(f"(403)\nHTTP response body: {body}")

    try:
        try:
            fail()
        except RuntimeError as error:
            raise ValueError("apply failed") from error
    except ValueError:
        log.get().error("run_failed", exc_info=True)
    (entry,) = entries(capsys)
    assert entry["exception"][0] == "builtins.ValueError: apply failed"
    assert "caused by builtins.RuntimeError: (403)" in entry["exception"]
    assert any(line.endswith(" in fail") for line in entry["exception"])
    assert "body-of-the-answer" not in json.dumps(entry)


def test_a_secret_is_taken_out_before_a_message_is_cut():
    log.redact("s" * 40)
    (line,) = log.describe(ValueError("x" * 280 + "s" * 40))
    assert "sss" not in line


@pytest.mark.parametrize("verbosity", [0, 3])
def test_other_libraries_stay_at_warnings(capsys, verbosity):
    log.configure("json", verbosity)
    for name in (
        "urllib3.connectionpool",
        "botocore.auth",
        "kubernetes.client.rest",
        "git.cmd",
        "some.other",
    ):
        logging.getLogger(name).debug("token and body")
        logging.getLogger(name).warning("slow")
    shown = entries(capsys)
    assert {e["message"] for e in shown} == {"slow"}
    assert len(shown) == 5


def test_an_entry_is_one_harmless_line(capsys):
    for style in ("text", "json"):
        log.configure(style)
        log.get().warning("x\n::error::y", a="##[add-mask]z\r\n\x1b[2J", b="\u202e")
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "##[" not in err
        assert "\x1b" not in err
        assert "\u202e" not in err


def test_a_log_that_no_one_takes_stops_nothing(monkeypatch):
    class Gone:
        encoding = "ascii"

        def write(self, text):
            raise BrokenPipeError

    log.configure("text")
    monkeypatch.setattr(sys, "stderr", Gone())
    log.get().warning("x")
    monkeypatch.setattr(sys, "stderr", None)
    log.get().warning("x")


def test_documents_are_scrubbed_by_value_but_not_by_key():
    log.redact(CANARY)
    assert log.scrub_document({"token": ["a", CANARY, 1], "n": None}) == {"token": ["a", "***", 1], "n": None}
    assert log.scrub(f"a {CANARY} https://u:p@h/") == "a *** https://***@h/"


def test_structlog_and_rich_are_not_loaded_before_they_are_needed():
    code = (
        "import sys, pipeline.log, pipeline.adapters.terminal, pipeline.adapters.event_log;"
        "print([m for m in ('structlog', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
