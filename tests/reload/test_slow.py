#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Disks that take longer to open, to close or to change than the watchdog lets the control thread be silent:
the worker lives, sessions and the control socket are served meanwhile."""
import contextlib
import pathlib
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'control'))
from client import LIMIT, look, run, start  # noqa: E402
from peer import IQN, case, main, ram  # noqa: E402
import scsi  # noqa: E402

WATCHDOG = {'watchdog': '1s'}


def slow(size='8M', **takes):
    return {'handler': 'slow', 'options': dict(size=size, **takes)}


def luns(**more):
    disks = {0: ram('8M')}
    disks.update({int(name[1:]): disk for name, disk in more.items()})
    return {IQN: {'portals': ['test'], 'luns': disks}}


@contextlib.contextmanager
def while_waiting(target, *words, code=0):
    """holdfastctl with these words; it must still be waiting when the body is over. Then the same worker is
    there, and nothing was said against it."""
    before = target.daemon.workers()
    with start(target.daemon, *words) as process:
        target.daemon.wait_log('takes its time')
        yield process
        assert process.poll() is None, 'it did not wait'
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == code, (process.returncode, out, err)
    assert target.daemon.workers() == before, 'another worker'
    assert 'does not answer' not in target.daemon.log()


def all_goes_on(target, session):
    for turn in range(5):
        session.write(8 * turn, bytes([turn]) * 4096).good()
        assert session.read(8 * turn, 8).good().data == bytes([turn]) * 4096
        assert look(target.daemon, 'status')
        time.sleep(0.02)


@case('a disk takes five seconds to open, and all else goes on', own={'targets': luns(), 'daemon': WATCHDOG})
def _(target):
    session = target.login()
    target.daemon.write_config(luns(l1=slow(open='5s')), daemon=WATCHDOG)
    with while_waiting(target, 'reload'):
        all_goes_on(target, session)
        other = target.login()  # also logins
        second = start(target.daemon, 'reload')  # waits for its turn
    assert second.communicate(timeout=60)[0] == 'nothing to do\n'
    for each, lun in (session, 0), (other, 0), (other, 1):
        assert each.command(scsi.test_unit_ready(), lun=lun).sense.what() == (6, 0x3f0e)
    session.write(0, b's' * 512).good()
    other.write(0, b'o' * 512, lun=1).good()
    assert other.read(0, 1, lun=1).good().data == b'o' * 512


@case('so does one that takes its time to close, and to open again',
      own={'targets': luns(l1=slow(close='3s')), 'daemon': WATCHDOG})
def _(target):
    session = target.login()
    session.write(0, b'k' * 512, lun=1).good()
    target.daemon.write_config(luns(l1=slow(close='0', open='5s')), daemon=WATCHDOG)
    with while_waiting(target, 'reload'):
        all_goes_on(target, session)
    while session.command(scsi.test_unit_ready(), lun=1).status:
        pass
    assert session.read(0, 1, lun=1).good().data == b'k' * 512


@case('and one that takes its time to change', own={'targets': luns(l1=slow(update='5s')), 'daemon': WATCHDOG})
def _(target):
    session = target.login()
    with while_waiting(target, 'lun', 'resize', IQN, '1', '16M'):
        all_goes_on(target, session)
    assert [l['bytes'] for l in look(target.daemon, 'luns') if l['lun'] == 1] == [16 << 20]


@case('a stop does not wait for a disk that opens', own={'targets': luns(), 'daemon': WATCHDOG})
def _(target):
    target.daemon.write_config(luns(l1=slow(open='1h')), daemon=WATCHDOG)
    with start(target.daemon, 'reload') as process:
        target.daemon.wait_log('takes its time')
        target.daemon.signal(signal.SIGTERM)
        assert target.daemon.wait_exit() == 0
        process.communicate(timeout=LIMIT)


if __name__ == '__main__':
    main(__file__)
