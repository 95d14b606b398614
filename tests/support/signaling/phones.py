"""A telephone with a password, and a carrier's registrar: what proves itself, and who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from services.common.digest import every_ha1
from services.signaling.core.trunks import CustomerTrunk, DigestRules, DigestUser
from services.signaling.sip.build import response_to
from services.signaling.sip.digest import (
    authorization,
    challenge_lines,
    challenges_of,
    credentials_of,
    is_proven,
)
from services.signaling.sip.message import Request, Response, parse
from tests.support.signaling.party import Endpoint, message

_numbers = count(1)


def digest_rules(passwords: Mapping[str, str], trunk: CustomerTrunk) -> DigestRules:
    """Users of one trunk by their passwords."""
    return DigestRules(
        nonce_key=b"shared by all nodes",
        users={
            name: DigestUser(trunk=trunk, realm="sip", ha1=every_ha1(name, "sip", password))
            for name, password in passwords.items()
        },
    )


def with_lines(data: bytes, *lines: str) -> bytes:
    """A message with more header lines."""
    head, end, body = data.partition(b"Content-Length:")
    return head + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + end + body


def answered(
    request: bytes,
    challenge: Response,
    *,
    username: str,
    password: str,
    algorithm: str = "SHA-256",
    count_: int = 1,
    session: str = "",
) -> bytes:
    """A request once more, with the answer to a challenge, a new CSeq and a new branch."""
    parsed = parse(request)
    assert isinstance(parsed, Request)
    (chosen,) = [one for one in challenges_of(challenge) if one.algorithm == algorithm]
    if session:
        chosen = chosen._replace(is_session=True, algorithm_text=algorithm + session)
    line = authorization(chosen, username=username, password=password, method=parsed.method,
                         uri=parsed.uri, cnonce=f"c{next(_numbers)}", count=count_)  # fmt: skip
    cseq = f"CSeq: {parsed.cseq.number + 1} {parsed.method}"
    lines = [
        cseq if text.startswith("CSeq:") else text.replace("z9hG4bK", f"z9hG4bKp{next(_numbers)}")
        for text in parsed.lines
        if not text.startswith(("Authorization:", "Content-Length:"))
    ]
    head = [f"{parsed.method} {parsed.uri} SIP/2.0", *lines, line]
    head += [f"Content-Length: {len(parsed.body)}", "", ""]
    return "\r\n".join(head).encode("latin-1") + parsed.body


class Phone:
    """One username at one endpoint."""

    def __init__(
        self,
        party: Endpoint,
        switch: tuple[str, int],
        username: str = "alice",
        password: str = "alice-secret",
    ) -> None:
        self.party = party
        self.switch = switch
        self.username = username
        self.password = password
        self.call_id = f"phone-{next(_numbers)}"
        self.cseq = 0

    @property
    def contact(self) -> str:
        host, port = self.party.address
        return f"<sip:{self.username}@{host}:{port};transport={self.party.transport_name.lower()}>"

    def wire(self, *contacts: str, headers: Sequence[str] = ()) -> bytes:
        """A REGISTER without proof."""
        self.cseq += 2
        data = message(self.party, "REGISTER", self.switch, call_id=self.call_id, cseq=self.cseq,
                       number=self.username)  # fmt: skip
        text = "\r\n".join(
            line for line in data.decode().split("\r\n") if not line.startswith("Contact:")
        )
        lines = [f"Contact: {contact}" for contact in contacts]
        return with_lines(text.encode(), *lines, *headers)

    async def register(
        self, *contacts: str, headers: Sequence[str] = (), status: int = 200
    ) -> Response:
        """Challenge, answer, and what came of it."""
        data = self.wire(*(contacts or (self.contact,)), headers=headers)
        self.party.send(data, self.switch)
        challenge = await self.party.response(401)
        self.party.send(self.prove(data, challenge), self.switch)
        return await self.party.response(status)

    def prove(self, data: bytes, challenge: Response, **how: object) -> bytes:
        """``data`` once more, with our password."""
        given = {"username": self.username, "password": self.password} | how
        return answered(data, challenge, **given)  # type: ignore[arg-type]


class Registrar:
    """A carrier who wants proof; answers what :meth:`take` is given."""

    def __init__(
        self, party: Endpoint, username: str = "tandem", password: str = "s3cret"
    ) -> None:
        self.party = party
        self.username = username
        self.password = password
        self.algorithms = ["SHA-256", "MD5"]
        self.nonce = 0
        self.granted = 3600

    def challenge(self, request: Request, *, status: int = 401) -> bytes:
        """A fresh challenge."""
        self.nonce += 1
        lines = challenge_lines("carrier", f"nonce{self.nonce}", self.algorithms)
        if status == 407:
            lines = tuple(line.replace("WWW-", "Proxy-") for line in lines)
        return response_to(request, status, to_tag="reg", headers=lines).data

    def is_proven(self, request: Request) -> bool:
        """Whether it carries the right answer to the last challenge."""
        for offered in credentials_of(request):
            key = every_ha1(self.username, "carrier", self.password)[offered.algorithm]
            if offered.nonce == f"nonce{self.nonce}" and is_proven(offered, request.method, key):
                return True
        return False

    def accept(self, request: Request) -> bytes:
        """200 with the Contact as registered."""
        contact = f"Contact: {request.first('contact')};expires={self.granted}"
        headers = [] if request.first("expires") == "0" else [contact]
        return response_to(request, 200, to_tag="reg", headers=headers).data

    async def take(self, switch: tuple[str, int]) -> Request:
        """One REGISTER from its first sight to the 200; the one that was proven."""
        request = await self.party.request("REGISTER")
        if not self.is_proven(request):
            self.party.send(self.challenge(request), switch)
            request = await self.party.request("REGISTER")
            assert self.is_proven(request), request.lines
        self.party.send(self.accept(request), switch)
        return request
