"""Our own proof to a vendor: challenges answered once, and reused while he takes the answer."""

from __future__ import annotations

from typing import Self

from services.common.sip_options.auth import VendorAuth
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.digest import Challenge, authorization, challenges_of, choose
from services.signaling.sip.message import Response

CHALLENGES = frozenset({401, 407})
_CREDENTIALS = ("Authorization: ", "Proxy-Authorization: ")


class Login:
    """One account at one vendor, for one dialog or one registration.

    A request is tried again once after a challenge: who challenges the answer too will never
    be content (only its owner knows which request was tried before).
    """

    __slots__ = ("_auth", "_challenge", "_cnonce", "_count", "_line")

    def __init__(self, auth: VendorAuth, cnonce: str) -> None:
        self._auth = auth
        self._cnonce = cnonce
        """Ours, the same for all uses of a nonce, as the ``-sess`` algorithms want it."""
        self._challenge: Challenge | None = None
        self._count = 0
        self._line = ""

    @classmethod
    def answering(cls, response: Response, auth: VendorAuth, cnonce: str) -> Self | None:
        """A login that begins with the challenge of ``response``; ``None`` without an answer."""
        login = cls(auth, cnonce)
        return login if login.accept(response) else None

    def accept(self, response: Response) -> bool:
        """Take a challenge; whether there is an answer to it that is ours to give."""
        auth = self._auth
        if not auth.username or response.status not in CHALLENGES:
            return False
        chosen = choose(challenges_of(response), realm=auth.realm, weakest=auth.weakest)
        if chosen is None:
            return False
        if self._challenge is None or self._challenge.nonce != chosen.nonce:
            self._count = 0
        self._challenge = chosen
        return True

    def sign(self, draft: RequestDraft) -> RequestDraft:
        """``draft`` with the answer to the last challenge, if there was one."""
        if self._challenge is None:
            return draft
        self._count += 1
        self._line = authorization(
            self._challenge,
            username=self._auth.username,
            password=self._auth.password,
            method=draft.method,
            uri=draft.uri,
            cnonce=self._cnonce,
            count=self._count,
        )
        draft.lines.append(self._line)
        return draft

    def sign_ack(self, draft: RequestDraft) -> RequestDraft:
        """An ACK carries the credentials of its INVITE (RFC 3261 section 22.1)."""
        if self._line:
            draft.lines.append(self._line)
        return draft

    def again(self, draft: RequestDraft, cseq: int) -> RequestDraft:
        """The same request once more, with a new CSeq and the answer (section 22.2)."""
        lines = [line for line in draft.lines if not line.startswith(_CREDENTIALS)]
        at = next(index for index, line in enumerate(lines) if line.startswith("CSeq: "))
        lines[at] = f"CSeq: {cseq} {draft.method}"
        copy = RequestDraft(draft.method, draft.uri, lines, draft.body)
        copy.from_, copy.to, copy.call_id, copy.cseq = draft.from_, draft.to, draft.call_id, cseq
        return self.sign(copy)
