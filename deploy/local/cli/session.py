"""What all commands that talk to a switch share: where it is, the key, and how to print."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

from deploy.local.cli.client import Client, connect
from deploy.local.cli.options import DEFAULT_DATA, AsJson, Data, Key, Url

P = ParamSpec("P")


@dataclass(frozen=True)
class Session:
    """One command's way to the API."""

    url: str
    key: str
    data: Path
    as_json: bool

    @cached_property
    def client(self) -> Client:
        """Connected when first used.

        Raises:
            Failed: there is no key.
        """
        return connect(self.url, self.key, self.data)


def client_command(command: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Give a command that takes a session the options that make one."""

    def session(
        *, as_json: AsJson = False, url: Url = "", key: Key = "", data: Data = DEFAULT_DATA
    ) -> Session:
        return Session(url, key, data, as_json)

    make: Callable[..., Session] = session
    run: Callable[..., None] = command
    ours = inspect.signature(session).parameters

    @wraps(command)
    def with_session(**given: object) -> None:
        run(make(**{name: given.pop(name) for name in ours}), **given)

    own = list(inspect.signature(command).parameters.values())[1:]
    options = [*own, *ours.values()]
    # typer reads both: which options there are, and of which kinds.
    with_session.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # left to us by wraps()
    with_session.__annotations__ = {one.name: one.annotation for one in options}
    return with_session
