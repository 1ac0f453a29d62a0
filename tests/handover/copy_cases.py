# SPDX-License-Identifier: BSD-3-Clause
"""EXTENDED COPY while the worker is killed or replaced: the next one goes on where it stood."""
import threading

from cases import case
from dialogue_cases import holds, log_in, unalike
from server import IQN, file, ram, serving

BLOCKS = 16384
LUNS = {IQN: {'portals': ['test'], 'luns': {0: ram('8M'), 1: file('$FOLDER/disk.img', '8M')}}}


def naa_of(session, lun):
    """The unit's NAA designator, from VPD page 83h."""
    head = session.command(b'\x12\x01\x83\x00\x04\x00', read=4, lun=lun).good().data
    size = 4 + int.from_bytes(head[2:4], 'big')
    page = session.command(b'\x12\x01\x83' + size.to_bytes(2, 'big') + b'\0', read=size, lun=lun).good().data
    at = 4
    while at < len(page):
        kind, length = page[at + 1] & 0x3f, page[at + 3]
        if kind == 3:
            return page[at + 4:at + 4 + length]
        at += 4 + length
    raise AssertionError('no NAA designator')


def end(naa):
    return (bytes([0xe4, 0, 0, 0, 1, 3, 0, len(naa)]) + naa).ljust(32, b'\0')


def segment(source, destination, lba, to_lba, blocks):
    return (b'\x02\x00\x00\x18' + source.to_bytes(2, 'big') + destination.to_bytes(2, 'big') + bytes(2) +
            blocks.to_bytes(2, 'big') + lba.to_bytes(8, 'big') + to_lba.to_bytes(8, 'big'))


def copy_list(ends, segments):
    cscds, segments = b''.join(ends), b''.join(segments)
    return (bytes([0, 0x18]) + len(cscds).to_bytes(2, 'big') + bytes(4) +
            len(segments).to_bytes(4, 'big') + bytes(4) + cscds + segments)


def chain(random, images, count):
    """Segments of which each depends on those before, overlapping ones too; does them to the images."""
    segments = []
    for _ in range(count):
        source, destination = random.randrange(2), random.randrange(2)
        blocks = random.randrange(1, BLOCKS)
        lba, to_lba = random.randrange(BLOCKS - blocks + 1), random.randrange(BLOCKS - blocks + 1)
        segments.append(segment(source, destination, lba, to_lba, blocks))
        data = images[source][lba * 512:(lba + blocks) * 512]
        images[destination][to_lba * 512:(to_lba + blocks) * 512] = data
    return segments


def copies(server, random, stop, failed, done):
    session = log_in(server)
    try:
        images = [bytearray(unalike(BLOCKS * 512, lun)) for lun in (0, 1)]
        for lun in (0, 1):
            for at in range(0, BLOCKS, 512):
                session.write(at, bytes(images[lun][at * 512:(at + 512) * 512]), lun=lun).good()
        ends = [end(naa_of(session, lun)) for lun in (0, 1)]
        while not stop.is_set():
            data = copy_list(ends, chain(random, images, 20))
            cdb = b'\x83' + bytes(9) + len(data).to_bytes(4, 'big') + bytes(2)
            session.command(cdb, write=data, lun=0).good()
            done.append(1)
        for lun in (0, 1):
            for at in range(0, BLOCKS, 512):
                holds(session, at, bytes(images[lun][at * 512:(at + 512) * 512]), lun=lun)
    except Exception as error:  # pylint: disable=broad-except  # told by the case
        failed.append('%s: %s' % (type(error).__name__, error))
    session.close()


def under(scale, happens, times):
    with serving(LUNS) as server:
        failed, done, stop = [], [], threading.Event()
        thread = threading.Thread(target=copies, args=(server, scale.random, stop, failed, done))
        thread.start()
        server.wait_for(lambda _log: done or failed)
        for _ in range(times):
            stop.wait(scale.random.uniform(0.02, 0.3))
            happens(server)
        stop.set()
        thread.join()
        assert not failed, failed[0]
        server.check()
        return '%d copies of 20 segments' % len(done)


@case('copies: the worker dies in the middle, chains and overlaps come out right')
def _(scale):
    return under(scale, lambda server: server.kill(), scale.count(12, 1000))


@case('copies: the worker is replaced in the middle')
def _(scale):
    return under(scale, lambda server: server.upgrade(), scale.count(4, 200))
