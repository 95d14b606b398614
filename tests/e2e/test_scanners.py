"""The tools of attackers against a running switch: they learn nothing, and are kept out.

``sipvicious`` (svmap, svwar, svcrack) from an address of its own, ``sipsak -R`` from the switch's
own address, which is a stranger's too.
"""

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.support import scenarios
from tests.support.lab import SWITCH_HOST, Lab, eventually

SCANNER_HOST = "127.0.0.9"
TOOLS = Path(".venv/bin")


@pytest.fixture(params=["silent", "answering"])
def mode(request: pytest.FixtureRequest, lab: Lab) -> Iterator[str]:
    """Strangers are not answered, as by default; or they are, as the operator may choose."""
    answers = request.param == "answering"
    lab.http.put("/v1/settings/reply_to_unknown", json={"value": answers}).raise_for_status()
    for host in (SCANNER_HOST, SWITCH_HOST):
        lab.http.delete(f"/v1/guard/bans/{host}")
    yield str(request.param)
    lab.http.delete("/v1/settings/reply_to_unknown").raise_for_status()


def run(lab: Lab, tool: str, *arguments: str) -> str:
    """What a tool of sipvicious prints, run against the switch from the scanner's address."""
    command = [str(TOOLS / f"sipvicious_{tool}"), "-b", SCANNER_HOST, "-x", SCANNER_HOST]
    command += [*arguments, "-p", str(lab.sip[1]), SWITCH_HOST]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def bans(lab: Lab) -> dict[str, str]:
    (node,) = lab.get("/v1/guard")["nodes"]
    return {ban["target"]: ban["reason"] for ban in node["bans"]}


def assert_banned(lab: Lab) -> None:
    # Some of the tools do not bind to the address they are told.
    found = bans(lab)
    assert found.keys() <= {SCANNER_HOST, SWITCH_HOST}
    assert set(found.values()) == {"scanner"}


def counters(lab: Lab) -> dict[str, int]:
    (node,) = lab.get("/v1/guard")["nodes"]
    return dict(node["counters"])


def was_heard(lab: Lab, before: int) -> bool | None:
    return sum(counters(lab).values()) > before or None


def calls_go_on(stage: Stage) -> None:
    record = stage.play(scenarios.CALLER, {"cheap": scenarios.VENDOR})
    assert (record["end_reason"], record["sip_code_out"]) == ("normal", 200)


def test_svmap_finds_no_switch(lab: Lab, stage: Stage, mode: str) -> None:
    seen = run(lab, "svmap")
    assert "found nothing" in seen, (mode, seen)
    assert_banned(lab)
    calls_go_on(stage)


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE"])
def test_svwar_reports_no_extension(lab: Lab, mode: str, method: str) -> None:
    seen = run(lab, "svwar", "-m", method, "-e", "100-140", "--force", "--maximumtime", "3")
    assert "| 1" not in seen, (mode, seen)
    assert "found nothing" in seen or "not responding" in seen or "is not" in seen, seen
    assert_banned(lab)


def test_svcrack_cracks_nothing(lab: Lab, stage: Stage, mode: str) -> None:
    seen = run(lab, "svcrack", "-u", "100", "-r", "100-140", "--maximumtime", "3")
    assert "| 100" not in seen, (mode, seen)
    assert_banned(lab)
    calls_go_on(stage)


def test_sipsak_with_damaged_messages_does_no_harm(lab: Lab, stage: Stage, mode: str) -> None:
    program = shutil.which("sipsak")
    assert program, "sipsak is not installed: apt-get install sipsak"
    uri = f"sip:100@{SWITCH_HOST}:{lab.sip[1]}"
    # It stops at the first message that is not answered, and is not heard again once banned.
    for trash in range(1, 40):
        before = sum(counters(lab).values())
        command = [program, "-R", "-t", str(trash), "-s", uri, "-m", "5"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(partial(was_heard, lab, before), what="a message")
        process.kill()
        process.wait()
    assert SWITCH_HOST in bans(lab), mode
    assert lab.get("/v1/health")["status"] == "ok"
    calls_go_on(stage)
