# SPDX-License-Identifier: BSD-3-Clause
"""SANITIZE of a disk that is absent, or put aside: it is not over before the disk is back, and goes on there when that
is opened again, by itself or by request. Only with the disk is it given up."""
import time

import scsi
from absent_cases import ABSENT, BACK, GONE, Disk, absent
from aside_cases import ASIDE, plagued
from cases import case
from dialogue_cases import DATA, holds, log_in
from keeper_cases import control
from server import file, ram, serving

PATTERN = b'\xa5\x5a\xc3\x3c'
SIZE = 8 << 20
IN_PROGRESS, FAILED = (2, 0x041b), (3, 0x3103)


def overwrite(session, immediate=True):
    data = b'\x01\x00' + len(PATTERN).to_bytes(2, 'big') + PATTERN
    cdb = bytes([0x48, 0x80 * immediate | 1]) + bytes(5) + len(data).to_bytes(2, 'big') + b'\0'
    return session.start(cdb, write=data)


def targets(rate='8M', **lun):
    return {GONE: {'portals': ['test'], 'luns': {0: file('$FOLDER/gone.img', '8M', **{'sanitize-rate': rate}, **lun),
                                                1: ram('4M')}}}


def progress(session):
    """Of 65536; None: nothing is in progress."""
    sense = session.command(scsi.test_unit_ready()).sense
    if sense is None or sense.what() != IN_PROGRESS:
        assert sense is None, sense
        return None
    return int.from_bytes(sense.data[16:18], 'big')


def ends(server, session):
    deadline = time.monotonic() + 60
    while progress(session) is not None:
        assert time.monotonic() < deadline, 'it does not end:\n' + server.tail()
        time.sleep(0.05)
    for at in range(0, SIZE // 512, 512):
        holds(session, at, PATTERN * (512 * 512 // len(PATTERN)))
    assert 'sanitize has failed' not in server.log()


def reopen(server, good=True):
    done = control(server, 'lun', 'reopen', GONE, '0')
    assert (done.returncode == 0) == good, done
    return done.stderr


@case('absent: a sanitize waits, over kills and upgrades; a request to open the disk again, and the disk, let it go on')
def _(_scale):
    with serving(targets()) as server:
        disk, session = Disk(server), log_in(server, target=GONE)
        session.write(SIZE // 512 - 8, DATA[:4096]).good()
        assert 'being sanitized' not in reopen(server)
        session.alive()
        overwrite(session).good()
        assert 'being sanitized' in reopen(server, good=False)
        disk.take()
        server.kill()
        server.wait_log(ABSENT)
        stands = progress(session)
        for replace in (server.upgrade, server.kill):
            replace()
            assert progress(session) == stands
            session.read(0, 8, lun=1).good()
        assert 'no such file' in reopen(server, good=False) and absent(server)
        assert progress(session) == stands
        disk.put()
        if absent(server):
            reopen(server)
        ends(server, session)
        server.check()
        session.close()


@case('absent: a sanitize that its initiator waits for goes on when the disk is back; at a request it hears BUSY')
def _(_scale):
    with serving(targets()) as server:
        disk, session = Disk(server), log_in(server, target=GONE)
        for turn in range(2):
            task = overwrite(session, immediate=False)
            server.wait_log('sanitize begins', turn + 1)
            disk.take()
            server.kill()
            server.wait_log(ABSENT, turn + 1)
            disk.put()
            if turn:
                reopen(server)
                assert task.wait().status == scsi.BUSY
            else:
                server.wait_log(BACK)
                task.good()
            ends(server, session)
        server.check()
        session.close()


@case('put aside: a disk whose sanitize crashes workers; opened again by request it goes on and ends')
def _(_scale):
    described = targets()
    described[GONE]['luns'][0] = ram('8M', **{'sanitize-rate': '8M'})
    with plagued(targets=described) as (server, plague):
        session = log_in(server, target=GONE)
        session.write(0, DATA[:4096]).good()
        overwrite(session).good()
        plague.touch()
        server.wait_log(ASIDE)
        stands = progress(session)
        server.kill()
        assert progress(session) == stands
        control(server, 'lun', 'reopen', GONE, '0')     # what was wrong with it is not mended yet
        server.wait_log(ASIDE, 3)
        plague.unlink()
        reopen(server)
        ends(server, session)
        server.check()
        session.close()


@case('absent: a disk that is being sanitized goes only by force, and with it the sanitize')
def _(_scale):
    with serving(targets()) as server:
        disk, session = Disk(server), log_in(server, target=GONE)
        task = overwrite(session, immediate=False)
        server.wait_log('sanitize begins')
        disk.take()
        server.kill()
        server.wait_log(ABSENT)
        assert control(server, 'lun', 'remove', GONE, '0').returncode == 1
        assert control(server, 'lun', 'remove', GONE, '0', '--force').returncode == 0
        server.wait_log('LUN closed')
        assert not task.done
        disk.put()
        assert control(server, 'lun', 'set', GONE, '0', 'handler=file',
                       'options={"path": "%s"}' % disk.path).returncode == 0
        session.alive()
        session.write(0, DATA[:4096]).good()
        holds(session, 0, DATA[:4096])
        server.check()
        session.close()


@case('absent: a sanitize waits for longer than the deadline; where late means an error it has failed, and says so')
def _(_scale):
    for when in ('busy', 'fail'):
        with serving(targets('32M', deadline='200ms', **{'when-late': when})) as server:
            disk, session = Disk(server), log_in(server, target=GONE)
            session.alive()
            overwrite(session).good()
            disk.take()
            server.kill()
            server.wait_log('are given up')
            if when == 'fail':
                server.wait_log('sanitize has failed')
            server.upgrade()
            disk.put()
            server.wait_log(BACK)
            if when == 'fail':
                assert session.command(scsi.read_10(0, 8), read=4096).sense.what() == FAILED
                overwrite(session, immediate=False).good()
            else:
                ends(server, session)
            holds(session, 0, PATTERN * 1024)
            server.check()
            session.close()
