# SPDX-License-Identifier: BSD-3-Clause
"""SCSI commands over iSCSI: data, status, residuals, sense (RFC 7143 11.3-11.7; SPC-4, SBC-3)."""
import scsi
import wire
from peer import IQN, case, main, ram

BLOCK = 512
PATTERN = bytes(range(256)) * 512        # 128 KiB


@case('what is written is read again')
def _(target):
    session = target.login()
    session.write(8, PATTERN).good()
    assert session.read(8, 256).good().data == PATTERN
    assert session.read(9, 1).good().data == PATTERN[512:1024]


@case('two LUNs keep their data apart')
def _(target):
    session = target.login()
    session.alive(lun=1)
    session.write(0, b'a' * BLOCK, lun=0).good()
    session.write(0, b'b' * BLOCK, lun=1).good()
    assert session.read(0, 1, lun=0).good().data == b'a' * BLOCK
    assert session.read(0, 1, lun=1).good().data == b'b' * BLOCK


@case('what one session writes another reads')
def _(target):
    one, two = target.login(), target.login()
    one.write(100, PATTERN[:BLOCK]).good()
    assert two.read(100, 1).good().data == PATTERN[:BLOCK]


@case('many commands are under way at once and each gets its own data')
def _(target):
    session = target.login()
    for block in range(64):
        session.write(block, bytes([block]) * BLOCK).good()
    window = (session.connection.max_cmd_sn - session.cmd_sn + 1) & 0xffffffff
    assert window >= 8, 'a window of %d' % window
    tasks = [session.start(scsi.read_10(block, 1), read=BLOCK) for block in range(min(64, window))]
    for block, task in enumerate(tasks):
        assert task.good().data == bytes([block]) * BLOCK


@case('a long read comes in sequences of at most MaxBurstLength')
def _(target):
    session = target.login(MaxBurstLength='16384', MaxRecvDataSegmentLength='8192')
    session.write(0, PATTERN).good()
    task = session.read(0, 256).good()
    assert task.data == PATTERN
    assert sum(pdu.final for pdu in task.data_ins) >= 8
    assert max(len(pdu.data) for pdu in task.data_ins) <= 8192


@case('the A bit is never used at error recovery level 0, and status may ride on the last Data-In')
def _(target):
    task = target.login().read(0, 1).good()
    assert len(task.data_ins) == 1 and task.data_ins[0].final


# --- residuals (PROTOCOL: RFC 7143 11.4.5)

@case('a read of nothing expected overflows by everything')
def _(target):
    for blocks in (1, 2):
        task = target.login().command(scsi.read_10(0, blocks), edtl=0, flags=wire.READ)
        assert task.good(blocks * BLOCK, 'over').data == b''


@case('a read command without R and W flags overflows by everything')
def _(target):
    task = target.login().command(scsi.read_10(0, 1), edtl=0, flags=0)
    assert task.good(BLOCK, 'over').data == b''


@case('a read of less than was expected underflows')
def _(target):
    session = target.login()
    session.write(0, PATTERN[:BLOCK]).good()
    task = session.command(scsi.read_10(0, 1), read=10000).good(10000 - BLOCK, 'under')
    assert task.data == PATTERN[:BLOCK]


@case('a read of more than was expected overflows and delivers what was expected')
def _(target):
    session = target.login()
    session.write(0, PATTERN[:1024]).good()
    task = session.command(scsi.read_10(0, 1), read=200).good(BLOCK - 200, 'over')
    assert task.data == PATTERN[:200]
    task = session.command(scsi.read_10(0, 2), read=BLOCK).good(BLOCK, 'over')
    assert task.data == PATTERN[:BLOCK]


@case('an odd expected length is delivered to the byte')
def _(target):
    session = target.login()
    session.write(0, PATTERN[:BLOCK]).good()
    for size in (1, 2, 3, 201, 511):
        task = session.command(scsi.read_10(0, 1), read=size).good(BLOCK - size, 'over')
        assert task.data == PATTERN[:size]


@case('a read sent with the W flag is GOOD and its data is consumed')
def _(target):
    session = target.login()
    task = session.command(scsi.read_10(0, 1), write=b'x' * BLOCK)
    assert task.status == scsi.GOOD and not task.data_ins
    session.alive()


def _write_leaves(target, blocks, edtl, residual, kind, written):
    """A write whose CDB and expected length differ: exactly `written` bytes change."""
    session = target.login()
    old, new = b'o' * 4096, b'n' * edtl
    session.write(0, old).good()
    session.command(scsi.write_10(0, blocks), write=new, edtl=edtl,
                    flags=wire.WRITE).good(residual, kind)
    assert session.read(0, 8).good().data == new[:written] + old[written:]


@case('a write of two blocks with one expected writes one and overflows')
def _(target):
    _write_leaves(target, blocks=2, edtl=BLOCK, residual=BLOCK, kind='over', written=BLOCK)


@case('a write of one block with two expected writes one and underflows')
def _(target):
    _write_leaves(target, blocks=1, edtl=2 * BLOCK, residual=BLOCK, kind='under', written=BLOCK)


@case('a write of one block with 10000 bytes expected underflows')
def _(target):
    _write_leaves(target, blocks=1, edtl=10000, residual=10000 - BLOCK, kind='under', written=BLOCK)


@case('a write of part of a block writes that part and overflows')
def _(target):
    _write_leaves(target, blocks=1, edtl=200, residual=BLOCK - 200, kind='over', written=200)


@case('a write with nothing expected writes nothing and overflows')
def _(target):
    session = target.login()
    session.write(0, b'o' * BLOCK).good()
    task = session.command(scsi.write_10(0, 1), edtl=0, flags=wire.WRITE)
    if task.status == scsi.GOOD:
        task.has_residual(BLOCK, 'over')
    else:
        task.check(scsi.INVALID_FIELD_IN_COMMAND_IU)
    assert session.read(0, 1).good().data == b'o' * BLOCK


@case('a mismatched write works the same with solicited data')
def _(target):
    session = target.login(ImmediateData='No')
    session.write(0, b'o' * 2048).good()
    session.command(scsi.write_10(0, 1), write=b'n' * 1024).good(BLOCK, 'under')
    assert session.read(0, 4).good().data == b'n' * BLOCK + b'o' * 1536


@case('a residual is told with CHECK CONDITION as well')
def _(target):
    session = target.login()
    task = session.command(scsi.read_10(0xfffffff0, 1), read=BLOCK).check(scsi.LBA_OUT_OF_RANGE)
    task.has_residual(BLOCK, 'under')
    assert task.data == b''


@case('an allocation length that cuts is no overflow, one too long underflows')
def _(target):
    session = target.login()
    assert len(session.command(scsi.inquiry(5), read=5).good().data) == 5
    task = session.command(scsi.inquiry(255), read=255)
    assert task.status == 0 and len(task.data) >= 36
    if len(task.data) < 255:
        task.has_residual(255 - len(task.data), 'under')


# --- sense

@case('beyond the end is LBA OUT OF RANGE and moves no data')
def _(target):
    session = target.login()
    last = int.from_bytes(session.command(scsi.read_capacity_10(), read=8).good().data[:4], 'big')
    session.read(last, 1).good()
    assert session.command(scsi.read_10(last, 2), read=1024).check(scsi.LBA_OUT_OF_RANGE).data == b''
    session.command(scsi.write_10(last, 2), write=b'x' * 1024).check(scsi.LBA_OUT_OF_RANGE)
    session.command(scsi.read_16(1 << 63, 1), read=512).check(scsi.LBA_OUT_OF_RANGE)
    session.command(scsi.read_16((1 << 64) - 1, 0xffffffff), read=512).check(scsi.LBA_OUT_OF_RANGE)


@case('a refused write takes the data that follows it and stays in step')
def _(target):
    for offer in ({}, {'ImmediateData': 'No'}, {'InitialR2T': 'No'}):
        session = target.login(**offer)
        for _ in range(3):
            session.command(scsi.write_10(0xfffffff0, 256), write=PATTERN).check(
                scsi.LBA_OUT_OF_RANGE)
        session.alive()


@case('an unknown command is INVALID COMMAND OPERATION CODE')
def _(target):
    session = target.login()
    for opcode in (0xc1, 0xff, 0x5c, 0x02):
        session.command(bytes([opcode]).ljust(16, b'\0')).check(scsi.INVALID_OPCODE)


@case('a LUN that is not there: commands fail, INQUIRY and REPORT LUNS answer')
def _(target):
    session = target.login()
    for lun in (5, 255, 300, 16383):
        session.command(scsi.test_unit_ready(), lun=lun).check(scsi.LUN_NOT_SUPPORTED)
        session.command(scsi.read_10(0, 1), read=512, lun=lun).check(scsi.LUN_NOT_SUPPORTED)
        data = session.command(scsi.inquiry(36), read=36, lun=lun).good().data
        assert data[0] == 0x7f, 'peripheral qualifier and type %02x' % data[0]
        data = session.command(scsi.report_luns(), read=512, lun=lun).data
        assert int.from_bytes(data[:4], 'big') >= 8
        task = session.command(scsi.request_sense(), read=252, lun=lun)
        assert task.status == scsi.GOOD and scsi.Sense(task.data).what() == scsi.LUN_NOT_SUPPORTED


@case('hierarchical and well-known LUN formats are no other LUN')
def _(target):
    session = target.login()
    for lun_bytes in (b'\0\0\0\x01\0\0\0\0', b'\x80\0\0\0\0\0\0\0', b'\xff' * 8, b'\0\0\0\0\0\0\0\1'):
        task = session.command(scsi.read_10(0, 1), read=512, lun_bytes=lun_bytes)
        task.check(scsi.LUN_NOT_SUPPORTED)


@case('flat space addressing reaches the same LUN as peripheral addressing')
def _(target):
    session = target.login()
    session.command(scsi.test_unit_ready(), lun_bytes=b'\x40\0\0\0\0\0\0\0').good()


@case('a read-only LUN refuses writes before their data and says so in MODE SENSE',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram(**{'read-only': True})}}}))
def _(target):
    session = target.login(ImmediateData='No')
    task = session.command(scsi.write_10(0, 256), write=PATTERN).check(scsi.WRITE_PROTECTED)
    assert not task.r2ts, 'asked for data it does not take'
    session.read(0, 1).good()
    data = session.command(bytes([0x1a, 0, 0x3f, 0, 255, 0]), read=255).data
    assert data[2] & 0x80, 'WP is not set'


@case('LUNs of 4096-byte blocks count in blocks',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram(**{'block-size': 4096})}}}))
def _(target):
    session = target.login()
    data = session.command(scsi.read_capacity_10(), read=8).good().data
    assert data == (64 * 256 - 1).to_bytes(4, 'big') + (4096).to_bytes(4, 'big')
    session.command(scsi.write_10(3, 2), write=PATTERN[:8192]).good()
    assert session.command(scsi.read_10(4, 1), read=4096).good().data == PATTERN[4096:8192]


@case('an iSCSI session keeps the identity of its LUN: serial, NAA, target port name')
def _(target):
    one, two = target.login(), target.login()
    for page in (0x80, 0x83):
        first = one.command(scsi.inquiry(255, page), read=255).data
        assert first == two.command(scsi.inquiry(255, page), read=255).data
        assert page == 0x80 or target.iqn.encode() + b',t,0x0001' in first


if __name__ == '__main__':
    main(__file__)
