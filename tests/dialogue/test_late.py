# SPDX-License-Identifier: BSD-3-Clause
"""A handler that does not answer in time: what its initiators hear, what status says of it, and that other
LUNs do not notice. The handler `fault` lets the first write of each LUN hang until its rules are changed."""
import json
import signal
import socket
import time

import scsi
from peer import IQN, case, main, ram

BUSY = 0x08
WAIT = 60.0


def hanging(when, *rules):
    return {'handler': 'fault', 'options': {'of': {'handler': 'ram', 'options': {'size': '64M'}},
                                            'rules': list(rules)},
            'deadline': '500ms', 'when-late': when}


def targets(when, *rules):
    return {IQN: {'portals': ['test'], 'luns': {0: ram(), 1: hanging(when, *rules)}}}


def luns(when):
    return dict(targets=targets(when, {'op': 'write', 'action': 'hang', 'times': 1}))


def let_go(target, when):
    """The handler answers: no rule stands against it any more."""
    target.daemon.write_config(targets(when))
    target.daemon.signal(signal.SIGHUP)
    target.daemon.wait_log('reload: done')


def ask(target, method):
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(WAIT)
        control.connect(str(target.daemon.folder / 'control.sock'))
        control.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "%s"}\n' % method.encode())
        return json.loads(control.makefile().readline())['result']


def status(target, lun):
    """What the control socket says of a LUN."""
    return next(l for l in ask(target, 'luns') if l['lun'] == lun)


def until_good(session, lba, blocks, lun):
    end = time.monotonic() + WAIT
    while True:
        task = session.read(lba, blocks, lun=lun)
        if task.status == 0:
            return task.data
        assert time.monotonic() < end, 'the LUN does not go on'
        time.sleep(0.1)


def neighbour_works(session):
    for lba in range(0, 512, 8):
        session.write(lba, b'%08d' % lba * 512).good()
        assert session.read(lba, 8).good().data == b'%08d' % lba * 512


def give_up(target):
    """The answer to a write that is late, and the session; another LUN works meanwhile."""
    session, neighbour = target.login(), target.login(initiator='iqn.2026-11.org.example:neighbour')
    session.alive(lun=1)
    late = session.start(scsi.write_10(16, 8), write=b'late' * 1024, lun=1)
    neighbour_works(neighbour)
    late.wait()
    said = status(target, 1)
    assert said['given-up'] == 1 and said['given-up-ever'] == 1 and said['at-handler'] == 1, said
    assert said['oldest-seconds'] >= 0.5 and said['deadline-seconds'] == 0.5, said
    neighbour_works(neighbour)
    return session, late


@case('busy: a late write is answered BUSY, and all that follows until it has ended', own=luns('busy'))
def _(target):
    session, late = give_up(target)
    assert late.status == BUSY, late.status
    assert session.read(16, 8, lun=1).status == BUSY
    assert session.write(16, b'next' * 1024, lun=1).status == BUSY
    let_go(target, 'busy')
    assert until_good(session, 16, 8, lun=1) == b'late' * 1024
    session.write(16, b'next' * 1024, lun=1).good()
    assert session.read(16, 8, lun=1).good().data == b'next' * 1024
    assert status(target, 1)['given-up'] == 0
    log = target.daemon.log()
    assert 'an I/O is given up' in log and 'the LUN goes on' in log


@case('fail: a late write ends with COMMAND TIMEOUT, and all that follows until it has ended',
      own=luns('fail'))
def _(target):
    session, late = give_up(target)
    for task in (late, session.read(16, 8, lun=1)):
        task.check((0xb, 0x2e02))
    let_go(target, 'fail')
    assert until_good(session, 16, 8, lun=1) == b'late' * 1024


@case('stall: a late write is answered when the handler answers', own=luns('stall'))
def _(target):
    session = target.login()
    session.alive(lun=1)
    late = session.start(scsi.write_10(16, 8), write=b'late' * 1024, lun=1)
    end = time.monotonic() + WAIT
    while status(target, 1)['oldest-seconds'] < 0.5 or not ask(target, 'status')['oldest-io']:
        assert time.monotonic() < end, 'it does not get old'
        time.sleep(0.02)
    oldest = ask(target, 'status')['oldest-io']
    assert (oldest['target'], oldest['lun'], oldest['handler']) == (IQN, 1, 'fault'), oldest
    neighbour_works(target.login(initiator='iqn.2026-11.org.example:neighbour'))
    assert late.status is None
    let_go(target, 'stall')
    late.wait().good()
    assert ask(target, 'status')['oldest-io'] is None
    assert session.read(16, 8, lun=1).good().data == b'late' * 1024
    assert status(target, 1)['given-up-ever'] == 0


if __name__ == '__main__':
    main(__file__)
