#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""target set, target remove, lun set, lun remove: the daemon and its file change, twice is no error."""
import json
import pathlib
import time

import client
from client import REFUSED, USAGE, NO_DAEMON, look, run
from peer import IQN, case, main, ram
import scsi

NEW = 'iqn.2026-11.org.example:new'
ONE = {IQN: {'portals': ['test'], 'luns': {0: ram('8M')}}}
NOTHING = 'nothing to do\n'


def text(target):
    return pathlib.Path(target.daemon.config_file).read_text(encoding='utf-8')


def comment(target):
    """A comment at each line, which must be there in the end."""
    path = pathlib.Path(target.daemon.config_file)
    path.write_text(''.join('%s # line %d\n' % (line, i) if line else '\n'
                            for i, line in enumerate(text(target).splitlines())), encoding='utf-8')
    run(target.daemon, 'reload')
    return path.read_text(encoding='utf-8').splitlines()


@case('a target and its disks come and go by verbs alone', own={'targets': ONE})
def _(target):
    before = comment(target)
    run(target.daemon, 'target', 'set', NEW, 'alias=of verbs', 'initiators=*:host1,*:host2')
    run(target.daemon, 'lun', 'set', NEW, 0, 'handler=ram', 'size=4M', 'serial=s0')
    session = target.login(iqn=NEW, initiator='iqn.2026-11.org.example:host2')
    session.alive()
    assert set(before) < set(text(target).splitlines()), text(target)
    assert run(target.daemon, 'reload') == NOTHING
    error = run(target.daemon, 'target', 'remove', NEW, expect=REFUSED)
    assert 'is in use' in error, error
    run(target.daemon, 'target', 'remove', NEW, '--force')
    assert text(target).splitlines() == before
    assert [t['name'] for t in look(target.daemon, 'targets')] == [IQN]


@case('each verb may be given twice', own={'targets': ONE})
def _(target):
    for words in (['target', 'set', NEW, 'alias=a'], ['lun', 'set', NEW, 0, 'handler=null', 'size=4M'],
                  ['lun', 'remove', NEW, 0], ['target', 'remove', NEW]):
        assert run(target.daemon, *words) != NOTHING, words
        assert run(target.daemon, *words) == NOTHING, words
    run(target.daemon, 'lun', 'remove', NEW, 5)


@case('a key of a disk in use is changed, and taken away again', own={'targets': ONE})
def _(target):
    session = target.login()
    run(target.daemon, 'lun', 'set', IQN, 0, 'read-only=yes')
    assert session.command(scsi.test_unit_ready(), lun=0).sense.what() == (6, 0x3f03)
    assert session.write(0, b'x' * 4096, lun=0).sense.what()[0] == 7
    run(target.daemon, 'lun', 'set', IQN, 0, 'read-only=')
    assert 'read-only' not in text(target)
    assert session.command(scsi.test_unit_ready(), lun=0).sense.what() == (6, 0x3f03)
    session.write(0, b'x' * 4096, lun=0).good()


def faulty(**options):
    below = {'handler': 'ram', 'options': {'size': '8M'}}
    disk = {'handler': 'fault', 'options': dict({'of': below}, **options)}
    return {IQN: {'portals': ['test'], 'luns': {0: disk}}}


@case('rules of the handler fault come and go under a session', own={'targets': faulty()})
def _(target):
    session = target.login()
    session.write(0, b'x' * 4096, lun=0).good()
    run(target.daemon, 'lun', 'set', IQN, 0, 'rules=[{op: write, error: ENOSPC, times: 2}, {op: read, from: 1M}]')
    assert 'error: ENOSPC' in text(target), text(target)
    for _ in range(2):
        assert session.write(0, b'y' * 4096, lun=0).sense.what() == (7, 0x2707)
    session.write(0, b'z' * 4096, lun=0).good()
    assert session.read(4096, 8, lun=0).status == 2
    run(target.daemon, 'lun', 'set', IQN, 0, 'rules=')
    assert 'rules' not in text(target)
    assert session.read(4096, 8, lun=0).good()
    assert session.read(0, 8, lun=0).good().data == b'z' * 4096
    bad = run(target.daemon, 'lun', 'set', IQN, 0, 'rules=[{op: wrote}]', expect=REFUSED)
    assert 'wrote' in bad or 'op' in bad, bad


@case('what hangs goes on when the rules are taken away',
      own={'targets': faulty(rules=[{'action': 'hang', 'times': 1}])})
def _(target):
    session = target.login()
    task = session.start(scsi.write_10(0, 8), write=b'h' * 4096, lun=0)
    run(target.daemon, 'lun', 'set', IQN, 0, 'rules=')
    task.wait()
    assert task.status == 0
    assert session.read(0, 8, lun=0).good().data == b'h' * 4096


TRACED = {'handler': 'log', 'options': {'of': {'handler': 'ram', 'options': {'size': '8M'}},
                                        'path': '$FOLDER/trace', 'trace': 'no'}}


@case('a trace is switched off and on again under a session',
      own={'targets': {IQN: {'portals': ['test'], 'luns': {0: TRACED}}}})
def _(target):
    session = target.login()
    for lba, state in ((8, 'yes'), (16, 'no'), (24, 'yes')):
        session.write(lba, b'x' * 512, lun=0).good()
        run(target.daemon, 'lun', 'set', IQN, 0, 'trace=' + state)
    session.write(32, b'x' * 512, lun=0).good()
    trace = pathlib.Path(target.daemon.folder, 'trace')
    deadline = time.monotonic() + client.LIMIT
    while ' 16384 ' not in trace.read_text():
        assert time.monotonic() < deadline, trace.read_text()
        time.sleep(0.01)
    writes = [line.split()[2] for line in trace.read_text().splitlines() if line.split()[1] == 'write']
    assert writes == ['8192', '16384'], writes


@case('what is refused changes neither the daemon nor the file', own={'targets': ONE})
def _(target):
    before = text(target)
    for words, reason in (
            (['lun', 'set', IQN, 1, 'size=4M'], 'handler'),
            (['lun', 'set', IQN, 1, 'handler=nil'], "'nil'"),
            (['lun', 'set', IQN, 1, 'handler=null', 'colour=red'], "'colour'"),
            (['lun', 'set', IQN, 1, 'handler=file', 'path=/nonexistent/x', 'size=4M'], '/nonexistent/x'),
            (['lun', 'set', NEW, 0, 'handler=null'], 'there is no target'),
            (['target', 'set', 'disk'], "'disk' is no target name"),
            (['target', 'set', NEW, 'auth=nobody'], "'nobody'"),
            (['target', 'set', IQN, 'a"b=c'], 'is no key')):
        error = run(target.daemon, *words, expect=REFUSED)
        assert reason in error, (words, error)
        assert text(target) == before, words
    assert not list(pathlib.Path(target.daemon.folder).glob('.*.holdfastd'))
    assert len(look(target.daemon, 'luns')) == 1


@case('a file that others manage, or have changed, is refused', own={'targets': ONE})
def _(target):
    path = pathlib.Path(target.daemon.config_file)
    words = ['lun', 'set', IQN, 4, 'handler=null', 'size=4M']
    path.chmod(0o444)
    assert 'is managed elsewhere' in run(target.daemon, *words, expect=REFUSED)
    path.chmod(0o644)
    real = path.with_name('real.yaml')
    path.rename(real)
    path.symlink_to(real)
    assert 'is managed elsewhere' in run(target.daemon, *words, expect=REFUSED)
    path.unlink()
    path.write_text(real.read_text() + '# by hand\n')
    assert 'has changed since it was read' in run(target.daemon, *words, expect=REFUSED)
    run(target.daemon, 'reload')
    run(target.daemon, *words)
    assert '# by hand' in text(target) and '4: { handler: "null"' in text(target) or 'null' in text(target)


@case('wrong usage exits with 2, without a daemon it is 3', own={'start': False})
def _(target):
    for words in (['lun', 'set', IQN], ['lun', 'set', IQN, 'one'], ['lun', 'set', IQN, 1, 'size'],
                  ['lun', 'remove', IQN], ['lun', 'remove', IQN, 1, 2], ['target', 'set'],
                  ['target', 'remove'], ['target', 'set', IQN, '=x'], ['target', 'paint', IQN],
                  ['lun', 'set', IQN, 1, '--drain', 'soon']):
        with client.start(target.daemon, *words) as process:
            process.communicate(timeout=client.LIMIT)
        assert process.returncode == USAGE, (words, process.returncode)
    for words in (['lun', 'set', IQN, 1, 'handler=ram'], ['lun', 'remove', IQN, 1], ['target', 'set', IQN],
                  ['target', 'remove', IQN]):
        run(target.daemon, *words, expect=NO_DAEMON)


@case('changes that many ask for at the same time are made one after the other, and none is lost', own={'targets': ONE})
def _(target):
    numbers = range(1, 25)
    processes = [client.start(target.daemon, 'lun', 'set', IQN, n, 'handler=null', 'size=%dM' % n) for n in numbers]
    processes[3].kill()         # one that does not wait for its turn disturbs nobody
    for n, process in zip(numbers, processes):
        _, err = process.communicate(timeout=client.LIMIT)
        assert process.returncode == 0 or n == 4, err
    luns = {lun['lun']: lun['bytes'] for lun in look(target.daemon, 'luns')}
    assert {n: size for n, size in luns.items() if n not in (0, 4)} == {n: n << 20 for n in numbers if n != 4}
    assert run(target.daemon, 'reload') == NOTHING     # the file says the same
    with client.connected(target.daemon) as rpc, client.connected(target.daemon) as other:
        rpc.ask('lun.set', {'target': IQN, 'lun': 1, 'keys': {'read-only': True}})
        rpc.close()
        other.call('lun.set', {'target': IQN, 'lun': 2, 'keys': {'read-only': True}})
    assert {lun['lun'] for lun in look(target.daemon, 'luns') if lun['read-only']} >= {2}


if __name__ == '__main__':
    main(__file__)
