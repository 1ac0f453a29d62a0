# SPDX-License-Identifier: BSD-3-Clause
"""How data comes to the target: immediate, unsolicited, asked for; and every way to get it wrong
(RFC 7143 11.7, 11.8, 13.10-13.14). At error recovery level 0 a wrong Data-Out either gets a Reject or
loses the connection, or the command ends with CHECK CONDITION: what it must never be is GOOD."""
import scsi
import wire
from peer import Closed, IQN, LIMIT, QUIET, case, main, ram
from wire import NO_TAG, Pdu

DATA = bytes(range(256)) * 1024      # 256 KiB
BLOCKS = len(DATA) // 512


def verify(session):
    assert session.read(0, BLOCKS).good().data == DATA


@case('all data immediate')
def _(target):
    session = target.login(InitialR2T='No')
    size = min(session.number('FirstBurstLength'), session.connection.mrdsl)
    task = session.write(0, DATA[:size]).good()
    assert not task.r2ts, 'asked for data it has'
    assert session.read(0, size // 512).good().data == DATA[:size]


@case('immediate data, the rest asked for')
def _(target):
    session = target.login()
    task = session.write(0, DATA, immediate_data=4096).good()
    assert task.r2ts[0].offset == 4096 and sum(r2t.desired for r2t in task.r2ts) == len(DATA) - 4096
    verify(session)


@case('no immediate data although it was allowed')
def _(target):
    session = target.login()
    task = session.write(0, DATA, immediate_data=0).good()
    assert task.r2ts[0].offset == 0
    verify(session)


@case('immediate data of a length that is no multiple of 512 or of 4')
def _(target):
    session = target.login()
    for size in (1, 3, 511, 513, 4098):
        session.write(0, DATA, immediate_data=size).good()
    verify(session)


@case('no data unasked with ImmediateData=No and InitialR2T=Yes')
def _(target):
    session = target.login(ImmediateData='No', InitialR2T='Yes')
    session.alive(lun=1)
    session.write(0, bytes(len(DATA))).good()
    for lun in (1, session.first_lun):      # an R2T says which
        task = session.write(0, DATA, lun=lun).good()
        assert sum(r2t.desired for r2t in task.r2ts) == len(DATA)
        assert session.read(0, BLOCKS, lun=lun).good().data == DATA


def _unsolicited(session, immediate):
    """A write with FirstBurstLength bytes unasked, `immediate` of them in the command."""
    first = session.number('FirstBurstLength')
    task = session.start(scsi.write_10(0, BLOCKS), write=DATA, immediate_data=immediate, more=True)
    task.send_data(immediate, first - immediate)
    task.good()
    assert task.r2ts[0].offset == first, 'asked again for %d' % task.r2ts[0].offset
    verify(session)


@case('unsolicited Data-Out up to FirstBurstLength, then what is asked for')
def _(target):
    session = target.login(InitialR2T='No', FirstBurstLength='65536')
    if session.negotiated['InitialR2T'] == 'Yes':
        raise AssertionError('the target insists on R2T')
    _unsolicited(session, 0)
    _unsolicited(session, 8192)


@case('unsolicited Data-Out without immediate data')
def _(target):
    session = target.login(InitialR2T='No', ImmediateData='No', FirstBurstLength='16384')
    _unsolicited(session, 0)


@case('an unsolicited burst shorter than FirstBurstLength ends with its F bit')
def _(target):
    session = target.login(InitialR2T='No', FirstBurstLength='65536')
    task = session.start(scsi.write_10(0, BLOCKS), write=DATA, immediate_data=512, more=True)
    task.send_data(512, 1024)
    task.good()
    assert task.r2ts[0].offset == 1536
    verify(session)


@case('several R2Ts are out at once, and answered in any order of commands')
def _(target):
    session = target.login(ImmediateData='No', MaxOutstandingR2T='4', MaxBurstLength='16384')
    task = session.start(scsi.write_10(0, BLOCKS), write=DATA, hold_r2ts=True)
    outstanding = session.number('MaxOutstandingR2T')
    while len(task.r2ts) < outstanding:
        session.connection.pump()
    session.connection.expect_quiet()     # no more than was agreed
    other = session.start(scsi.write_10(2 * BLOCKS, 8), write=DATA[:4096])
    other.good()
    answered = 0
    while not task.done:
        for r2t in task.r2ts[answered:]:
            task.answer(r2t)
            answered += 1
        session.connection.pump()
    task.good()
    verify(session)


@case('each R2T asks for at most MaxBurstLength and together for all', own=dict(
    targets={IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {'max-outstanding-r2t': 8}}}))
def _(target):
    session = target.login(MaxOutstandingR2T='8', MaxBurstLength='8192', ImmediateData='No')
    task = session.write(0, DATA).good()
    assert len(task.r2ts) >= 32
    verify(session)


@case('many writes at once, their data mixed PDU by PDU')
def _(target):
    session = target.login(ImmediateData='No', MaxBurstLength='65536')
    tasks = []
    for number in range(4):
        payload = bytes([number + 1]) * 65536
        tasks.append(session.start(scsi.write_10(number * 128, 128), write=payload, hold_r2ts=True))
    while not all(task.r2ts for task in tasks):
        session.connection.pump()
    step = 4096
    for offset in range(0, 65536, step):
        for task in tasks:
            r2t = task.r2ts[0]
            assert r2t.desired == 65536, 'asked for %d' % r2t.desired
            session.connection.send(Pdu(
                wire.DATA_OUT, task.to_write[offset:offset + step], itt=r2t.itt, ttt=r2t.ttt,
                flags=wire.FINAL if offset + step == 65536 else 0, lun_bytes=r2t.lun_bytes,
                data_sn=offset // step, offset=offset))
    for task in tasks:
        task.good()
    for number in range(4):
        assert session.read(number * 128, 128).good().data == bytes([number + 1]) * 65536


@case('a lost connection in the middle of a write leaves nobody waiting')
def _(target):
    other = target.login()
    for _ in range(3):
        session = target.login(ImmediateData='No')
        task = session.start(scsi.write_10(0, BLOCKS), write=DATA, hold_r2ts=True)
        while not task.r2ts:
            session.connection.pump()
        task.send_data(0, 8192, task.r2ts[0].ttt, final=False)
        session.connection.reset()
        other.alive()


# --- wrong data

def never_good(session, task):
    """Whatever the target makes of it, it says so, and the command is not GOOD."""
    rejected = False
    try:
        while not task.done:
            rejected |= session.connection.pump(QUIET if rejected else LIMIT).opcode == wire.REJECT
    except TimeoutError:
        assert rejected, 'no Reject, no status, no end of the connection'
        return
    except Closed:
        return
    assert task.status == scsi.CHECK_CONDITION, 'status %02x' % task.status


def _asked(target, **fields):
    """A write whose first R2T is answered with one PDU in which fields are wrong."""
    session = target.login(ImmediateData='No')
    task = session.start(scsi.write_10(0, 16), write=DATA[:8192], hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    r2t = task.r2ts[0]
    right = dict(itt=r2t.itt, ttt=r2t.ttt, flags=wire.FINAL, lun_bytes=r2t.lun_bytes, data_sn=0,
                 offset=0)
    data = fields.pop('data', DATA[:r2t.desired])
    session.connection.send(Pdu(wire.DATA_OUT, data, **dict(right, **fields)))
    never_good(session, task)
    target.login().alive()


@case('a Data-Out with a wrong DataSN')
def _(target):
    _asked(target, data_sn=1)


@case('a Data-Out with a wrong offset')
def _(target):
    _asked(target, offset=512)


@case('a Data-Out with an offset beyond the command')
def _(target):
    _asked(target, offset=0xfffffff0)


@case('a Data-Out that is longer than was asked for')
def _(target):
    _asked(target, data=DATA[:12288])


@case('a Data-Out that ends its burst early')
def _(target):
    _asked(target, data=DATA[:4096])


@case('a Data-Out with a transfer tag nobody gave')
def _(target):
    _asked(target, ttt=0x12345678)


@case('a Data-Out without tag when nothing may come unasked')
def _(target):
    _asked(target, ttt=NO_TAG)


@case('a Data-Out for a command nobody sent')
def _(target):
    session = target.login()
    session.connection.send(Pdu(wire.DATA_OUT, DATA[:512], flags=wire.FINAL, itt=0x7777, ttt=0x8888))
    # It may be what was under way for an aborted command: read and forgotten, or rejected.
    try:
        session.alive()
    except Closed:
        pass
    target.login().alive()


@case('immediate data that was negotiated away')
def _(target):
    session = target.login(ImmediateData='No')
    never_good(session, session.start(scsi.write_10(0, 8), write=DATA[:4096], immediate_data=4096))
    target.login().alive()


@case('more immediate data than FirstBurstLength')
def _(target):
    session = target.login(FirstBurstLength='4096')
    never_good(session, session.start(scsi.write_10(0, 16), write=DATA[:8192], immediate_data=8192))
    target.login().alive()


@case('more immediate data than the command expects')
def _(target):
    session = target.login()
    never_good(session, session.start(scsi.write_10(0, 1), write=DATA[:1024], edtl=512,
                                      immediate_data=1024))
    target.login().alive()


@case('more unsolicited data than FirstBurstLength')
def _(target):
    session = target.login(InitialR2T='No', FirstBurstLength='8192')
    task = session.start(scsi.write_10(0, BLOCKS), write=DATA, immediate_data=0, more=True)
    try:
        task.send_data(0, 16384)
    except Closed:
        pass
    never_good(session, task)
    target.login().alive()


@case('a command without F although unsolicited data was negotiated away does not hang')
def _(target):
    session = target.login(InitialR2T='Yes')
    task = session.start(scsi.write_10(0, 8), write=DATA[:4096], immediate_data=0, more=True)
    try:
        while not task.done and session.connection.pump().opcode != wire.REJECT:
            pass
    except Closed:
        pass
    target.login().alive()


if __name__ == '__main__':
    # No ping, so no end of a connection for want of an answer: who waits here waits for ever.
    main(__file__, daemon={'nop-interval': '0s'})
