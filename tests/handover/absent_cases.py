# SPDX-License-Identifier: BSD-3-Clause
"""A disk that is gone when a worker has to be replaced: it is absent, its commands wait, all else goes on, and it
comes back by itself. The load generators judge that nothing is lost or wrong."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import struct
import tempfile
import time

import management
import scsi
from cases import case
from dialogue_cases import DATA, OTHER, holds, log_in
from keeper_cases import control
from kill_cases import loads_on
from layout_cases import other
from manager import managed
from server import IQN, Settings, file, ram, serving
from upgrade_cases import own_binary

REST, GONE = IQN + '-rest', IQN + '-gone'
ABSENT, BACK = 'LUN is absent, its commands wait', 'LUN is back'
LOADS = [(REST, dict(connections=4, depth=4)), (GONE, dict(connections=4, depth=4, amount='32M'))]


def targets(**lun):
    return {REST: {'portals': ['test'], 'luns': {0: ram('64M')}},
            GONE: {'portals': ['test'], 'luns': {0: file('$FOLDER/gone.img', '32M', **lun), 1: ram('4M')}}}


def status(server, *words):
    done = control(server, '--json', *(words or ('status',)))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def absent(server):
    return [(found['target'], found['lun'], found['absent']['why']) for found in status(server)['absent-luns']]


class Disk:
    """The file behind the LUN, which can be taken away."""

    def __init__(self, server, name='gone.img'):
        self.path = server.daemon.folder / name
        self.aside = server.daemon.folder / (name + '.aside')

    def take(self):
        os.rename(self.path, self.aside)

    def put(self):
        os.rename(self.aside, self.path)


@contextlib.contextmanager
def one_gone(described):
    """A worker that has found the disk gone, which begins with DATA, and a session that goes on."""
    with serving(described) as server:
        disk, session = Disk(server), log_in(server, target=GONE)
        session.write(0, DATA[:4096]).good()
        disk.take()
        server.kill()
        server.wait_log(ABSENT)
        yield server, disk, session


def answered(server, target):
    """Commands that its LUN 0 has answered."""
    lun = status(server, 'luns', target)[0]
    return lun['reads']['commands'] + lun['writes']['commands']


def moves(server, target):
    before = answered(server, target)
    deadline = time.monotonic() + 60
    while answered(server, target) == before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@case('absent: a file is gone when workers are killed and replaced, and comes back, under load')
def _(scale):
    with serving(targets()) as server, loads_on(server, *LOADS):
        disk = Disk(server)
        times = scale.count(2, 50)
        for turn in range(times):
            disk.take()
            server.kill()
            server.wait_log(ABSENT, 3 * turn + 1)
            assert [found[:2] for found in absent(server)] == [(GONE, 0)], absent(server)
            assert 'No such file' in absent(server)[0][2], absent(server)
            assert moves(server, REST), 'the other target stands still'
            before = answered(server, GONE)
            server.kill()
            server.wait_log(ABSENT, 3 * turn + 2)
            server.upgrade()
            server.wait_log(ABSENT, 3 * turn + 3)
            assert moves(server, REST), 'the other target stands still'
            assert answered(server, GONE) == before, 'an absent disk has answered'
            disk.put()
            server.wait_log(BACK, turn + 1)
            assert moves(server, GONE), 'it does not go on'
            assert not absent(server)
        server.check()
        return '%d times' % times


@case('absent: keeper and worker are killed, and the service is restarted, with a service manager, under load')
def _(scale):
    with managed(targets()) as server, loads_on(server, *LOADS):
        disk = Disk(server)
        ends = (server.restart, lambda: server.kill_both(scale.random))
        for turn in range(scale.count(2, 50)):
            disk.take()
            for end in (ends[turn % 2], *ends):
                end()
                assert [found[:2] for found in absent(server)] == [(GONE, 0)], absent(server)
                assert moves(server, REST), 'the other target stands still'
            disk.put()
            server.wait_log(BACK, turn + 1)
            assert moves(server, GONE), 'it does not go on'
        server.check()


@case('absent: an upgrade to a worker that cannot open a disk goes back, and the rest goes on')
def _(scale):
    with serving(targets()) as server, loads_on(server, *LOADS):
        disk = Disk(server)
        disk.take()
        server.begin_upgrade()
        server.wait_log('back to the old one')
        server.wait_log(ABSENT)
        server.wait_serving()
        assert moves(server, REST), 'the other target stands still'
        disk.put()
        server.wait_log(BACK)
        assert moves(server, GONE), 'it does not go on'
        server.upgrade()
        server.check()


@case('absent: commands that wait can be aborted, and the LUN is reset; other commands are answered')
def _(scale):
    with one_gone(targets()) as (server, disk, session):
        assert session.command(scsi.inquiry(96), read=96).good().data[0] == 0
        session.command(scsi.test_unit_ready()).good()
        assert session.command(scsi.read_capacity_10(), read=8).good().data[:4] == (65535).to_bytes(4, 'big')
        first, second, last = (session.start(scsi.write_10(0, 8), write=OTHER[:4096]) for _ in range(3))
        flush = session.start(scsi.synchronize_cache())
        assert session.task_management(management.ABORT_TASK, referenced=first.request.itt).response == 0
        session.command(scsi.write_10(0, 8), write=OTHER[:4096], lun=1).good()
        assert session.task_management(management.LUN_RESET).response == 0
        for task in (second, last, flush):
            assert not task.done, 'a command that was reset is answered'
        waiting = session.start(scsi.read_10(0, 8), read=4096)
        server.kill()
        disk.put()
        server.wait_log(BACK)
        waiting.wait()
        holds(session, 0, DATA[:4096])
        server.check()
        session.close()


@case('absent: over upgrades to another layout of the memory and back')
def _(scale):
    with own_binary() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        layouts = [other(), binary.good]
        with loads_on(server, *LOADS):
            disk = Disk(server)
            disk.take()
            server.kill()
            for turn in range(scale.count(2, 20)):
                server.wait_log(ABSENT, turn + 1)
                binary.put(layouts[turn % 2])
                server.upgrade()
                assert moves(server, REST), 'the other target stands still'
            disk.put()
            server.wait_log(BACK)
            assert moves(server, GONE), 'it does not go on'
        server.check()


@case('absent: commands that wait for blocks of others, and of every other kind, wait over upgrades and kills')
def _(scale):
    with serving(targets()) as server:
        disk, session, rest = Disk(server), log_in(server, target=GONE), log_in(server, target=REST)
        session.write(0, DATA[:8192]).good()
        disk.take()
        server.kill()
        server.wait_log(ABSENT)
        tasks = [session.start(cdb, write=data, read=read) for cdb, data, read in (
            (struct.pack('>BBQ4B2x', 0x89, 0, 0, 0, 0, 0, 1), DATA[:512] + OTHER[:512], 0),    # COMPARE AND WRITE
            (struct.pack('>BBQI2x', 0x93, 0, 100, 50), OTHER[:512], 0),                         # WRITE SAME(16)
            (struct.pack('>B6xHx', 0x42, 24), struct.pack('>HH4xQI4x', 22, 16, 200, 8), 0),     # UNMAP
            (struct.pack('>BxIxHx', 0x2f, 0, 8), None, 0),                                      # VERIFY(10)
            (scsi.synchronize_cache(), None, 0), (scsi.read_10(0, 4), None, 2048))]
        for replace in (server.upgrade, server.kill, server.upgrade):
            replace()
            rest.write(0, DATA[:4096]).good()
        assert not any(task.done for task in tasks)
        disk.put()
        server.wait_log(BACK)
        for task in tasks:
            task.good()
        holds(session, 0, OTHER[:512] + DATA[512:8192])
        holds(session, 100, OTHER[:512] * 50)
        server.check()
        session.close()
        rest.close()


@case('absent: another disk in its place is not taken')
def _(scale):
    with one_gone(targets()) as (server, disk, session):
        with open(disk.path, 'wb') as other:
            other.truncate(16 << 20)
        server.wait_log('LUN is absent still')
        assert 'has 16777216 bytes' in absent(server)[0][2], absent(server)
        os.unlink(disk.path)
        disk.put()
        server.wait_log(BACK)
        holds(session, 0, DATA[:4096])
        session.close()


@case('absent: one that is to answer busy or with an error does')
def _(scale):
    for when, judge in (('busy', lambda task: task.status == scsi.BUSY),
                        ('fail', lambda task: task.status == scsi.CHECK_CONDITION)):
        with one_gone(targets(deadline='300ms', **{'when-late': when})) as (server, disk, session):
            for _ in range(2):
                assert judge(session.command(scsi.read_10(0, 8), read=4096)), when
            disk.put()
            server.wait_log(BACK)
            holds(session, 0, DATA[:4096])
            session.close()


def reload(server, described):
    server.daemon.write_config(described)
    done = control(server, 'reload', '--force')
    assert done.returncode == 0, done.stdout + done.stderr


@case('absent: the configuration moves it to another file, or takes it away')
def _(scale):
    with one_gone(targets()) as (server, disk, session):
        waiting = session.start(scsi.read_10(0, 8), read=4096)
        described = targets()
        described[GONE]['luns'][0] = file('$FOLDER/gone.img.aside', '32M')
        reload(server, described)
        assert not absent(server)
        assert waiting.wait().status in (scsi.GOOD, scsi.BUSY)
        holds(session, 0, DATA[:4096])
        disk.put()
        server.kill()
        server.wait_log(ABSENT, 2)
        del described[GONE]['luns'][0]
        reload(server, described)
        assert not absent(server)
        session.alive(lun=1)
        session.command(scsi.write_10(0, 8), write=OTHER[:4096], lun=1).good()
        session.close()


@case('absent: the handler itself is gone, and comes back')
def _(scale):
    with tempfile.TemporaryDirectory() as folder:
        ours = pathlib.Path(folder) / 'file.so'
        theirs = next(path for directory in Settings.plugins for path in pathlib.Path(directory).rglob('file.so'))
        shutil.copy(theirs, ours)
        with serving(targets(), daemon={'plugin-path': [folder] + [str(path) for path in Settings.plugins],
                                        'spare-worker': False}) as server:
            session, rest = log_in(server, target=GONE), log_in(server, target=REST)
            session.write(0, DATA[:4096]).good()
            ours.write_text('no shared object')
            server.kill()
            server.wait_log(ABSENT)
            rest.write(0, OTHER[:4096]).good()
            waiting = session.start(scsi.read_10(0, 8), read=4096)
            server.kill()
            ours.unlink()
            shutil.copy(theirs, ours)
            server.wait_log(BACK)
            assert waiting.good().data == DATA[:4096]
            holds(rest, 0, OTHER[:4096])
            server.check()
            session.close()
            rest.close()


@case('absent: opened again by request; and a daemon that ends meanwhile')
def _(scale):
    with one_gone(targets()) as (server, disk, session):
        done = control(server, 'lun', 'reopen', GONE, '0')
        assert done.returncode == 1 and 'no such file' in done.stderr, done
        assert [found[:2] for found in absent(server)] == [(GONE, 0)]
        done = control(server, 'lun', 'resize', GONE, '0', '64M')
        assert done.returncode == 1 and 'absent' in done.stderr, done
        disk.put()
        done = control(server, 'lun', 'reopen', GONE, '0')
        assert done.returncode == 0, done
        assert not absent(server)
        holds(session, 0, DATA[:4096])
        disk.take()
        server.kill()
        session.start(scsi.read_10(0, 8), read=4096)
        with contextlib.suppress(OSError):
            os.kill(server.daemon.process.pid, signal.SIGTERM)
        assert server.daemon.process.wait(30) == 0
        disk.put()


@case('absent: what becomes of its commands can be changed meanwhile, and changed back')
def _(scale):
    with one_gone(targets()) as (server, disk, session):
        waiting = session.start(scsi.read_10(0, 8), read=4096)
        described = targets(deadline='200ms', **{'when-late': 'fail'})
        reload(server, described)
        assert waiting.wait().status == scsi.CHECK_CONDITION
        assert session.command(scsi.read_10(0, 8), read=4096).status == scsi.CHECK_CONDITION
        described[GONE]['luns'][0]['when-late'] = 'busy'
        reload(server, described)
        assert session.command(scsi.read_10(0, 8), read=4096).status == scsi.BUSY
        done = control(server, 'lun', 'set', GONE, '0', 'when-late=stall')
        assert done.returncode == 0, done.stderr
        waiting = [session.start(scsi.read_10(0, 8), read=4096) for _ in range(3)]
        session.command(scsi.write_10(0, 8), write=OTHER[:4096], lun=1).good()
        assert absent(server) and not any(task.done for task in waiting)
        server.kill()
        disk.put()
        server.wait_log(BACK)
        for task in waiting:
            assert task.good().data == DATA[:4096]
        server.check()
        session.close()


@case('absent: commands that wait do not take all memory: others go on, those that come too many hear TASK SET FULL')
def _(scale):
    big = OTHER[:1 << 18]
    for immediate in (0, None):
        with serving(targets(), daemon={'reactors': 1, 'buffer-memory': '16M'}) as server:
            disk = Disk(server)
            many = [log_in(server, 'iqn.2026-11.org.example:host%d' % number, target=GONE, FirstBurstLength='262144')
                    for number in range(4)]
            rest = log_in(server, target=REST)
            disk.take()
            server.kill()
            server.wait_log(ABSENT)
            tasks = [session.start(scsi.write_10(number * 512, 512), write=big, immediate_data=immediate)
                     for session in many for number in range(32)]
            for session in many:
                session.alive(1)    # what else comes of them has been taken
                session.alive(1)
            for replace in (server.kill, server.upgrade):
                rest.write(0, DATA[:1 << 17]).good()
                many[0].command(scsi.write_10(0, 512), write=big, lun=1).good()
                replace()
            disk.put()
            server.wait_log(BACK)
            answers = [task.wait().status for task in tasks]
            assert set(answers) == {scsi.GOOD, scsi.TASK_SET_FULL}, answers
            for session in many:
                holds(session, 0, big[:4096])
                session.close()
            rest.close()
            server.check()
