"""What operators see and do, over real gRPC."""

from __future__ import annotations

import asyncio
from pathlib import Path

from proto.signaling.v1 import signaling_pb2 as pb
from proto.signaling.v1 import signaling_pb2_grpc as pb_grpc
from services.common.clock import monotonic
from services.common.grpc import Server, open_channel
from services.signaling.entrypoints.grpc import SignalingServicer
from services.signaling.server import unix_us
from tests.support.signaling.party import reply, until
from tests.support.signaling.switch import two_parties


async def test_live_calls_their_ladder_and_hanging_up(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    async with two_parties() as (caller, vendor, switch, talk), asyncio.TaskGroup() as tasks:
        server = Server(address)
        servicer = SignalingServicer(
            switch.switch,
            node="n1",
            monotonic=monotonic,
            unix_us=unix_us,
            local=lambda _: switch.udp.address,
            vendors=lambda _: [],
        )
        server.add(pb_grpc.add_SignalingServicer_to_server, servicer)
        await server.start(tasks)
        async with open_channel(address) as channel:
            stub = pb_grpc.SignalingStub(channel)  # type: ignore[no-untyped-call]  # generated
            await talk.ring()
            (ringing,) = (await stub.ListCalls(pb.ListCallsRequest())).calls
            assert (ringing.state, ringing.attempts, ringing.talk_ms) == ("ringing", 1, 0)
            assert ringing.ringing_at_unix_ms >= ringing.invited_at_unix_ms > 0
            await talk.answer()
            await until(lambda: not switch.switch._invites)
            call_id = ringing.call_id
            (live,) = (await stub.ListCalls(pb.ListCallsRequest(call_id=call_id))).calls
            assert (live.state, live.node, live.customer_trunk_id) == ("answered", "n1", "ctr_1")
            assert (live.vendor_trunk_id, live.vendor_account_id) == ("vtr_1", "acc_2")
            assert (live.caller, live.called, live.media_proxy) == ("1000", "2000", False)
            for match, count in (
                (pb.ListCallsRequest(account_id="acc_2"), 1),
                (pb.ListCallsRequest(account_id="acc_1"), 1),
                (pb.ListCallsRequest(account_id="acc_3"), 0),
                (pb.ListCallsRequest(trunk_id="vtr_1"), 1),
                (pb.ListCallsRequest(trunk_id="ctr_9"), 0),
                (pb.ListCallsRequest(call_id="cal_9"), 0),
            ):
                reply_ = await stub.ListCalls(match)
                assert (len(reply_.calls), reply_.total) == (count, count)
            beyond = await stub.ListCalls(pb.ListCallsRequest(after=call_id))
            assert (len(beyond.calls), beyond.total) == (0, 1)
            assert not (await stub.Hangup(pb.HangupRequest(call_id="cal_9"))).found
            assert (await stub.Hangup(pb.HangupRequest(call_id=call_id))).found
            for party in (caller, vendor):
                bye = await party.request("BYE")
                party.send(reply(party, bye, 200), talk.switch)
            await until(lambda: not switch.switch.calls)
            steps = (await stub.Ladder(pb.LadderRequest(call_id=call_id))).steps
            assert [step.summary.split()[0] for step in steps][:3] == ["INVITE", "100", "INVITE"]
            assert steps[0].leg == "A"
            assert steps[0].peer.startswith("127.0.0.2:")
            assert steps[0].local == f"127.0.0.1:{switch.port};udp"
            assert steps[0].at_unix_us // 1000 == steps[0].at_unix_ms
            assert steps[0].at_unix_ms - live.invited_at_unix_ms < 1000
            assert not (await stub.Ladder(pb.LadderRequest(call_id="cal_9"))).steps
        await server.stop(0)
