# SPDX-License-Identifier: BSD-3-Clause
"""Peers that are alive and do not do what they owe: every one is closed in the end, for what it owes
holds memory that others wait for. That they are alive they show by bytes that ask for nothing."""
import time

import scsi
import wire
from peer import Closed, IQN, LIMIT, case, main, ram
from wire import NO_TAG, Pdu

STRICT = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()},
                             'session': {'nop-interval': '1s', 'nop-timeout': '2s'}}})


def sign_of_life(session):
    session.nop(itt=NO_TAG, immediate=True)


def closed_at_last(session, drip=sign_of_life, reading=True):
    """The target must close the connection although bytes keep coming."""
    deadline = time.monotonic() + LIMIT
    try:
        while time.monotonic() < deadline:
            drip(session)
            try:
                if reading:
                    session.connection.pump(0.3)
                else:
                    time.sleep(0.3)
            except TimeoutError:
                pass
    except Closed:
        return
    raise AssertionError('never closed')


@case('a peer that owes nothing is never closed', own=STRICT)
def _(target):
    session = target.login()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        sign_of_life(session)
        try:
            session.connection.pump(0.3)
        except TimeoutError:
            pass
    session.alive()


@case('data that an R2T asked for', own=STRICT)
def _(target):
    session = target.login(ImmediateData='No')
    session.start(scsi.write_10(0, 64), write=bytes(32768), hold_r2ts=True)
    closed_at_last(session)
    target.login().alive()


@case('the rest of the data that an R2T asked for', own=STRICT)
def _(target):
    session = target.login(ImmediateData='No')
    task = session.start(scsi.write_10(0, 64), write=bytes(32768), hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    task.send_data(0, 8192, task.r2ts[0].ttt, final=False)
    closed_at_last(session)


@case('unsolicited data that the command announced', own=STRICT)
def _(target):
    session = target.login(InitialR2T='No', ImmediateData='Yes')
    session.start(scsi.write_10(0, 64), write=bytes(32768), immediate_data=512, more=True)
    closed_at_last(session)


@case('the command before one that came early', own=STRICT)
def _(target):
    session = target.login()
    session.start(scsi.write_10(0, 64), write=bytes(32768), cmd_sn=session.cmd_sn + 1)
    closed_at_last(session)


@case('the rest of a PDU, byte by byte', own=STRICT)
def _(target):
    session = target.login(FirstBurstLength='65536')
    pdu = Pdu(wire.SCSI_COMMAND, bytes(65536), flags=wire.FINAL | wire.WRITE | 1, edtl=65536,
              lun=session.first_lun, itt=0x500, cmd_sn=session.next_cmd_sn(),
              cdb=scsi.write_10(0, 128).ljust(16, b'\0'))
    session.connection.send_bytes(pdu.encode()[:20000])
    closed_at_last(session, drip=lambda session: session.connection.send_bytes(b'\0'), reading=False)


@case('the rest of a header, byte by byte', own=STRICT)
def _(target):
    session = target.login()
    pdu = Pdu(wire.SCSI_COMMAND, ahs=bytes(1020), flags=wire.FINAL, itt=0x500)
    session.connection.send_bytes(pdu.encode()[:48])
    closed_at_last(session, drip=lambda session: session.connection.send_bytes(b'\0'), reading=False)


@case('that it takes what it has asked for', own=STRICT)
def _(target):
    session = target.login()
    for block in range(40):
        session.start(scsi.read_10(block, 2048), read=2048 * 512)
    closed_at_last(session, reading=False)
    target.login().alive()


@case('writes whose data comes one after the other are in time', own=STRICT)
def _(target):
    session = target.login(ImmediateData='No')
    tasks = [session.start(scsi.write_10(number * 8, 8), write=bytes([number]) * 4096, hold_r2ts=True)
             for number in range(5)]
    while not all(task.r2ts for task in tasks):
        session.connection.pump()
    for task in tasks:      # the last one waits longer than nothing at all may come
        time.sleep(1)
        task.answer(task.r2ts[0])
        task.good()
    session.alive()


if __name__ == '__main__':
    main(__file__)
