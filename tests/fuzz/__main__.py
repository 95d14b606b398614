"""``python -m tests.fuzz [--runs N] [TARGET ...]``: guided fuzzing with atheris, bounded by count.

Each target runs in a process of its own. What it finds is left in ``build/fuzz/TARGET``; kept in
``tests/fuzz/found/TARGET`` it is replayed by every run of the tests.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RUNS = {
    "parser": 200_000,
    "builder": 50_000,
    "stream": 100_000,
    "layer": 50_000,
    "switch": 20_000,
    "registrar": 50_000,
    "sdp": 100_000,
}
"""Inputs of one ``make fuzz``: some two minutes each on one core."""
ROOT = Path(__file__).parents[2]
WORDS = (
    "SIP/2.0", "INVITE ", "ACK ", "BYE ", "CANCEL ", "OPTIONS ", "REGISTER ", "Via: ", "v:",
    "From: ", "f:", "To: ", "t:", "Call-ID: ", "i:", "CSeq: ", "Contact: ", "m:", "Max-Forwards: ",
    "Content-Length: ", "l:", "Content-Type: ", "c:", "Route: ", "Record-Route: ", "Require: ",
    ";branch=z9hG4bK", ";tag=", ";rport", ";received=", ";lr", "<sip:", "tel:", "sips:",
    "\\x0d\\x0a", "\\x0d\\x0a\\x0d\\x0a", "%00", "[2001:db8::1]", "application/sdp",
    "\\x0d\\x0a\\x20", "v=0",
    "m=audio ", "c=IN IP4 ", "a=rtpmap:", "a=ptime:", "a=rtcp:", "RTP/AVP", "4294967296",
)  # fmt: skip


def fuzz(target: str, runs: int, folder: Path) -> None:
    """Fuzz one target in this process, which ends here."""
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=["services"]):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(f'"{word}"\n' for word in WORDS))
    atheris.Setup(
        [
            "fuzz", str(corpus), f"-runs={runs}", f"-dict={words}", "-max_len=4096", "-timeout=20",
            f"-artifact_prefix={folder}/", "-rss_limit_mb=2048",
            "-print_final_stats=1", "-verbosity=1",
        ],
        TARGETS[target],
    )  # fmt: skip
    atheris.Fuzz()


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for: without any target, all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    # The list, because that is what argparse looks up when there are none.
    parser.add_argument("targets", nargs="*", choices=[*RUNS, []], metavar="TARGET")
    parser.add_argument("--runs", type=int, default=0, help="inputs per target")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    given.targets = given.targets or list(RUNS)
    return given


def main() -> int:
    """Run the targets asked for, one after the other."""
    given = read_arguments()
    for target in given.targets:
        runs = given.runs or RUNS[target]
        folder = ROOT / "build/fuzz" / target
        if given.here:
            fuzz(target, runs, folder)
        command = [sys.executable, "-m", "tests.fuzz", "--here", "--runs", str(runs), target]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            print(f"{target}: failed, see {folder}")  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
