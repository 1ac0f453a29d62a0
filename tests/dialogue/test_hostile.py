# SPDX-License-Identifier: BSD-3-Clause
"""Peers that mean harm or do not know better. Each case runs beside a session that does I/O: it must
notice nothing, the worker must not die (the shared daemon checks that at its end), and the daemon's
memory must not follow what a peer claims."""
import pathlib
import random
import socket
import struct

import scsi
import wire
from peer import Closed, Settings, Skip, case, main
from wire import NO_TAG, Pdu

PATTERN = bytes(range(256)) * 16


class Bystander:
    """A session that reads and writes, in another nexus, while something happens."""

    def __init__(self, target):
        self.session = target.login(initiator='iqn.2026-11.org.example:bystander')
        self.round = 0

    def works(self):
        self.round += 1
        data = struct.pack('>I', self.round) * 1024
        self.session.write(1000, data).good()
        assert self.session.read(1000, 8).good().data == data


def send_and_see(connection, data):
    """Sends bytes, then waits for the end, an answer or silence: all are fine."""
    try:
        connection.send_bytes(data)
        connection.half_close()
        while True:
            connection.receive(0.2)
    except (Closed, TimeoutError, OSError, AssertionError):
        pass
    finally:
        connection.close()


@case('random bytes instead of a login')
def _(target):
    bystander, dice = Bystander(target), random.Random(1)
    for _ in range(60):
        send_and_see(target.connect(), dice.randbytes(dice.randrange(1, 2000)))
        bystander.works()


@case('another protocol')
def _(target):
    bystander = Bystander(target)
    for greeting in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
                     b'SSH-2.0-OpenSSH_9.2\r\n', b'NBDMAGIC', b'\0' * 4096, b'\xff' * 4096):
        send_and_see(target.connect(), greeting * 20)
        bystander.works()


@case('a login cut off at every byte of its header')
def _(target):
    bystander = Bystander(target)
    session = target.session()
    pdu = Pdu(wire.LOGIN_REQUEST, wire.text_segment(session.identity()), flags=0x81,
              isid=session.isid, itt=1, cmd_sn=1)
    pdu.immediate = True
    raw = pdu.encode()
    for size in list(range(1, 49, 3)) + [60, len(raw) - 1]:
        connection = target.connect()
        connection.send_bytes(raw[:size])
        connection.reset()
    bystander.works()


@case('logins with one random byte changed')
def _(target):
    bystander, dice = Bystander(target), random.Random(2)
    session = target.session()
    for _ in range(150):
        pdu = Pdu(wire.LOGIN_REQUEST, wire.text_segment(dict(session.identity(), AuthMethod='None')),
                  flags=0x81, isid=session.isid, itt=1, cmd_sn=1)
        pdu.immediate = True
        raw = bytearray(pdu.encode())
        raw[dice.randrange(len(raw))] = dice.randrange(256)
        send_and_see(target.connect(), bytes(raw))
    bystander.works()


@case('random login text')
def _(target):
    bystander, dice = Bystander(target), random.Random(3)
    words = [b'InitiatorName', b'TargetName', b'=', b'\0', b'iqn.2026-11.org.example:x', b'AuthMethod',
             b'CHAP', b'None', b',', b'0x', b'MaxBurstLength', b'99999999999999999999', b'\xff\xfe', b'%n%s',
             b'A' * 300, b'SessionType', b'Discovery', b'~', b'HeaderDigest']
    for _ in range(150):
        text = b''.join(dice.choice(words) for _ in range(dice.randrange(1, 40)))
        pdu = Pdu(wire.LOGIN_REQUEST, text, flags=dice.choice((0, 0x40, 0x81, 0x83, 0x87, 0x04)),
                  isid=b'\x80' + bytes(5), itt=1, cmd_sn=1)
        pdu.immediate = True
        send_and_see(target.connect(), pdu.encode())
    bystander.works()


@case('random bytes in full feature phase')
def _(target):
    bystander, dice = Bystander(target), random.Random(4)
    for number in range(60):
        digest = 'CRC32C' if number % 4 == 0 else 'None'
        session = target.login(HeaderDigest=digest, DataDigest=digest)
        send_and_see(session.connection, dice.randbytes(dice.randrange(1, 4000)))
    bystander.works()


@case('random headers of every opcode in full feature phase')
def _(target):
    bystander, dice = Bystander(target), random.Random(5)
    for opcode in list(range(0x40)) * 2:
        session = target.login()
        out = b''
        for _ in range(4):
            pdu = Pdu(header=dice.randbytes(48), data=dice.randbytes(dice.choice((0, 0, 4, 100))))
            pdu.header[0] = opcode | dice.choice((0, 0x40, 0x80))
            pdu.header[4] = 0
            pdu.cmd_sn = session.cmd_sn
            out += pdu.encode()
        send_and_see(session.connection, out)
    bystander.works()


@case('commands with random CDBs, lengths, flags and LUNs')
def _(target):
    bystander, dice = Bystander(target), random.Random(6)
    for _ in range(400):
        session = target.login() if dice.random() < 0.05 or not target.sessions[1:] \
            else target.sessions[-1]
        cdb = bytearray(dice.randbytes(16))
        cdb[0] = dice.choice([op for op in range(256) if op != 0x0a])   # WRITE(6) reaches all of it
        if cdb[0] in (0x2a, 0xaa, 0x8a, 0x41, 0x93, 0x42, 0x04, 0x48, 0x2e, 0xae, 0x8e, 0x89, 0x8b, 0x9c):
            cdb[2] = 0xff       # far beyond the end: what the bystander wrote stays
        try:
            task = session.start(bytes(cdb), read=dice.choice((0, 1, 255, 512, 4096, 70000)),
                                 lun=dice.choice((0, 0, 0, 1, 7)))
            while not task.done:
                session.connection.pump(10)
        except (Closed, TimeoutError, AssertionError):
            target.sessions.pop().close()
    bystander.works()


@case('lengths no PDU has')
def _(target):
    bystander = Bystander(target)
    for opcode in (wire.NOP_OUT, wire.SCSI_COMMAND, wire.TEXT_REQUEST, wire.DATA_OUT,
                   wire.LOGOUT_REQUEST, wire.TASK_REQUEST):
        for length, words in ((0xffffff, 0), (0xffffff, 255), (0, 255), (0x800000, 1)):
            session = target.login()
            pdu = Pdu(opcode, flags=wire.FINAL, itt=3, ttt=NO_TAG, cmd_sn=session.cmd_sn)
            pdu.length, pdu.ahs_words = length, words
            send_and_see(session.connection, pdu.encode() + bytes(2000))
    bystander.works()


@case('a write that claims four gigabytes')
def _(target):
    bystander = Bystander(target)
    session = target.login()
    for edtl in (0xffffffff, 0x80000000, 0x7fffffff):
        task = session.start(scsi.write_16(0, 0x7fffff), write=b'', edtl=edtl, flags=wire.WRITE,
                             hold_r2ts=True)
        try:
            session.connection.pump(2)
        except (TimeoutError, Closed):
            pass
        session.connection.tasks.pop(task.request.itt, None)
    bystander.works()


@case('a flood of commands beyond the window')
def _(target):
    bystander = Bystander(target)
    session = target.login()
    first = session.cmd_sn
    raw = b''.join(Pdu(wire.SCSI_COMMAND, flags=wire.FINAL, itt=1000 + n, cmd_sn=first + n,
                       cdb=bytes(16)).encode() for n in range(5000))
    session.connection.socket.settimeout(5)
    try:
        session.connection.send_bytes(raw)
    except (Closed, socket.timeout):
        pass
    bystander.works()


@case('a flood of immediate commands')
def _(target):
    bystander = Bystander(target)
    session = target.login()
    raw = b''.join(Pdu(0x40 | opcode, flags=wire.FINAL, itt=1000 + n, ttt=NO_TAG,
                       cmd_sn=session.cmd_sn).encode()
                   for n, opcode in enumerate([wire.NOP_OUT, wire.SCSI_COMMAND] * 3000))
    session.connection.socket.settimeout(5)
    try:
        session.connection.send_bytes(raw)
    except (Closed, socket.timeout):
        pass
    bystander.works()


@case('floods of task management, of bad texts and of bad digests do not fill the log')
def _(target):
    if not target.daemon:
        raise Skip('needs the log of a daemon')
    session = target.login(DataDigest='CRC32C')
    before = len(target.daemon.log().splitlines())
    for n in range(1000):
        session.task_management(1, referenced=5000 + n, ref_cmd_sn=session.cmd_sn - 1)
        session.request(wire.TEXT_REQUEST, b'no pair', flags=wire.FINAL, ttt=NO_TAG)
        session.connection.expect(wire.REJECT)
        session.nop(b'spoiled', spoil='data')
        session.connection.expect(wire.REJECT)
    lines = target.daemon.log().splitlines()[before:]
    assert any('abort task' in line for line in lines), lines
    assert len(lines) < 1000, '%d lines, such as %r' % (len(lines), lines[-3:])


@case('an initiator that asks for much and reads nothing')
def _(target):
    bystander = Bystander(target)
    greedy = [target.login() for _ in range(4)]
    for session in greedy:
        session.connection.socket.settimeout(2)
        try:
            for block in range(40):
                session.start(scsi.read_10(block, 2048), read=2048 * 512)
        except (Closed, socket.timeout):
            pass
        bystander.works()


@case('a PDU that comes byte by byte is a PDU')
def _(target):
    bystander = Bystander(target)
    session = target.login()
    task = session.start(scsi.read_10(0, 1), read=512)
    task.good()
    pdu = Pdu(wire.SCSI_COMMAND, PATTERN[:512], flags=wire.FINAL | wire.WRITE | 1, edtl=512,
              itt=0x999, cmd_sn=session.next_cmd_sn(), lun=session.first_lun,
              cdb=scsi.write_10(0, 1).ljust(16, b'\0'), exp_stat_sn=session.connection.stat_sn)
    for byte in pdu.encode():
        session.connection.send_bytes(bytes([byte]))
    assert session.connection.expect(wire.SCSI_RESPONSE).status == scsi.GOOD
    assert session.read(0, 1).good().data == PATTERN[:512]
    bystander.works()


@case('connections that come and go')
def _(target):
    bystander = Bystander(target)
    for number in range(300):
        connection = target.connect()
        if number % 2:
            connection.reset()
        else:
            connection.close()
    bystander.works()


@case('after all that the daemon is no larger than before by more than a little')
def _(target):
    if Settings.target:
        return
    bystander = Bystander(target)
    worker = target.daemon.wait_for_worker()
    if 'san.so' in pathlib.Path('/proc/%d/maps' % worker).read_text(encoding='utf-8'):
        raise Skip('a sanitizer keeps freed memory')

    def resident():
        for line in pathlib.Path('/proc/%d/status' % worker).read_text(encoding='ascii').splitlines():
            if line.startswith('RssAnon:'):
                return int(line.split()[1])
        raise AssertionError('no RssAnon')
    for _ in range(50):     # whatever is allocated once is allocated now
        target.login().close()
    before = resident()
    for _ in range(400):
        session = target.login(initiator='iqn.2026-11.org.example:passer-by')
        session.start(scsi.read_10(0, 128), read=65536)
        session.connection.reset()
        target.sessions.pop()
    bystander.works()
    grown = resident() - before
    assert grown < 8192, 'the worker has grown by %d KiB in 400 sessions' % grown


if __name__ == '__main__':
    main(__file__)
