"""Becomes another program, which then ends when its supervisor does.

``python -IS launch.py PARENT SIGNAL UID GID PROGRAM ARGUMENTS...``: run by path, between fork and
the program itself, so that the supervisor, which has threads, executes nothing of its own in a
forked copy of itself. UID and GID of -1 keep those of the caller.
"""

import ctypes
import os
import sys

_SET_PARENT_DEATH_SIGNAL = 1
"""prctl(2), PR_SET_PDEATHSIG."""


def main(arguments: list[str]) -> None:
    """Give up privileges, ask for a signal at the parent's death, and become the program."""
    parent, death_signal, uid, gid = (int(text) for text in arguments[:4])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which would clear it.
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, death_signal)
    if os.getppid() != parent:
        sys.exit("the supervisor is gone already")
    program = arguments[4:]
    try:
        os.execv(program[0], program)  # noqa: S606 - what the supervisor asked for
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
