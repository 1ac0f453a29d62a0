#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reload of a daemon that serves: who notices what, what is refused, and that a refusal changes nothing."""
import contextlib
import copy
import json
import os
import pathlib
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'control'))
import client  # noqa: E402
from client import REFUSED, look, run  # noqa: E402
import chap  # noqa: E402
from daemon import free_port  # noqa: E402
from peer import IQN, Target, case, file, main, ram  # noqa: E402
import scsi  # noqa: E402

OTHER = 'iqn.2026-11.org.example:other'
HOST = 'iqn.2026-11.org.example:host'
BASE = {IQN: {'portals': ['test'], 'luns': {0: ram('8M'), 1: ram('8M')}},
        OTHER: {'portals': ['test'], 'luns': {0: ram('8M')}}}
LUNS_CHANGED, CAPACITY_CHANGED, INQUIRY_CHANGED = (6, 0x3f0e), (6, 0x2a09), (6, 0x3f03)
MIB = 1 << 20


def changed(targets=None, **change):
    """BASE with other LUNs of IQN (None: without that LUN)."""
    config = copy.deepcopy(targets or BASE)
    for number, lun in change.pop('luns', {}).items():
        config[IQN]['luns'][number] = lun
        if lun is None:
            del config[IQN]['luns'][number]
    config[IQN].update(change)
    return config


def reload(target, targets, *words, expect=client.DONE, **sections):
    target.daemon.write_config(targets, **sections)
    return run(target.daemon, 'reload', *words, expect=expect)


def attention(session, lun=0):
    """The unit attention that waits on this LUN, taken; None: there is none."""
    task = session.command(scsi.test_unit_ready(), lun=lun)
    return None if task.status == scsi.GOOD else task.sense.what()


def luns_of(session):
    task = session.command(scsi.report_luns(), read=4096)
    assert task.status == scsi.GOOD, task.sense
    data = task.data
    count = int.from_bytes(data[:4], 'big') // 8
    return [data[8 + 8 * i + 1] for i in range(count)]


def capacity(session, lun=0):
    task = session.command(scsi.read_capacity_16(), read=32, lun=lun)
    assert task.status == scsi.GOOD, task.sense
    data = task.data
    return (int.from_bytes(data[:8], 'big') + 1) * int.from_bytes(data[8:12], 'big')


def kill_worker(target):
    target.daemon.killed_workers = True
    for pid in target.daemon.workers():
        os.kill(pid, signal.SIGKILL)


def retired(target, word):
    target.daemon.wait_log(word)


# --- what is added, changed, removed

@case('a new LUN is announced to the sessions of its target alone', own={'targets': BASE})
def _(target):
    mine, other = target.login(), target.login(iqn=OTHER)
    assert 'REPORTED LUNS' in reload(target, changed(luns={5: ram('8M')}))
    assert attention(mine) == LUNS_CHANGED
    assert attention(mine) is None and attention(other) is None
    assert luns_of(mine) == [0, 1, 5]
    mine.write(0, b'n' * 4096, lun=5).good()
    assert mine.read(0, 8, lun=5).good().data == b'n' * 4096


@case('SIGHUP does what the verb does', own={'targets': BASE})
def _(target):
    session = target.login()
    target.daemon.write_config(changed(luns={5: ram('8M')}))
    target.daemon.signal(signal.SIGHUP)
    target.daemon.wait_log('reload: done')
    assert attention(session) == LUNS_CHANGED and luns_of(session) == [0, 1, 5]


@case('SIGHUP while a reload is under way: the file is read again after it', own={'targets': BASE})
def _(target):
    session = target.login()
    for number in (5, 6, 7):
        target.daemon.write_config(changed(luns={number: ram('8M')}, session={'max-burst-length': '256K'}),
                                   daemon={'drain': 'force'})
        target.daemon.signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while [l['lun'] for l in look(target.daemon, 'luns') if l['target'] == IQN] != [0, 1, 7]:
        assert time.monotonic() < deadline, target.daemon.log()[-4000:]
        time.sleep(0.02)
    session.alive()


@case('a LUN in use is not removed without a word for it', own={'targets': BASE})
def _(target):
    session, other = target.login(), target.login(iqn=OTHER)
    error = reload(target, changed(luns={1: None}), expect=REFUSED)
    assert '%s/1 is in use' % IQN in error and ':' in error, error
    assert attention(session) is None and luns_of(session) == [0, 1]
    reload(target, changed(luns={1: None}), '--force')
    assert attention(session) == LUNS_CHANGED and luns_of(session) == [0]
    task = session.command(scsi.test_unit_ready(), lun=1)
    assert task.sense.what() == (5, 0x2500), task.sense
    assert attention(other) is None
    retired(target, 'LUN closed target=%s lun=1' % IQN)


@case('what was in a removed RAM disk is not in the next one of its name', own={'targets': BASE})
def _(target):
    session = target.login()
    session.write(0, b's' * 4096, lun=1).good()
    reload(target, changed(luns={1: None}), '--force')
    retired(target, 'LUN closed target=%s lun=1' % IQN)
    reload(target, BASE)
    assert attention(session) == LUNS_CHANGED and luns_of(session) == [0, 1]
    assert session.read(0, 8, lun=1).good().data == bytes(4096)


@case('a target is added and, when its sessions may go, removed', own={'targets': BASE})
def _(target):
    third = 'iqn.2026-11.org.example:third'
    more = dict(copy.deepcopy(BASE), **{third: {'portals': ['test'], 'luns': {0: ram('8M')}}})
    reload(target, more)
    session, stays = target.login(iqn=third), target.login()
    session.write(0, b't' * 4096).good()
    assert 'is in use' in reload(target, BASE, expect=REFUSED)
    session.alive()
    reload(target, BASE, '--drain', '1s')
    retired(target, 'target removed target=' + third)
    stays.alive()
    target.refused(0x0203, lambda: target.login(iqn=third))
    assert [t['name'] for t in look(target.daemon, 'targets')] == [IQN, OTHER]


@case('a size grows under its initiators; it shrinks only by force', own={'targets': changed(
    luns={2: file('$FOLDER/f.img', '8M'), 3: {'handler': 'null', 'options': {'size': '8M'}}})})
def _(target):
    session = target.login()
    for lun in (2, 3):
        session.alive(lun)
    reload(target, changed(luns={2: file('$FOLDER/f.img', '16M'),
                                 3: {'handler': 'null', 'options': {'size': '16M'}}}))
    for lun in (2, 3):
        assert attention(session, lun) == CAPACITY_CHANGED
        assert capacity(session, lun) == 16 * MIB
    assert attention(session) is None
    error = reload(target, changed(luns={2: file('$FOLDER/f.img', '16M'),
                                         3: {'handler': 'null', 'options': {'size': '8M'}}}), expect=REFUSED)
    assert 'smaller only with --force' in error, error
    assert capacity(session, 3) == 16 * MIB
    reload(target, changed(luns={2: file('$FOLDER/f.img', '16M'),
                                 3: {'handler': 'null', 'options': {'size': '8M'}}}), '--force')
    assert attention(session, 3) == CAPACITY_CHANGED and capacity(session, 3) == 8 * MIB


@case('read-only comes and goes with a hold and an attention', own={'targets': changed(
    luns={2: file('$FOLDER/f.img', '8M')})})
def _(target):
    session = target.login()
    session.write(0, b'r' * 4096, lun=2).good()
    reload(target, changed(luns={2: file('$FOLDER/f.img', '8M', **{'read-only': True})}))
    assert attention(session, 2) == INQUIRY_CHANGED
    assert session.write(0, b'x' * 4096, lun=2).sense.what()[0] == 7
    assert session.read(0, 8, lun=2).good().data == b'r' * 4096
    reload(target, changed(luns={2: file('$FOLDER/f.img', '8M')}))
    assert attention(session, 2) == INQUIRY_CHANGED
    session.write(0, b'y' * 4096, lun=2).good()


@case('a mask is told to those for whom the LUN comes or goes', own={'targets': BASE})
def _(target):
    one, two = target.login(initiator=HOST + '1'), target.login(initiator=HOST + '2')
    reload(target, changed(luns={1: ram('8M', initiators=['*:host1'])}))
    assert attention(one) is None and luns_of(one) == [0, 1]
    assert attention(two) == LUNS_CHANGED and luns_of(two) == [0]
    reload(target, BASE)
    assert attention(one) is None
    assert attention(two) == LUNS_CHANGED and luns_of(two) == [0, 1]


@case('another disk in the place of one in use needs force', own={'targets': BASE})
def _(target):
    session = target.login()
    session.write(0, b'i' * 4096, lun=1).good()
    after = changed(luns={1: ram('8M', serial='other')})
    assert 'is in use' in reload(target, after, expect=REFUSED)
    reload(target, after, '--force')
    assert attention(session, 1) == LUNS_CHANGED


@case('limits of a session count from the next login on', own={'targets': BASE})
def _(target):
    before = target.login()
    reload(target, changed(session={'max-burst-length': '64K', 'first-burst-length': '64K'}))
    before.alive()
    after = target.login()
    burst = {s['id']: s['parameters']['max-burst-length'] for s in look(target.daemon, 'sessions')}
    assert sorted(burst.values())[0] == 65536 and len(set(burst.values())) == 2, burst
    after.alive()


@case('secrets of CHAP are the new ones from the next login on', own={'targets': BASE})
def _(target):
    auth = {'lab': {'plugin': 'chap', 'options': {'users': [{'name': 'u', 'secret': 'a' * 12}]}}}
    session = target.login()
    reload(target, changed(auth='lab'), auth=auth)
    session.alive()
    target.refused(0x0201, target.login)
    reload(target, BASE)
    target.login().alive()


@case('a secret that is another in its file is a change, and one that cannot be read is none', own=chap.ONE_WAY)
def _(target):
    def log_in(secret=None):
        attempt = chap.Attempt(target)
        attempt.answer(secret=secret)
        attempt.enter()
    file = target.daemon.folder / 'user0'
    config = str(target.daemon.config_file)
    log_in()
    assert run(target.daemon, 'plan', config) == run(target.daemon, 'reload') == 'nothing to do\n'
    file.write_text('quite another one\n', encoding='utf-8')
    (step,) = json.loads(run(target.daemon, '--json', 'plan', config, expect=client.CHANGES))['steps']
    assert (step['object'], step['name'], step['keys']) == ('auth', 'lab', 'options.users'), step
    assert step['class'] == 'next-login' and 'secret' not in str(step), step
    log_in()                                # with the old one, until then
    assert 'options.users' in run(target.daemon, 'reload')
    chap.refused(0x0201, log_in)
    log_in('quite another one')
    assert run(target.daemon, 'plan', config) == 'nothing to do\n'
    file.chmod(0o666)
    for words in (('plan', config), ('reload',)):
        assert 'everybody may read or change it' in run(target.daemon, *words, expect=REFUSED)
    log_in('quite another one')


@case('portals come and go, and sessions on them stay', own={'targets': BASE})
def _(target):
    with free_port() as port:
        portals = {'test': {'listen': ['127.0.0.1:%d' % target.daemon.port], 'tag': 1},
                   'more': {'listen': ['127.0.0.1:%d' % port], 'tag': 1}}
        targets = copy.deepcopy(BASE)
        targets[IQN]['portals'] = ['test', 'more']
        reload(target, targets, portals=portals)
        there = Target(('127.0.0.1', port), IQN, target.daemon).login()
        there.alive()
        reload(target, BASE)
        there.alive()
        with contextlib.suppress(OSError):
            Target(('127.0.0.1', port), IQN, target.daemon).connect()
            raise AssertionError('somebody still listens')
        there.close()


@case('an address in use by others refuses the reload, and nothing changes', own={'targets': BASE})
def _(target):
    session = target.login()
    with free_port() as port, socket.socket() as taken:
        taken.bind(('127.0.0.1', port))
        taken.listen()
        portals = {'test': {'listen': ['127.0.0.1:%d' % target.daemon.port,
                                       '127.0.0.1:%d' % port], 'tag': 1}}
        error = reload(target, changed(luns={5: ram('8M')}), expect=REFUSED, portals=portals)
        assert 'cannot bind' in error or 'cannot listen' in error, error
    assert attention(session) is None and luns_of(session) == [0, 1]


@case('a file with mistakes changes nothing and each mistake is named', own={'targets': BASE})
def _(target):
    session = target.login()
    broken = changed(luns={5: ram('8M'), 6: {'handler': 'file', 'options': {}}, 7: {'handler': 'nil'}})
    error = reload(target, broken, expect=REFUSED)
    assert error.count('holdfast.yaml:') == 2 and 'path is missing' in error and "'nil'" in error, error
    target.daemon.config_file.write_text('version: 1\nportal: {}\n')
    assert "unknown key 'portal'" in run(target.daemon, 'reload', expect=REFUSED)
    assert attention(session) is None and luns_of(session) == [0, 1]


@case('a disk that cannot be opened undoes those that could', own={'targets': changed(
    luns={2: file('$FOLDER/f.img', '8M')})})
def _(target):
    session = target.login()
    session.write(0, b'u' * 4096, lun=2).good()
    error = reload(target, changed(luns={2: file('$FOLDER/f.img', '8M', **{'read-only': True}), 5: ram('8M'),
                                         6: file('/nonexistent/f.img')}), expect=REFUSED)
    assert '/nonexistent/f.img' in error, error
    assert attention(session, 2) is None and luns_of(session) == [0, 1, 2]
    session.write(8, b'v' * 4096, lun=2).good()
    assert session.read(0, 8, lun=2).good().data == b'u' * 4096


@case('what needs a stop and a start is refused with its key', own={'targets': BASE})
def _(target):
    error = reload(target, BASE, daemon={'state-directory': '/srv/other'}, expect=REFUSED)
    assert 'state-directory cannot be changed without a stop and a start' in error, error


@case('log level and busy-poll change while it runs; nothing to do is said', own={'targets': BASE})
def _(target):
    session = target.login()
    reload(target, BASE, daemon={'log-level': 'debug', 'busy-poll': '20us'})
    assert 'debug' in run(target.daemon, 'log')
    session.alive()
    assert run(target.daemon, 'reload') == 'nothing to do\n'


@case('a worker that is killed is followed by one with the configuration of the last reload', own={'targets': BASE})
def _(target):
    session = target.login()
    session.write(0, b'k' * 4096).good()
    reload(target, changed(luns={5: ram('8M')}))
    assert attention(session) == LUNS_CHANGED and luns_of(session) == [0, 1, 5]
    session.write(0, b'5' * 4096, lun=5).good()
    reload(target, changed(luns={1: None, 5: ram('8M'), 6: ram('8M')}), '--force')
    assert attention(session) == LUNS_CHANGED and luns_of(session) == [0, 5, 6]
    retired(target, 'LUN closed target=%s lun=1' % IQN)
    before = target.daemon.workers()
    kill_worker(target)
    target.daemon.wait_for_worker(not_among=before)
    assert session.read(0, 8, lun=5).good().data == b'5' * 4096
    assert luns_of(session) == [0, 5, 6]
    assert session.read(0, 8).good().data == b'k' * 4096


@case('a worker killed in the middle of a reload leaves the old or the new, and a disk that opens',
      own={'targets': changed(luns={2: file('$FOLDER/f.img', '8M')})})
def _(target):
    session = target.login()
    session.write(0, b'm' * 4096, lun=2).good()
    for i in range(8):
        before = target.daemon.workers()
        target.daemon.write_config(changed(luns={2: file('$FOLDER/f.img', '%dM' % (9 + i))}))
        target.daemon.signal(signal.SIGHUP)
        time.sleep(i * 0.002)
        kill_worker(target)
        target.daemon.wait_for_worker(not_among=before)
        run(target.daemon, 'reload')
        while attention(session, 2):
            pass
        assert capacity(session, 2) == (9 + i) * MIB
        assert session.read(0, 8, lun=2).good().data == b'm' * 4096


@case('many reloads one after the other', own={'targets': BASE})
def _(target):
    session, other = target.login(), target.login(iqn=OTHER)
    for i in range(20):
        reload(target, changed(luns={5: ram('8M')}) if i % 2 == 0 else BASE, '--force')
        assert attention(session) == LUNS_CHANGED and luns_of(session) == [0, 1, 5][:3 - i % 2]
        assert attention(other) is None
        if i % 2:
            deadline = time.monotonic() + 30
            closed = 'LUN closed target=%s lun=5' % IQN
            while target.daemon.log().count(closed) <= i // 2 and time.monotonic() < deadline:
                time.sleep(0.01)
    session.alive()


if __name__ == '__main__':
    main(__file__)
