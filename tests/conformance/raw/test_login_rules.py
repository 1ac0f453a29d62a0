# SPDX-License-Identifier: BSD-3-Clause
"""Login, what the dialogues leave out (RFC 7143 6.3, 11.12, 11.13)."""
import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
import wire
from peer import IQN, Closed, Refused, case, main, new_isid, ram
from session import FULL_FEATURE, OFFER, OPERATIONAL, SECURITY

MANY = {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {'max-connections': 4}}}
TWO_GROUPS = dict(
    portals={'test': {'listen': ['127.0.0.1:$PORT'], 'tag': 1},
             'other': {'listen': ['127.0.0.2:$PORT'], 'tag': 2}},
    targets={IQN: {'portals': ['test', 'other'], 'luns': {0: ram()},
                   'session': {'max-connections': 4}}})
JOINING = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxRecvDataSegmentLength': '65536'}


def first_step(target, **fields):
    session = target.session()
    connection = session.connect()
    return session.login_step(connection, SECURITY, OPERATIONAL,
                              dict(session.identity(), AuthMethod='None'), **fields)


@case('ISIDs of the three formats are taken, the reserved one is not')
def _(target):
    for first in (0x00, 0x40, 0x80):
        target.login(isid=bytes([first]) + new_isid()[1:]).alive()
    target.refused(0x0200, lambda: target.login(isid=bytes([0xc0]) + new_isid()[1:]))


@case('every CID is one')
def _(target):
    session = target.session()
    session.login(cid=0xffff)
    session.alive()
    assert session.logout(reason=1, cid=0xffff).response == 0
    session.connection.expect_closed()


@case('StatSN starts anywhere and counts every login response')
def _(target):
    session = target.session()
    connection = session.connect()
    first = session.login_step(connection, SECURITY, None, dict(session.identity(), AuthMethod='None'))
    second = session.login_step(connection, SECURITY, OPERATIONAL)
    third = session.login_step(connection, OPERATIONAL)
    assert [p.stat_sn - first.stat_sn for p in (second, third)] == [1, 2]


@case('a version range that holds 0 is agreed to')
def _(target):
    response = first_step(target, version_max=9, version_min=0)
    assert (response.version_max, response.byte3) == (0, 0)


@case('a login that is not immediate is refused')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0200, lambda: session.login_step(
        connection, SECURITY, OPERATIONAL, dict(session.identity(), AuthMethod='None'),
        immediate=False))


@case('the reserved task tag is refused')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0200, lambda: session.login_step(
        connection, SECURITY, OPERATIONAL, dict(session.identity(), AuthMethod='None'),
        itt=wire.NO_TAG))


@case('ISID, TSIH and CID that change in the middle of a login are refused with 0200')
def _(target):
    for change in ({'isid': b'\x80changed'[:6]}, {'tsih': 5}, {'cid': 7}):
        session = target.session()
        connection = session.connect()
        session.login_step(connection, SECURITY, OPERATIONAL,
                           dict(session.identity(), AuthMethod='None'))
        session.login_request(connection, OPERATIONAL, FULL_FEATURE, OFFER, **change)
        assert connection.receive().login_status == 0x0200
        connection.expect_closed()


@case('a stage other than the agreed one is refused with 0200')
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, OPERATIONAL,
                       dict(session.identity(), AuthMethod='None'))
    session.login_request(connection, SECURITY, FULL_FEATURE, {})
    assert connection.receive().login_status == 0x0200
    connection.expect_closed()


@case('a first PDU that is no login ends the connection, without an answer in full feature phase form')
def _(target):
    for opcode in (wire.NOP_OUT, wire.SCSI_COMMAND, wire.TEXT_REQUEST, wire.LOGOUT_REQUEST, 0x3f):
        connection = target.connect()
        connection.send_bytes(wire.Pdu(opcode, flags=wire.FINAL, itt=1).encode())
        seen = connection.expect_closed()
        assert all(pdu.opcode == wire.LOGIN_RESPONSE and pdu.login_status == 0x020b
                   for pdu in seen), seen


@case('a new ISID with the TSIH of another session is refused with 020a')
def _(target):
    old = target.login()
    new = target.session()
    new.tsih = old.tsih
    target.refused(0x020a, new.login)
    old.alive()


@case('the TSIH of another initiator is refused with 020a', own=dict(targets=MANY))
def _(target):
    old = target.login(MaxConnections='4')
    thief = target.session(isid=old.isid, initiator='iqn.2026-11.org.example:thief')
    thief.tsih = old.tsih
    target.refused(0x020a, lambda: thief.login(cid=1, offer=JOINING))
    old.alive()


@case('a session reinstated: its writes are over, its RESERVE is gone, and no unit attention is left for it')
def _(target):
    isid = new_isid()
    old, other = target.login(isid=isid), target.login()
    old.command(bytes([0x16, 0, 0, 0, 0, 0])).good()
    assert other.command(scsi.test_unit_ready()).status == scsi.RESERVATION_CONFLICT
    held = old.start(scsi.write_10(0, 64), write=b'o' * 32768, immediate_data=0, hold_r2ts=True)
    while not held.r2ts:
        old.connection.pump()
    new = target.session(isid=isid).login()
    new.write(0, b'n' * 32768).good()
    other.command(scsi.test_unit_ready()).good()
    try:
        held.answer(held.r2ts[0])
    except Closed:
        pass
    old.connection.expect_closed()
    assert new.read(0, 64).good().data == b'n' * 32768


@case('the same name and ISID through another portal group are another session', own=TWO_GROUPS)
def _(target):
    isid = new_isid()
    one = target.login(isid=isid)
    port = target.address[1]
    target.address = ('127.0.0.2', port)
    two = target.login(isid=isid)
    assert two.answers['TargetPortalGroupTag'] == '2'
    one.alive()
    two.alive()


@case('a connection through another portal group cannot join the session', own=TWO_GROUPS)
def _(target):
    session = target.login(MaxConnections='4')
    session.address = ('127.0.0.2', target.address[1])
    try:
        session.login(cid=1, offer=JOINING)
    except Refused as refusal:
        assert refusal.status in (0x0208, 0x020a), '%04x' % refusal.status
        session.connections.pop().expect_closed()
    else:
        raise AssertionError('let in')
    session.alive()


@case('a discovery session is reinstated by its name and ISID at the same address, and by no other')
def _(target):
    isid = new_isid()
    old, other = target.login(isid=isid, discovery=True), target.login(discovery=True)
    normal = target.login(isid=isid)
    target.login(isid=isid, discovery=True, initiator='iqn.2026-11.org.example:somebody-else')
    assert old.text({}).final
    target.login(isid=isid, discovery=True)
    assert old.connection.expect_closed() == []
    assert other.text({}).final
    normal.alive()


@case('a discovery session has one connection')
def _(target):
    session = target.login(discovery=True)
    try:
        session.login(cid=1, offer=JOINING)
    except Refused as refusal:
        assert refusal.status in (0x0206, 0x0208, 0x020a), '%04x' % refusal.status
    else:
        raise AssertionError('let in')


@case('a discovery login needs no TargetName, a normal one no SessionType')
def _(target):
    target.login(discovery=True)
    session = target.session()
    connection = session.connect()
    session.login_stage(connection, SECURITY, OPERATIONAL,
                        {'InitiatorName': session.initiator, 'TargetName': IQN, 'AuthMethod': 'None'})
    session.finish_login(connection, dict(OFFER))
    session.alive()


if __name__ == '__main__':
    main(__file__)
