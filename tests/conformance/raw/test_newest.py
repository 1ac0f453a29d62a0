# SPDX-License-Identifier: BSD-3-Clause
"""What the newest suite of libiscsi asks of SCSI commands, and the packaged one does not."""
import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
from peer import IQN, case, main, ram

MISCOMPARE, ILLEGAL_REQUEST = 0x0e, 5
BLOCK = 512


def asked(session, cdb, length):
    """What a command answers that has room for `length` bytes: mostly less."""
    task = session.command(cdb, read=length)
    assert task.status == scsi.GOOD, task.sense
    return task.data


def compare_and_write(session, lba, compare, write):
    cdb = bytes([0x89, 0]) + lba.to_bytes(8, 'big') + bytes(3) + bytes([len(compare) // BLOCK, 0, 0])
    return session.command(cdb, write=compare + write)


@case('COMPARE AND WRITE says at which byte the data differ, and has written nothing')
def _(target):
    session = target.login()
    session.alive()
    old = bytes(range(256)) * 8         # four blocks
    assert session.write(16, old).status == scsi.GOOD
    for at in (0, 1, 511, 512, 1023, 2047):
        other = bytearray(old)
        other[at] ^= 0x10
        if at < 2047:
            other[2047] ^= 1            # the first difference is the one that is told
        task = compare_and_write(session, 16, bytes(other), b'n' * len(old))
        assert task.status == 2 and task.sense.what() == (MISCOMPARE, 0x1d00), task.sense
        raw = task.sense.data
        assert raw[0] == 0xf0 and int.from_bytes(raw[3:7], 'big') == at, raw.hex()
        assert session.read(16, 4).data == old
    assert compare_and_write(session, 16, old, b'n' * len(old)).status == scsi.GOOD
    assert session.read(16, 4).data == b'n' * len(old)


def own_name(session):
    """The NAA designator of the unit, as a CSCD descriptor."""
    data = asked(session, scsi.inquiry(255, 0x83), 255)
    at = 4
    while at < len(data):
        designator = data[at:at + 4 + data[at + 3]]
        if designator[1] & 0x3f == 3:
            name = designator[4:]
            return (b'\xe4\0\0\0' + bytes([designator[0] & 15, 3, 0, len(name)]) + name.ljust(20, b'\0') +
                    b'\0' + BLOCK.to_bytes(3, 'big'))
        at += len(designator)
    raise AssertionError('no NAA designator in %s' % data.hex())


def extended_copy(session, segments):
    """Segments of the unit into itself: (first block, blocks, first block of the copy)."""
    body = b''.join(b'\x0a\0\0\x1c\0\0\0\0' + (count * BLOCK).to_bytes(4, 'big') + source.to_bytes(8, 'big') +
                    to.to_bytes(8, 'big') + bytes(4) for source, count, to in segments)
    name = own_name(session)
    header = b'\x01\0' + len(name).to_bytes(2, 'big') + bytes(4) + len(body).to_bytes(4, 'big') + bytes(4)
    parameters = header + name + body
    return session.command(b'\x83' + bytes(9) + len(parameters).to_bytes(4, 'big') + bytes(2), write=parameters)


@case('EXTENDED COPY takes segments as long as it says, and copies all of them',
      own={'targets': {IQN: {'portals': ['test'], 'luns': {0: ram('520M')}}}})
def _(target):
    session = target.login()
    session.alive()
    told = asked(session, b'\x84\x03' + bytes(8) + (512).to_bytes(4, 'big') + bytes(2), 512)
    longest = min(int.from_bytes(told[16:20], 'big'), 256 << 20) // BLOCK
    assert longest, told.hex()
    half = (520 << 20) // BLOCK // 2
    marks = (0, longest // 2, longest - 8, longest, half - 8)
    for mark in marks:
        assert session.write(mark, b'%-4096d' % mark).status == scsi.GOOD
    segments = [(at, min(longest, half - at), half + at) for at in range(0, half, longest)]
    extended_copy(session, segments).good()
    for mark in marks:
        assert session.read(half + mark, 8).data == b'%-4096d' % mark, mark
    beyond = extended_copy(session, [(0, longest, 2 * half - longest + 1)])
    assert beyond.status == 2, 'a segment beyond the end was copied'


@case('INQUIRY lists its pages in order and once, and each can be had')
def _(target):
    session = target.login()
    session.alive()
    data = asked(session, scsi.inquiry(255, 0), 255)
    pages = list(data[4:4 + data[3]])
    assert pages == sorted(set(pages)) and {0, 0x80, 0x83, 0xb0, 0xb1, 0xb2} <= set(pages), pages
    for page in pages:
        answer = asked(session, scsi.inquiry(255, page), 255)
        assert answer[1] == page, answer.hex()
    other = next(page for page in range(256) if page not in pages)
    assert session.command(scsi.inquiry(255, other), read=255).sense.what() == (ILLEGAL_REQUEST, 0x2400)


@case('REPORT LUNS lists every LUN once')
def _(target):
    session = target.login()
    session.alive()
    data = asked(session, scsi.report_luns(512), 512)
    count = int.from_bytes(data[:4], 'big') // 8
    luns = [data[8 + 8 * i:16 + 8 * i] for i in range(count)]
    assert len(luns) == len(set(luns)) == count >= 1, luns
    assert len(data) == 8 + 8 * count
    short = asked(session, scsi.report_luns(16), 16)
    assert short == data[:16], 'the length is that of the whole list'


def port_groups(session, length):
    return asked(session, b'\xa3\x0a' + bytes(4) + length.to_bytes(4, 'big') + bytes(2), length)


@case('REPORT TARGET PORT GROUPS has a group that is active, and the groups say how many ports they have')
def _(target):
    session = target.login()
    session.alive()
    standard = asked(session, scsi.inquiry(96), 96)
    assert standard[5] >> 4 & 3, 'TPGS is 0'
    data = port_groups(session, 4096)
    assert int.from_bytes(data[:4], 'big') == len(data) - 4
    at, states = 4, []
    while at < len(data):
        states.append(data[at] & 0x0f)
        at += 8 + 4 * data[at + 7]
    assert at == len(data) and set(states) <= {0, 1, 2, 3, 4, 0xe, 0xf}, data.hex()
    assert {0, 1} & set(states), states


@case('REPORT TARGET PORT GROUPS cut short is the beginning of the whole')
def _(target):
    session = target.login()
    session.alive()
    whole = port_groups(session, 4096)
    for length in (4, 8, 12, 15, len(whole) - 1, len(whole)):
        assert port_groups(session, length) == whole[:length], length


@case('a logout with reads and writes under way is answered, and nothing is answered after it')
def _(target):
    for _ in range(4):
        session = target.login()
        session.alive()
        tasks = [session.start(scsi.write_10(64 * i, 64), write=b'w' * 64 * BLOCK) for i in range(8)]
        tasks += [session.start(scsi.read_10(64 * i, 64), read=64 * BLOCK) for i in range(8)]
        assert session.logout().response == 0
        assert session.connection.expect_closed() == []
        assert all(task.status in (None, scsi.GOOD) for task in tasks), [task.status for task in tasks]
    session = target.login()
    session.alive()


if __name__ == '__main__':
    main(__file__)
