# SPDX-License-Identifier: BSD-3-Clause
"""The worker dies between two bytes of a dialogue: half a PDU received, an R2T open, an answer half
sent. Every PDU after the kill is judged by tests/dialogue/connection.py as if nothing had happened."""
import socket
import time

import scsi
import wire
from cases import case
from connection import Closed
from server import IQN, serving
from session import Session
from wire import NO_TAG, Pdu

DATA = bytes(range(256)) * 1024     # 256 KiB
OTHER = bytes(reversed(DATA))
DIGESTS = {'HeaderDigest': 'CRC32C', 'DataDigest': 'CRC32C'}
UNASKED = {'InitialR2T': 'No', 'FirstBurstLength': '131072'}

_scenes = []


def scene(name, **offer):
    """A dialogue with one kill or more in it: function(server, session)."""
    def register(function):
        _scenes.append((name, function, offer))
        return function
    return register


def log_in(server, initiator='iqn.2026-11.org.example:initiator', cid=0, target=IQN, **offer):
    session = Session(server.address, target, initiator=initiator)
    session.login(cid, **offer)
    session.alive()
    return session


def unalike(size, seed):
    """Bytes that are at no offset the same as at another."""
    return b''.join((seed << 32 | i).to_bytes(8, 'big') for i in range(size // 8))


def holds(session, lba, data, lun=None):
    found = session.read(lba, len(data) // 512, lun=lun).good().data
    wrong = [at for at in range(0, len(data), 512) if found[at:at + 512] != data[at:at + 512]]
    assert not wrong, 'wrong from byte %d on, %d blocks' % (wrong[0], len(wrong))


def write_pdu(session, lba, data, immediate, more=False):
    """An encoded write command, not sent."""
    connection = session.connection
    pdu = Pdu(wire.SCSI_COMMAND, data[:immediate], flags=wire.WRITE | 1 | (0 if more else wire.FINAL),
              edtl=len(data), lun=0, itt=session.next_itt(),
              cdb=scsi.write_10(lba, len(data) // 512).ljust(16, b'\0'))
    pdu.cmd_sn = session.next_cmd_sn()
    pdu.exp_stat_sn = connection.stat_sn
    from task import Task   # pylint: disable=import-outside-toplevel
    task = Task(session, connection, pdu, data)
    connection.tasks[pdu.itt] = task
    return task, connection.encode(pdu)


def in_pieces(server, connection, data, *cuts):
    """Sends bytes with a kill at each of the places."""
    at = 0
    for cut in cuts:
        connection.send_bytes(data[at:cut])
        time.sleep(0.02)        # so that the worker has them
        server.kill()
        at = cut
    connection.send_bytes(data[at:])


@scene('a header in two halves')
def _(server, session):
    task, raw = write_pdu(session, 100, DATA[:512], 512)
    in_pieces(server, session.connection, raw, 20)
    task.good()
    holds(session, 100, DATA[:512])


@scene('immediate data in pieces, several kills in one segment', FirstBurstLength='131072')
def _(server, session):
    data = unalike(65536, 1)
    task, raw = write_pdu(session, 0, data, len(data))
    in_pieces(server, session.connection, raw, 48, 49, 5000, 40001, len(raw) - 3)
    task.good()
    holds(session, 0, data)


@scene('short immediate data, killed within it')
def _(server, session):
    data = unalike(4096, 2)
    task, raw = write_pdu(session, 7, data, len(data))
    in_pieces(server, session.connection, raw, 50, 2000, len(raw) - 1)
    task.good()
    holds(session, 7, data)


@scene('a kill while an R2T is open, then between and inside Data-Outs')
def _(server, session):
    data = unalike(262144, 3)
    task = session.start(scsi.write_10(0, 512), write=data, immediate_data=4096, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    server.kill()
    task.hold_r2ts = False
    r2t = task.r2ts[0]
    step = 16384
    pieces = b''
    for sn, at in enumerate(range(r2t.offset, r2t.offset + r2t.desired, step)):
        end = min(at + step, r2t.offset + r2t.desired)
        pdu = Pdu(wire.DATA_OUT, data[at:end], lun_bytes=r2t.lun_bytes, itt=task.request.itt,
                  ttt=r2t.ttt, data_sn=sn, offset=at,
                  flags=wire.FINAL if end == r2t.offset + r2t.desired else 0)
        pdu.exp_stat_sn = session.connection.stat_sn
        pieces += session.connection.encode(pdu)
    in_pieces(server, session.connection, pieces, 16384 + 48, 70000, 131072, len(pieces) - 10)
    task.good()
    holds(session, 0, data)


@scene('many R2Ts, a kill at each', MaxBurstLength='16384', FirstBurstLength='8192', MaxOutstandingR2T='4')
def _(server, session):
    data = unalike(262144, 4)
    task = session.start(scsi.write_10(64, 512), write=data, immediate_data=0, hold_r2ts=True)
    answered = 0
    while not task.done:
        session.connection.pump()
        while answered < len(task.r2ts):
            task.answer(task.r2ts[answered])
            answered += 1
            if answered % 4 == 0:
                server.kill()
    task.good()
    holds(session, 64, data)


@scene('unsolicited data, a kill before its end', **UNASKED)
def _(server, session):
    data = unalike(131072, 5)
    task = session.start(scsi.write_10(0, 256), write=data, immediate_data=8192, more=True)
    server.kill()
    task.send_data(8192, 40960, final=False)
    server.kill()
    # the rest of the same sequence: DataSN goes on
    sn = -(-40960 // session.connection.mrdsl)
    session.connection.send(Pdu(wire.DATA_OUT, data[49152:], flags=wire.FINAL, lun=0,
                                itt=task.request.itt, ttt=NO_TAG, data_sn=sn, offset=49152))
    task.good()
    holds(session, 0, data)


@scene('commands held for a missing CmdSN, the missing one comes after the kill')
def _(server, session):
    first = session.next_cmd_sn()
    second = session.start(scsi.write_10(8, 8), write=DATA[:4096])
    third = session.start(scsi.read_10(8, 8), read=4096)
    time.sleep(0.02)
    server.kill()
    server.kill()
    missing = session.start(scsi.write_10(8, 8), write=OTHER[:4096], cmd_sn=first)
    missing.good()
    second.good()
    assert third.good().data == DATA[:4096]


@scene('answers nobody reads, killed again and again while the socket is full')
def _(server, session):
    data = unalike(262144, 6)
    session.write(0, data).good()
    tasks = [session.start(scsi.read_10(0, 512), read=262144) for _ in range(30)]
    for _ in range(4):
        time.sleep(0.03)
        server.kill()
        for _ in range(6):
            session.connection.pump()
    for task in tasks:
        assert task.good().data == data


@scene('answers nobody reads, in small PDUs', MaxRecvDataSegmentLength='512')
def _(server, session):
    data = unalike(262144, 7)
    session.write(0, data).good()
    tasks = [session.start(scsi.read_10(0, 512), read=262144) for _ in range(8)]
    for _ in range(6):
        time.sleep(0.02)
        server.kill()
        for _ in range(200):
            session.connection.pump()
    for task in tasks:
        assert task.good().data == data


@scene('an idle session after five kills: no unit attention, numbers go on')
def _(server, session):
    session.write(0, DATA[:4096]).good()
    for _ in range(5):
        server.kill()
    session.connection.expect_quiet(0.1)
    session.command(scsi.test_unit_ready()).good()
    holds(session, 0, DATA[:4096])


@scene('pings with data across a kill')
def _(server, session):
    connection = session.connection
    request = Pdu(wire.NOP_OUT, DATA[:6000], flags=wire.FINAL, itt=session.next_itt(), ttt=NO_TAG)
    request.cmd_sn, request.exp_stat_sn = session.next_cmd_sn(), connection.stat_sn
    in_pieces(server, connection, connection.encode(request), 30, 60, 4000)
    answer = connection.expect(wire.NOP_IN)
    assert answer.data == DATA[:6000]
    session.nop(b'again')
    server.kill()
    assert connection.expect(wire.NOP_IN).data == b'again'


@scene('a write that waits for its data is aborted after the kill')
def _(server, session):
    task = session.start(scsi.write_10(0, 512), write=DATA, immediate_data=0, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    server.kill()
    response = session.task_management(1, referenced=task.request.itt, lun=0)
    assert response.response == 0, response
    server.kill()
    task.answer(task.r2ts[0])       # late data of an aborted command is nobody's
    session.nop(b'x')
    session.connection.expect(wire.NOP_IN)
    session.alive()


@scene('a reset with a kill right behind it is answered')
def _(server, session):
    session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | 5, lun=0,
                    referenced_tag=NO_TAG)
    server.kill()
    assert session.connection.expect(wire.TASK_RESPONSE).response == 0
    session.alive()


@scene('a text request in two halves')
def _(server, session):
    connection = session.connection
    request = Pdu(wire.TEXT_REQUEST, wire.text_segment({'SendTargets': ''}), flags=wire.FINAL,
                  itt=session.next_itt(), ttt=NO_TAG)
    request.cmd_sn, request.exp_stat_sn = session.next_cmd_sn(), connection.stat_sn
    in_pieces(server, connection, connection.encode(request), 10, 52)
    assert IQN in connection.expect(wire.TEXT_RESPONSE).keys()['TargetName']


@scene('a logout in two halves')
def _(server, session):
    connection = session.connection
    request = Pdu(wire.LOGOUT_REQUEST, flags=wire.FINAL, itt=session.next_itt())
    request.cmd_sn, request.exp_stat_sn = session.next_cmd_sn(), connection.stat_sn
    in_pieces(server, connection, connection.encode(request), 40)
    connection.expect(wire.LOGOUT_RESPONSE)
    connection.expect_closed()


def play(server, name, function, offer):
    session = log_in(server, **offer)
    try:
        function(server, session)
    except (AssertionError, Closed, TimeoutError) as error:
        error.add_note('scene: %s %r' % (name, offer))
        raise
    finally:
        session.close()


@case('dialogue: the worker dies between two bytes')
def _(scale):
    failures = []
    with serving() as server:
        for _ in range(scale.count(1, 20)):
            for name, function, offer in _scenes:
                for digests in ({}, DIGESTS):
                    try:
                        play(server, name, function, dict(offer, **digests))
                    except (AssertionError, Closed, TimeoutError) as error:
                        failures.append('%s%s: %s %s' % (name, ' (digests)' if digests else '',
                                                         type(error).__name__, str(error)[:500]))
        assert not failures, '\n'.join(failures)
        return '%d scenes, %d kills' % (2 * len(_scenes), server.kills)
