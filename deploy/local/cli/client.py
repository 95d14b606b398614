"""The REST API, as the command line uses it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import httpx

Json = dict[str, Any]


class Failed(typer.Exit):
    """Ends the command with status 1 after telling why."""

    def __init__(self, message: str) -> None:
        print(message, file=sys.stderr)
        super().__init__(1)


def _problem(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return f"{response.status_code} {response.text[:500]}"
    detail = "" if body.get("errors") else f": {body.get('detail', '')}"
    lines = [f"{body.get('title', 'error')}{detail} [{body.get('code', response.status_code)}]"]
    for error in body.get("errors", []):
        where = error.get("path") or ""
        if "row" in error:
            where = f"row {error['row']}, column {error['column']}"
        lines.append(f"  {where}: {error['reason']}")
    return "\n".join(lines)


class Client:
    """Calls the API at ``url`` with ``key``; failures end the command with what the API said."""

    def __init__(self, url: str, key: str) -> None:
        # Here: 60 ms that --help and starting the switch need not wait for.
        import httpx

        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=60.0,
            # Certificates are read, for 50 ms, only where TLS is spoken; nothing redirects to it.
            verify=not url.startswith("http://"),
            follow_redirects=False,
        )
        self._failures = httpx.HTTPError

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """One request.

        Raises:
            Failed: the API cannot be reached or refused.
        """
        try:
            response = self._http.request(method, path, **options)
        except self._failures as error:
            raise Failed(f"cannot reach the API at {self._http.base_url}: {error}") from error
        if response.is_error:
            raise Failed(_problem(response))
        return response

    def get(self, path: str, **params: object) -> Json:
        """GET; parameters that are ``None`` are left out."""
        given = {name: str(value) for name, value in params.items() if value is not None}
        body: Json = self.request("GET", path, params=given).json()
        return body

    def post(self, path: str, body: Json, *, key: str = "", **params: object) -> Json:
        """POST JSON; ``key`` makes it idempotent."""
        headers = {"Idempotency-Key": key} if key else {}
        given = {name: str(value) for name, value in params.items() if value is not None}
        answer: Json = self.request("POST", path, json=body, headers=headers, params=given).json()
        return answer

    def every(self, path: str, **params: object) -> Iterator[Json]:
        """All rows of a list, page after page."""
        after: object = None
        while True:
            page = self.get(path, after=after, **params)
            yield from page["data"]
            after = page.get("next")
            if not after:
                return

    def id_of(self, collection: str, name: str) -> str:
        """The id of a named object; an id is taken as it is.

        Raises:
            Failed: there is none of that name.
        """
        for row in self.every(f"/v1/{collection}", name=name):
            if name in (row["name"], row["id"]):
                return str(row["id"])
        raise Failed(
            f"there is no {collection.removesuffix('s').replace('_', ' ')} named {name!r}"
        )

    def name_of(self, collection: str) -> dict[str, str]:
        """Names by id."""
        return {row["id"]: row["name"] for row in self.every(f"/v1/{collection}", limit=500)}


def connect(url: str, key: str, data: Path) -> Client:
    """A client from what all commands share.

    Without a key the one that ``up`` made for the data folder is used, so that on the machine
    itself nothing has to be typed.

    Raises:
        Failed: there is no key.
    """
    if not url:
        url = "http://" + os.environ.get("TANDEM_HTTP", "127.0.0.1:8080")
    secrets = data / "secrets.json"
    if not key and os.access(secrets, os.R_OK):
        key = json.loads(secrets.read_text()).get("admin_key", "")
    if not key:
        raise Failed(f"no key: give --key, set TANDEM_KEY, or --data (none in {data})")
    return Client(url, key)
