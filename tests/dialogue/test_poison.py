# SPDX-License-Identifier: BSD-3-Clause
"""What an initiator whose commands crash the worker does to others: nothing (HANDOVER: blame, quarantine).
The handler `poison` of tests/plugin/poison ends the process over certain writes."""
import json
import os
import pathlib
import signal
import subprocess
import time

import scsi
from connection import Closed
from daemon import Settings
from peer import IQN, case, main, ram

POISON = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram(), 1: {'handler': 'poison'}}}})



def control(daemon, *words):
    program = pathlib.Path(Settings.daemon).parent / 'ctl' / 'holdfastctl'
    done = subprocess.run([str(program), '--socket', str(daemon.folder / 'control.sock'), *words],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(daemon):
    return json.loads(control(daemon, '--json', 'status'))


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
    assert status(target.daemon)['take-over']['quarantined-sessions'] == 1
    assert '1 put aside' in control(target.daemon, 'status')
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


PLAGUE = dict(targets={IQN: {'portals': ['test'], 'luns': {
    0: ram(), 1: {'handler': 'poison', 'options': {'plague': '$FOLDER/plague'}}}}})
ASIDE = 'LUN is put aside, workers have crashed over it'


def log_in_again(target, lun):
    """As an initiator does that wants its command answered."""
    try:
        session = target.login()
        session.start(scsi.read_10(0, 8), read=4096, lun=lun)
    except Closed:
        pass


@case('a LUN that crashes workers whoever asks it is put aside, nobody else loses anything; it is opened by request',
      own=PLAGUE)
def _(target):
    daemon, plague = target.daemon, target.daemon.folder / 'plague'
    daemon.killed_workers = True
    neighbour = target.login(initiator=target.session().initiator + '.neighbour')
    neighbour.write(0, b'n' * 4096).good()
    target.login().read(0, 8, lun=1)
    plague.write_text('every I/O')
    while ASIDE not in daemon.log():
        log_in_again(target, 1)
        time.sleep(0.1)
    assert neighbour.read(0, 8).good().data == b'n' * 4096
    assert daemon.log().count('a worker crashed within the handler of a LUN') == 3, daemon.log()
    waiting = target.login()
    waiting.alive(lun=0)
    task = waiting.start(scsi.read_10(0, 8), read=4096, lun=1)
    os.kill(daemon.wait_for_worker(), signal.SIGKILL)
    neighbour.write(0, b'm' * 4096).good()
    assert status(daemon)['absent-luns'][0]['absent']['quarantined']
    plague.unlink()
    time.sleep(2)
    assert status(daemon)['absent-luns'], 'it was opened without a request'
    control(daemon, 'lun', 'reopen', IQN, '1')
    assert not status(daemon)['absent-luns']
    assert task.wait().status in (scsi.GOOD, scsi.BUSY)
    assert waiting.read(0, 8, lun=1).good().data == bytes(4096)
    assert daemon.log().count('a worker crashed within the handler of a LUN') == 3


@case('a LUN over which workers crash as they open it is put aside', own=PLAGUE)
def _(target):
    daemon, plague = target.daemon, target.daemon.folder / 'plague'
    daemon.killed_workers = True
    neighbour = target.login()
    neighbour.write(0, b'n' * 4096).good()
    plague.write_text('open')
    os.kill(daemon.wait_for_worker(), signal.SIGKILL)
    daemon.wait_log(ASIDE)
    assert neighbour.read(0, 8).good().data == b'n' * 4096
    assert daemon.log().count('a worker crashed within the handler of a LUN') == 2
    plague.unlink()
    control(daemon, 'lun', 'reopen', IQN, '1')
    assert neighbour.read(0, 8, lun=1).good().data == bytes(4096)


if __name__ == '__main__':
    main(__file__)
