# SPDX-License-Identifier: BSD-3-Clause
"""NOP-Out and NOP-In: pings from either side, and the keepalive (RFC 7143 11.18, 11.19)."""
import time

import scsi
import wire
from peer import Closed, IQN, case, main, ram
from wire import NO_TAG

LIVELY = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()},
                             'session': {'nop-interval': '1s', 'nop-timeout': '2s'}}})


@case('a ping comes back with its data')
def _(target):
    session = target.login()
    for data in (b'', b'x', b'four', bytes(range(256)) * 16):
        for immediate in (True, False):
            ping = session.nop(data, immediate=immediate)
            answer = session.connection.expect(wire.NOP_IN)
            assert answer.itt == ping.itt and answer.ttt == NO_TAG and answer.data == data


@case('the echo is cut to what the initiator takes')
def _(target):
    session = target.login(MaxRecvDataSegmentLength='512')
    session.nop(b'e' * 4096)
    assert session.connection.expect(wire.NOP_IN).data == b'e' * 512


@case('a NOP-Out without a tag wants no answer')
def _(target):
    session = target.login()
    for immediate in (True, False):     # the other one breaks a rule (11.18), and wants no answer either
        session.nop(itt=NO_TAG, immediate=immediate)
        session.connection.expect_quiet()
        session.alive()


@case('a NOP-Out without a tag that answers nothing asked is Reject 09')
def _(target):
    session = target.login()
    ping = session.nop(itt=NO_TAG, ttt=0x4711, immediate=True)
    reject = session.connection.expect(wire.REJECT)
    assert reject.reason == 9 and reject.data[:48] == bytes(ping.header), repr(reject)
    session.alive()


@case('an idle session is pinged, and lives as long as it answers', own=LIVELY)
def _(target):
    session = target.login()
    for _ in range(4):
        ping = session.connection.expect(wire.NOP_IN)
        assert ping.itt == NO_TAG and ping.ttt != NO_TAG and not ping.data
        session.nop(itt=NO_TAG, ttt=ping.ttt, lun_bytes=ping.lun_bytes, immediate=True)
    session.alive()


@case('an initiator that answers no ping loses its connection', own=LIVELY)
def _(target):
    session = target.login()
    seen = session.connection.expect_closed()
    assert seen and all(pdu.opcode in (wire.NOP_IN, wire.ASYNC) for pdu in seen)
    target.login().alive()


@case('a busy initiator is as good as one that answers', own=LIVELY)
def _(target):
    session = target.login()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        session.read(0, 1).good()
        time.sleep(0.05)
        for ping in session.connection.other:
            assert ping.opcode == wire.NOP_IN
            session.nop(itt=NO_TAG, ttt=ping.ttt, lun_bytes=ping.lun_bytes, immediate=True)
        session.connection.other.clear()
    session.alive()


@case('the loss of a silent initiator ends the commands it left', own=LIVELY)
def _(target):
    session = target.login(ImmediateData='No')
    session.start(scsi.write_10(0, 64), write=bytes(32768), hold_r2ts=True)
    try:
        while True:
            session.connection.pump()
    except Closed:
        pass
    target.login().write(0, bytes(32768)).good()


if __name__ == '__main__':
    main(__file__)
