# SPDX-License-Identifier: BSD-3-Clause
"""What an initiator whose commands crash the worker does to others: nothing (HANDOVER: blame, quarantine).
The handler `poison` of tests/plugin/poison ends the process over certain writes."""
import os
import signal

import scsi
from connection import Closed
from peer import IQN, case, main, ram

POISON = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram(), 1: {'handler': 'poison'}}}})


@case('a write that crashes the worker twice costs its sender the session, and nobody else anything',
      own=POISON)
def _(target):
    target.daemon.killed_workers = True
    neighbour = target.login(initiator=target.session().initiator + '.neighbour')
    neighbour.write(0, b'n' * 4096).good()
    sender = target.login()
    sender.alive(lun=1)
    task = sender.start(scsi.write_10(0, 1), write=b'POISON' + bytes(506), lun=1)
    try:
        task.wait()
        raise AssertionError('it was answered')
    except Closed:
        pass
    assert neighbour.read(0, 8).good().data == b'n' * 4096
    lines = target.daemon.log().splitlines()
    assert sum('a worker crashed over what came from' in line for line in lines) == 2, lines
    assert any('put aside' in line for line in lines)
    target.login().alive()


@case('a worker that is killed from outside blames nobody', own=POISON)
def _(target):
    session = target.login()
    target.daemon.killed_workers = True
    for _number in range(3):
        old = target.daemon.wait_for_worker()
        os.kill(old, signal.SIGKILL)
        target.daemon.wait_for_worker(not_among=(old,))
        session.alive()
    assert 'crashed over' not in target.daemon.log()


if __name__ == '__main__':
    main(__file__)
