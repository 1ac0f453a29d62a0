# SPDX-License-Identifier: BSD-3-Clause
"""Sessions and their connections: TSIH, reinstatement, several connections, deadlines (RFC 7143 6.3)."""
import socket

import scsi
import wire
from peer import Closed, IQN, Refused, case, main, new_isid, ram
from session import OPERATIONAL, SECURITY

MANY = {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {'max-connections': 4}}}
HASTY = {'login-timeout': '2s'}


def join(session, cid):
    """Logs a further connection into a session."""
    keys = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxRecvDataSegmentLength': '65536'}
    session.login(cid=cid, offer=keys)
    return session.connections[-1]


@case('sessions of one initiator with different ISIDs are different sessions')
def _(target):
    one, two = target.login(), target.login()
    assert one.tsih != two.tsih
    one.alive()
    two.alive()


@case('a login with the same name and ISID and TSIH 0 replaces the session')
def _(target):
    isid = new_isid()
    old = target.login(isid=isid)
    old.start(scsi.test_unit_ready())
    new = target.login(isid=isid)
    old.connection.expect_closed()
    new.alive()


@case('the ISID of another initiator name replaces nothing')
def _(target):
    isid = new_isid()
    one = target.login(isid=isid)
    two = target.login(isid=isid, initiator='iqn.2026-11.org.example:somebody-else')
    one.alive()
    two.alive()


@case('a session being replaced under load goes without a trace')
def _(target):
    isid = new_isid()
    for _ in range(5):
        session = target.login(isid=isid)
        for block in range(40):
            session.start(scsi.read_10(block, 8), read=4096)
        held = session.start(scsi.write_10(0, 256), write=bytes(131072), immediate_data=0,
                             hold_r2ts=True)
        assert not held.done
    last = target.login(isid=isid)
    last.alive()


@case('a lost connection without logout leaves the target ready for the same ISID')
def _(target):
    isid = new_isid()
    session = target.login(isid=isid)
    session.start(scsi.write_10(0, 256), write=bytes(131072), immediate_data=0, hold_r2ts=True)
    session.connection.reset()
    target.login(isid=isid).alive()


@case('a discovery session does not replace a normal one')
def _(target):
    isid = new_isid()
    session = target.login(isid=isid)
    target.login(isid=isid, discovery=True)
    session.alive()


# --- several connections in a session

@case('a second connection joins a session and carries commands', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4')
    assert session.negotiated['MaxConnections'] == '4'
    second = join(session, 1)
    pattern = b'through the second connection'.ljust(512, b'.')
    session.write(7, pattern, connection=second).good()
    assert session.read(7, 1).good().data == pattern
    for number in range(40):    # CmdSN order goes across connections, allegiance stays
        session.read(number, 1, connection=session.connections[number % 2]).good()


@case('commands of several connections are taken in CmdSN order', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4')
    second = join(session, 1)
    first_sn = session.cmd_sn
    session.cmd_sn += 2
    late = session.start(scsi.test_unit_ready(), cmd_sn=first_sn + 1, connection=second)
    second.expect_quiet()
    session.start(scsi.test_unit_ready(), cmd_sn=first_sn).wait()
    late.wait()


@case('a logout of one connection leaves the others', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4')
    second = join(session, 1)
    answer = session.logout(reason=1, cid=1, connection=second)
    assert answer.response == 0
    second.expect_closed()
    session.alive()


@case('one connection can log out another', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4')
    second = join(session, 1)
    session.command(scsi.test_unit_ready(), connection=second)  # it has arrived in the session
    assert session.logout(reason=1, cid=1).response == 0
    second.expect_closed()
    session.alive()


@case('a logout of the session closes all its connections', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4')
    others = [join(session, 1), join(session, 2)]
    assert session.logout(reason=0).response == 0
    for connection in [session.connection] + others:
        connection.expect_closed()


@case('a logout that overtakes a connection on its way into the session closes it, too',
      own=dict(targets=MANY))
def _(target):
    for _ in range(60):
        session = target.login(MaxConnections='4')
        late = join(session, 1)
        assert session.logout(reason=0).response == 0
        session.connection.expect_closed()
        late.expect_closed()


@case('a connection beyond MaxConnections is refused', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='2')
    join(session, 1)
    try:
        join(session, 2)
    except Refused as refusal:
        assert refusal.status in (0x0206, 0x0208), '%04x' % refusal.status
    else:
        raise AssertionError('the third of two connections was let in')
    session.connections.pop().expect_closed()
    session.alive()


@case('a login with the TSIH and CID of a connection replaces that connection',
      own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='2')
    old = join(session, 1)
    new = join(session, 1)
    old.expect_closed()
    session.command(scsi.test_unit_ready(), connection=new).good()
    session.alive()


@case('a lost connection takes its commands with it, and its session goes on', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='2', DefaultTime2Wait='3')
    second = join(session, 1)
    held = session.start(scsi.write_10(0, 256), write=bytes(131072), immediate_data=0, hold_r2ts=True,
                         connection=second)
    while not held.r2ts:
        second.pump()
    second.reset()
    event = session.connection.expect(wire.ASYNC)
    assert (event.async_event, event.parameter1, event.parameter2, event.parameter3) == (2, 1, 3, 0)
    session.alive()
    again = join(session, 1)
    session.command(scsi.test_unit_ready(), connection=again).good()


@case('the last lost connection ends the session', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='2')
    second = join(session, 1)
    session.command(scsi.test_unit_ready(), connection=second).wait()
    second.reset()
    session.connection.expect(wire.ASYNC)
    session.connection.reset()
    lost = target.session(isid=session.isid)
    lost.tsih = session.tsih
    for _ in range(100):        # the target may hear of it a moment later
        try:
            lost.login(cid=2, offer={'HeaderDigest': 'None'})
        except Refused as refusal:
            assert refusal.status in (0x020a, 0x0206), '%04x' % refusal.status
            if refusal.status == 0x020a:
                break
        lost.close()
        lost.connections.clear()
    else:
        raise AssertionError('the session is still there')
    target.login().alive()


@case('a session-wide key on a further connection is no way to change it', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='2')
    connection = session.connect(cid=1)
    session.login_stage(connection, SECURITY, OPERATIONAL,
                        dict(session.identity(), AuthMethod='None'))
    session.login_request(connection, OPERATIONAL, None, {'MaxBurstLength': '4096'})
    answer = connection.receive()
    assert answer.login_status == 0x0200 or answer.keys()['MaxBurstLength'] in (
        'Irrelevant', 'Reject'), answer.text()
    session.alive()


@case('by default a session has one connection')
def _(target):
    session = target.login(MaxConnections='8')
    assert session.negotiated['MaxConnections'] == '1'
    try:
        join(session, 1)
    except Refused as refusal:
        assert refusal.status in (0x0206, 0x0208), '%04x' % refusal.status
    else:
        raise AssertionError('the second of one connection was let in')
    session.alive()


# --- deadlines

@case('a peer that says nothing is closed at the deadline', own=dict(daemon=HASTY))
def _(target):
    assert target.connect().expect_closed() == []


@case('half a header is closed at the deadline', own=dict(daemon=HASTY))
def _(target):
    connection = target.connect()
    connection.send_bytes(bytes([0x43, 0x81]) + bytes(20))
    connection.expect_closed()


@case('a login that goes no further is closed at the deadline', own=dict(daemon=HASTY))
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, OPERATIONAL,
                       dict(session.identity(), AuthMethod='None'))
    connection.expect_closed()


@case('a login that trickles in byte by byte is closed at the deadline', own=dict(daemon=HASTY))
def _(target):
    connection = target.connect()
    try:
        for _ in range(400):
            connection.send_bytes(b'\x43')
            try:
                connection.receive(0.1)
            except TimeoutError:
                pass
    except Closed:
        return
    raise AssertionError('still open')


@case('an endless login that only asks for more is ended', own=dict(daemon=HASTY))
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, OPERATIONAL,
                       dict(session.identity(), AuthMethod='None'))
    try:
        for _ in range(200000):
            session.login_step(connection, OPERATIONAL)
    except (Closed, Refused):
        return
    raise AssertionError('200000 exchanges and no end')


@case('the deadline is for logins, not for sessions', own=dict(daemon=HASTY))
def _(target):
    session = target.login()
    silent = target.connect()
    silent.expect_closed()      # the deadline has passed now
    session.alive()


@case('hundreds of half-open connections do not keep an initiator out', own=dict(daemon=HASTY))
def _(target):
    crowd = [socket.create_connection(target.address) for _ in range(300)]
    target.login().alive()
    for one in crowd:
        one.close()
    assert target.login().logout().opcode == wire.LOGOUT_RESPONSE


if __name__ == '__main__':
    main(__file__)
