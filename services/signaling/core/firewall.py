"""The kernel's part of the guard, as rules of nftables and iptables.

A table of our own, touched by nobody else and touching nothing else: it looks only at packets to
the addresses and ports we listen at. Trunks are accepted before anything; the banned are dropped;
strangers may send so many packets a second, of which those that begin like no SIP message are
dropped at once. The limits and bans cost a flood nothing of our own time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Final

from services.signaling.core.guard import Action, Prove, Unban
from services.signaling.core.scanners import SIGNATURES

PACKETS_PER_S: Final = 50
"""Datagrams a stranger may send,"""
BURST: Final = 100
"""and so many at once."""
CONNECTIONS_PER_S: Final = 10
MOST_METERED: Final = 65_535
METHODS: Final = (
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "MESSAGE",
    "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH", "SIP/2.0",
)  # fmt: skip
"""What a datagram begins with that is heard at all."""
SCANNER_START: Final = "OPTIONS sip:100@"
"""How scanners' first packets begin: at a known place and of 16 bytes, as the kernel compares."""

_MASKS: Final = {4: "255.255.255.0", 6: "ffff:ffff:ffff:ffff::"}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_]")
_FAMILIES: Final = ((4, "ip", "ipv4_addr"), (6, "ip6", "ipv6_addr"))

Listener = tuple[str, int]
"""Address (``0.0.0.0`` and ``::`` for all) and port."""


def table_name(node: str) -> str:
    """The name of the table of one process, fit for a command line."""
    return "tandem_" + _UNSAFE.sub("_", node)[:40]


def create(name: str, listeners: Sequence[Listener], trusted: Iterable[str]) -> str:
    """The whole table, in place of what a process that was killed may have left."""
    return f"{remove(name)}table inet {name} {{\n{_sets()}{_chains(listeners)}}}\n" + "".join(
        trust(name, trusted)
    )


def remove(name: str) -> str:
    """Take the table away, if it is there."""
    return f"table inet {name} {{}}\ndelete table inet {name}\n"


def trust(name: str, hosts: Iterable[str]) -> str:
    """Make ``hosts`` the ones that are always heard."""
    lines = [f"flush set inet {name} trusted{version}" for version, _, _ in _FAMILIES]
    for version, members in _split(hosts).items():
        if members:
            listed = ", ".join(members)
            lines.append(f"add element inet {name} trusted{version} {{ {listed} }}")
    return "\n".join(lines) + "\n"


def change(name: str, actions: Iterable[Action]) -> str:
    """What the guard decided."""
    lines: list[str] = []
    for action in actions:
        kind = "proven" if isinstance(action, Prove) else "banned"
        where = _element_set(name, kind, action.target)
        element = action.target.partition("/")[0]  # networks all have one size: see _MASKS
        # Added first, so that there is one to delete; it may have run out, or be there already.
        lines.append(f"add element inet {where} {{ {element} }}")
        lines.append(f"delete element inet {where} {{ {element} }}")
        if not isinstance(action, Unban):
            timeout = f"timeout {max(1, round(action.seconds))}s"
            lines.append(f"add element inet {where} {{ {element} {timeout} }}")
    return "".join(f"{line}\n" for line in lines)


def _element_set(name: str, kind: str, target: str) -> str:
    version = 6 if ":" in target else 4
    suffix = "_net" if "/" in target else ""
    return f"{name} {kind}{suffix}{version}"


def _split(hosts: Iterable[str]) -> dict[int, list[str]]:
    members: dict[int, list[str]] = {4: [], 6: []}
    for host in hosts:
        try:
            members[ip_network(host).version].append(host)
        except ValueError:
            continue  # a name nobody has looked up yet
    return {version: sorted(found) for version, found in members.items()}


def _sets() -> str:
    lines: list[str] = []
    for version, _, kind in _FAMILIES:
        timed = "flags timeout; timeout 3600s"
        dynamic = f"size {MOST_METERED}; flags dynamic,timeout; timeout 10s"
        lines += [
            f"set trusted{version} {{ type {kind}; flags interval; auto-merge; }}",
            f"set proven{version} {{ type {kind}; size {MOST_METERED}; {timed}; }}",
            f"set banned{version} {{ type {kind}; size {MOST_METERED}; {timed}; }}",
            f"set banned_net{version} {{ type {kind}; size {MOST_METERED}; {timed}; }}",
            f"set meter{version} {{ type {kind}; {dynamic}; }}",
            f"set connects{version} {{ type {kind}; {dynamic}; }}",
        ]
    return "".join(f"  {line}\n" for line in lines)


def _chains(listeners: Sequence[Listener]) -> str:
    jumps = [_jump(host, port) for host, port in listeners]
    starts = sorted({f"{method} "[:4] for method in METHODS})
    known = ", ".join(_hex(start) for start in starts)
    strangers: list[str] = []
    for version, family, _ in _FAMILIES:
        source = f"{family} saddr"
        strangers += [
            f"{source} @trusted{version} accept",
            f"{source} @banned{version} counter drop",
            f"{source} @proven{version} accept",
            f"{source} & {_MASKS[version]} @banned_net{version} counter drop",
        ]
    strangers.append(f"meta l4proto udp @th,64,128 {_hex(SCANNER_START)} counter drop")
    # 4 bytes are compared; a keep-alive has no more than that, and passes.
    strangers.append(f"udp length > 12 @th,64,32 != {{ {known} }} counter drop")
    for version, family, _ in _FAMILIES:
        strangers += [
            f"meta l4proto udp update @meter{version} {{ {family} saddr limit rate over"
            f" {PACKETS_PER_S}/second burst {BURST} packets }} counter drop",
            f"tcp flags & (syn | ack) == syn update @connects{version} {{ {family} saddr limit"
            f" rate over {CONNECTIONS_PER_S}/second burst {2 * CONNECTIONS_PER_S} packets }}"
            " counter drop",
        ]
    return (
        "  chain incoming {\n"
        "    type filter hook prerouting priority raw; policy accept;\n"
        + "".join(f"    {line}\n" for line in jumps)
        + "  }\n  chain strangers {\n"
        + "".join(f"    {line}\n" for line in strangers)
        + "  }\n"
    )


def _jump(host: str, port: int) -> str:
    family = "ip6" if ":" in host else "ip"
    is_any = host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    where = f"meta nfproto ipv{6 if ':' in host else 4}" if is_any else f"{family} daddr {host}"
    return f"{where} meta l4proto {{ tcp, udp }} th dport {port} jump strangers"


def _hex(text: str) -> str:
    return "0x" + text.encode().hex()


def nftables_file(name: str, listeners: Sequence[Listener], trusted: Iterable[str]) -> str:
    """Rules for sites that load them themselves: ``nft -f``."""
    return create(name, listeners, trusted)


def iptables_file(listeners: Sequence[Listener], trusted: Iterable[str]) -> str:
    """The same for ``iptables-restore --noflush``, IPv4 only; it can look for signatures.

    Bans of the moment are not among them.
    """
    members = _split(trusted)[4]
    lines = ["*raw", ":TANDEM - [0:0]"]
    for host, port in listeners:
        if ":" in host:
            continue
        where = "" if host == "0.0.0.0" else f" -d {host}"  # noqa: S104
        lines += [f"-A PREROUTING{where} -p {p} --dport {port} -j TANDEM" for p in ("udp", "tcp")]
    lines += [f"-A TANDEM -s {host} -j ACCEPT" for host in members]
    lines += [
        f'-A TANDEM -p udp -m string --algo bm --icase --to 1500 --string "{one}" -j DROP'
        for one in SIGNATURES
    ]
    lines += [
        "-A TANDEM -p udp -m hashlimit --hashlimit-name tandem --hashlimit-mode srcip"
        f" --hashlimit-above {PACKETS_PER_S}/second --hashlimit-burst {BURST}"
        " --hashlimit-htable-expire 30000 -j DROP",
        "COMMIT",
    ]
    return "".join(f"{line}\n" for line in lines)
