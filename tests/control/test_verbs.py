#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every verb of holdfastctl, its exit codes, its tables and its JSON."""
import contextlib
import json
import re
import socket
import threading
import time

import client
from client import CHANGES, DONE, NO_DAEMON, REFUSED, USAGE, look, run
from peer import IQN, case, file, main, ram, serve
import scsi

OTHER = 'iqn.2026-11.org.example:other'
TWO = {IQN: {'alias': 'build machines für alle', 'portals': ['test'],
             'luns': {0: ram(), 1: file('$FOLDER/disk.img'), 7: ram('1M', **{'read-only': True})}},
       OTHER: {'initiators': ['iqn.1993-08.org.debian:*'], 'luns': {0: ram('2M')}}}


def columns(text):
    """The rows of a table as dicts by heading; cells never hold two spaces."""
    lines = text.splitlines()
    return [re.split(r' {2,}', line.strip()) for line in lines]


# --- exit codes

@case('verbs that only look exit with 0', own={'targets': TWO})
def _(target):
    for verb in ('status', 'targets', 'sessions', 'luns', 'portals', 'log', 'metrics'):
        assert run(target.daemon, verb), verb
    run(target.daemon, 'sessions', IQN)
    run(target.daemon, 'luns', OTHER)
    run(target.daemon, 'top', '--count', 1, '--interval', 0.1)


@case('the same verbs with --json print one JSON value', own={'targets': TWO})
def _(target):
    for verb in ('status', 'targets', 'sessions', 'luns', 'portals', 'log', 'metrics'):
        json.loads(run(target.daemon, '--json', verb))
        json.loads(run(target.daemon, verb, '--json'))
    lines = run(target.daemon, 'top', '--json', '--count', 3, '--interval', 0.1).splitlines()
    assert len(lines) == 3
    times = [json.loads(line)['time-ns'] for line in lines]
    assert times == sorted(set(times)), times


@case('plan says what a reload would do, and exits with 4 when that is something', own={'targets': TWO})
def _(target):
    daemon, after = target.daemon, target.daemon.folder / 'after.yaml'
    before = daemon.config_file.read_text()
    after.write_text('# the same in other words\n' + before)
    assert run(daemon, 'plan', after) == 'nothing to do\n'
    more = dict(TWO[IQN]['luns'])
    more[9] = {'handler': 'null', 'options': {'size': '8M'}}
    daemon.write_config({IQN: dict(TWO[IQN], luns=more), OTHER: TWO[OTHER]})
    daemon.config_file.rename(after)
    daemon.config_file.write_text(before)
    with contextlib.closing(target.login()):
        said = run(daemon, 'plan', after, expect=CHANGES)
        assert IQN + '/9' in said and 'REPORTED LUNS DATA HAS CHANGED' in said, said
        step, = json.loads(run(daemon, '--json', 'plan', after, expect=CHANGES))['steps']
        assert (step['kind'], step['class'], step['session-count']) == ('add', 'notice', 1), step
    assert len(look(daemon, 'luns')) == 4


@case('plan names the mistakes of a file with their places, and a file that cannot be read', own={})
def _(target):
    after = target.daemon.folder / 'after.yaml'
    after.write_text('version: 1\nportals: {}\ntarget: {}\n')
    error = run(target.daemon, 'plan', after, expect=REFUSED)
    assert "%s:3:1: unknown key 'target'" % after in error, error
    error = run(target.daemon, 'plan', after.parent / 'none.yaml', expect=REFUSED)
    assert 'none.yaml: cannot be read' in error, error
    error = run(target.daemon, 'plan', after.parent, expect=REFUSED)
    assert 'not a regular file' in error, error


@case('what the daemon refuses exits with 1 and names the reason', own={})
def _(target):
    for words, reason in (
            (['session', 'drop', 4711], 'no session 4711'),
            (['session', 'drop', 0], 'no session 0'),
            (['session', 'drop', 70000], 'no session 70000'),
            (['sessions', OTHER], OTHER),
            (['luns', OTHER], OTHER),
            (['luns', 'disk1'], "'disk1' is no target name"),
            (['lun', 'resize', OTHER, 0, '1G'], OTHER),
            (['lun', 'resize', IQN, 5, '1G'], 'no LUN 5')):
        error = run(target.daemon, *words, expect=REFUSED)
        assert reason in error, error


@case('wrong usage exits with 2, whether there is a daemon or not', own={})
def _(target):
    wrong = ([], ['stauts'], ['status', 'now'], ['session'], ['session', 'drop'], ['session', 'kill', 1],
             ['session', 'drop', 'one'], ['session', 'drop', -1], ['session', 'drop', '1', '2'],
             ['lun', 'resize', IQN, 0], ['lun', 'resize', IQN, 'zero', '1G'],
             ['lun', 'resize', IQN, 0, '1X'], ['lun', 'resize', IQN, 0, '99999999999P'],
             ['log', 'loud'], ['log', 'info', 'debug'], ['fence'], ['fence', 'paint'], ['plan'],
             ['top', 'now'], ['top', '--count', '0'], ['top', '--interval', 'fast'],
             ['status', '--count', '1'], ['--timeout', 'soon', 'status'], ['--frobnicate', 'status'],
             ['--socket'], ['sessions', '\udcff'])
    for words in wrong:
        with client.start(target.daemon, *words) as process:
            out, err = process.communicate(timeout=client.LIMIT)
        assert process.returncode == USAGE, (words, process.returncode, out, err)
        assert not out and err, (words, out, err)
    assert "did you mean 'status'" in run(target.daemon, 'stauts', expect=USAGE)


@case('without a daemon every verb exits with 3 and names the socket', own={'start': False})
def _(target):
    for words in (['status'], ['targets'], ['sessions'], ['luns'], ['portals'], ['metrics'], ['log'],
                  ['top'], ['top', '--json'], ['session', 'drop', 1], ['lun', 'resize', IQN, 0, '1G'],
                  ['reload'], ['upgrade'], ['plan', 'x'], ['fence', 'show'], ['--json', 'status']):
        error = run(target.daemon, *words, expect=NO_DAEMON)
        assert client.path_of(target.daemon) in error, error
    target.daemon.folder = target.daemon.folder / ('long' * 40)
    run(target.daemon, 'status', expect=NO_DAEMON)


@case('help and version exit with 0 without a daemon', own={'start': False})
def _(target):
    assert 'session drop ID' in run(target.daemon, '--help')
    assert run(target.daemon, '--version').startswith('holdfastctl ')


# --- what is shown

@case('status knows versions, sizes of everything, and the reactors', own={'targets': TWO})
def _(target):
    session = target.login()
    discovery = target.login(discovery=True)
    status = look(target.daemon, 'status')
    assert status['state'] == 'serving' and status['generation'] == 1, status
    assert (status['targets'], status['luns'], status['portals']) == (2, 4, 1), status
    assert status['config-file'] == str(target.daemon.config_file)
    assert status['sessions'] == 1 and status['discovery-sessions'] == 1, status
    assert status['connections'] == 2 and status['keeper']['connections-held'] == 2, status
    assert status['keeper']['worker-deaths'] == 0 and status['keeper']['last-death'] is None
    assert [reactor['role'] for reactor in status['reactors']] == ['data', 'data', 'login']
    assert status['logins']['completed'] == 2, status
    text = run(target.daemon, 'status')
    assert 'serving' in text and 'worker generation 1' in text and '2 targets, 4 LUNs' in text, text
    session.alive()
    discovery.logout()


@case('targets shows names, aliases, who may log in, and how many have', own={'targets': TWO})
def _(target):
    target.login()
    target.login()
    first, second = look(target.daemon, 'targets')
    assert first == {'name': IQN, 'alias': 'build machines für alle', 'portals': ['test'],
                     'auth': None, 'initiators': None, 'luns': 3, 'sessions': 2}, first
    assert second['initiators'] == ['iqn.1993-08.org.debian:*'] and second['sessions'] == 0, second
    head, one, two = columns(run(target.daemon, 'targets'))
    assert head == ['TARGET', 'LUNS', 'SESSIONS', 'AUTH', 'PORTALS', 'INITIATORS', 'ALIAS'], head
    assert one == [IQN, '3', '2', '-', 'test', 'any', 'build machines für alle'], one
    assert two == [OTHER, '1', '0', '-', 'test', 'iqn.1993-08.org.debian:*', '-'], two


@case('portals shows addresses, tags and connections', own={})
def _(target):
    target.login()
    portal, = look(target.daemon, 'portals')
    assert portal == {'name': 'test', 'tag': 1, 'listen': ['127.0.0.1:%d' % target.daemon.port],
                      'connections': 1}, portal
    assert columns(run(target.daemon, 'portals'))[1] == [
        'test', '1', '1', '127.0.0.1:%d' % target.daemon.port]


@case('sessions shows who it is, from where, and what was negotiated', own={'targets': TWO})
def _(target):
    one = target.login(HeaderDigest='CRC32C', DataDigest='CRC32C', InitialR2T='No', MaxBurstLength='131072',
                       FirstBurstLength='32768')
    two = target.login(initiator='iqn.1993-08.org.debian:01:b', iqn=OTHER)
    shown = {session['id']: session for session in look(target.daemon, 'sessions')}
    assert sorted(shown) == sorted([one.tsih, two.tsih]), shown
    first = shown[one.tsih]
    assert first['initiator'] == one.initiator and first['target'] == IQN, first
    assert first['isid'] == one.isid.hex() and first['type'] == 'normal', first
    assert first['parameters']['max-burst-length'] == 131072, first
    assert first['parameters']['first-burst-length'] == 32768, first
    assert first['parameters']['initial-r2t'] is False and first['state'] == 'open', first
    connection, = first['connections']
    local = one.connection.socket.getsockname()
    assert connection['address'] == '%s:%d' % local, (connection, local)
    assert connection['portal'] == 'test' and connection['cid'] == 0, connection
    assert (connection['header-digest'], connection['data-digest']) == ('crc32c', 'crc32c')
    assert connection['state'] == 'full-feature', connection
    only, = look(target.daemon, 'sessions', OTHER)
    assert only['id'] == two.tsih, only
    rows = columns(run(target.daemon, 'sessions'))
    assert [str(one.tsih), one.initiator, IQN, '%s:%d' % local, 'test', 'crc32c/crc32c'] in [
        row[:6] for row in rows], rows


@case('a session with several connections shows all of them', own={
    'targets': {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {'max-connections': 4}}}})
def _(target):
    keys = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxRecvDataSegmentLength': '65536'}
    session = target.login(MaxConnections='4')
    session.login(cid=3, offer=keys)
    session.login(cid=9, offer=keys)
    session.nop(connection=session.connections[2])      # that one has arrived
    session.connections[2].expect(0x20)
    session.nop(connection=session.connections[1])
    session.connections[1].expect(0x20)
    shown, = look(target.daemon, 'sessions')
    assert sorted(c['cid'] for c in shown['connections']) == [0, 3, 9], shown
    assert len(run(target.daemon, 'sessions').splitlines()) == 4


@case('commands and bytes of sessions and LUNs are counted exactly', own={'targets': TWO})
def _(target):
    session = target.login()
    before, = look(target.daemon, 'sessions')
    lun = look(target.daemon, 'luns', IQN)[1]
    for block in range(20):
        assert session.write(8 * block, b'x' * 4096, lun=1).status == scsi.GOOD
    for block in range(30):
        session.read(8 * block, 8, lun=1)
    session.read(1 << 30, 8, lun=1)         # beyond the end
    after, = look(target.daemon, 'sessions')
    assert after['commands'] - before['commands'] == 51, (before, after)
    assert after['answered'] - before['answered'] == 51, (before, after)
    assert after['written-bytes'] - before['written-bytes'] == 20 * 4096, (before, after)
    assert after['read-bytes'] - before['read-bytes'] == 30 * 4096, (before, after)
    assert after['errors'] - before['errors'] == 1, (before, after)
    assert after['outstanding'] == 0 and after['window'] > 0, after
    now = look(target.daemon, 'luns', IQN)[1]
    assert now['reads']['commands'] - lun['reads']['commands'] == 30, now
    assert now['writes']['commands'] - lun['writes']['commands'] == 20, now
    assert now['reads']['bytes'] - lun['reads']['bytes'] == 30 * 4096, now
    assert now['writes']['bytes'] - lun['writes']['bytes'] == 20 * 4096, now
    assert now['at-handler'] == 0 and now['waiting'] == 0, now
    status = look(target.daemon, 'status')
    assert sum(r['written-bytes'] for r in status['reactors']) == 20 * 4096, status


@case('luns shows sizes, modes and identities', own={'targets': TWO})
def _(target):
    luns = look(target.daemon, 'luns')
    assert [(lun['target'], lun['lun']) for lun in luns] == [(IQN, 0), (IQN, 1), (IQN, 7), (OTHER, 0)]
    assert [lun['bytes'] for lun in luns] == [64 << 20, 64 << 20, 1 << 20, 2 << 20], luns
    assert [lun['read-only'] for lun in luns] == [False, False, True, False], luns
    assert [lun['handler'] for lun in luns] == ['ram', 'file', 'ram', 'ram'], luns
    assert len({lun['serial'] for lun in luns}) == 4 and len({lun['naa'] for lun in luns}) == 4
    row = columns(run(target.daemon, 'luns'))[3]
    assert row[:4] + row[6:8] == [IQN, '7', 'ram', '1M', '-', 'ro'], row    # between: used, left


# --- what changes something

@case('session drop ends exactly that session, and says so when it is over', own={})
def _(target):
    one, two = target.login(), target.login()
    one.start(scsi.read_10(0, 8), read=4096).wait()
    assert run(target.daemon, 'session', 'drop', one.tsih) == 'session %d has ended\n' % one.tsih
    one.connection.expect_closed()
    two.alive()
    assert [s['id'] for s in look(target.daemon, 'sessions')] == [two.tsih]
    run(target.daemon, 'session', 'drop', one.tsih, expect=REFUSED)
    again = target.login(isid=one.isid)
    again.alive()
    assert look(target.daemon, 'session', 'drop', again.tsih) == {'id': again.tsih}


@case('session drop ends a discovery session, too', own={})
def _(target):
    session = target.login(discovery=True)
    shown, = look(target.daemon, 'sessions')
    assert shown['type'] == 'discovery' and shown['target'] is None, shown
    run(target.daemon, 'session', 'drop', shown['id'])
    session.connection.expect_closed()
    assert look(target.daemon, 'sessions') == []


@case('session drop under load loses nothing of other sessions', own={})
def _(target):
    victim, other = target.login(), target.login()
    tasks = [victim.start(scsi.read_10(8 * n, 8), read=4096) for n in range(30)]
    mine = [other.start(scsi.read_10(8 * n, 8), read=4096) for n in range(30)]
    run(target.daemon, 'session', 'drop', victim.tsih)
    for task in mine:
        assert task.wait().status == scsi.GOOD
    assert tasks
    other.alive()


@case('log shows and sets the level, and the change is in the log', own={})
def _(target):
    assert run(target.daemon, 'log') == 'info\n'
    assert run(target.daemon, 'log', 'debug') == 'debug\n'
    assert run(target.daemon, 'log') == 'debug\n'
    assert look(target.daemon, 'log', 'error') == {'level': 'error'}
    assert look(target.daemon, 'status')['log-level'] == 'error'
    target.daemon.wait_log('log level changed to=error')
    lines = len(target.daemon.log().splitlines())
    target.login().logout()
    assert len(target.daemon.log().splitlines()) == lines, target.daemon.log()


@case('a verb to a socket nobody accepts from ends by its time-out with 3', alone=True)
def _():
    with serve(start=False) as daemon, socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(client.path_of(daemon))
        deaf.listen(5)
        error = run(daemon, '--timeout', '0.3', 'status', expect=NO_DAEMON)
        assert 'does not answer' in error, error


@case('what does not speak the language is no daemon', alone=True)
def _():
    with serve(start=False) as daemon, socket.socket(socket.AF_UNIX) as other:
        other.bind(client.path_of(daemon))
        other.listen(5)

        def speak():
            for text in (b'220 mail ready\n', b'[' * 100000 + b'\n', b'{"jsonrpc":"2.0","id":1}\n', b'{"a":1} {}\n'):
                connection, _ = other.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(text)
        thread = threading.Thread(target=speak)
        thread.start()
        for _ in range(4):
            error = run(daemon, 'status', expect=NO_DAEMON)
            assert 'does not speak' in error, error
        thread.join()


@case('sessions --advice: the kind of each initiator, what it agreed to, and what that means')
def _(target):
    hosts = {'iqn.1993-08.org.debian:01:advice': 'Linux', 'iqn.1991-05.com.microsoft:advice': 'Windows',
             'iqn.1998-01.com.vmware:advice': 'ESXi', 'iqn.1994-09.org.freebsd:advice': 'FreeBSD',
             'iqn.2026-11.org.example:advice': '?'}
    sessions = [target.login(initiator=name) for name in hosts]
    sessions.append(target.login(initiator='iqn.1993-08.org.debian:01:advice'))
    text = run(target.daemon, 'sessions', '--advice')
    rows = {line.split()[1]: line for line in text.splitlines() if ':advice' in line}
    for session, (name, kind) in zip(sessions, hosts.items()):
        words = rows[name].split()
        assert words[3] == kind and words[4:6] == [session.negotiated['DefaultTime2Wait'], 's'], words
        assert words[-1] == ('2' if kind == 'Linux' else '1'), 'paths: %r' % words
    for word in ('replacement_timeout', 'max_retries', 'MaxRequestHoldTime', 'APDTimeout', 'fail_on_disconnection',
                 "the kind '?'"):
        assert word in text, word
    assert 'iPXE' not in text and 'QEMU' not in text
    for words in (('status', '--advice'), ('--json', 'sessions', '--advice'), ('top', '--advice')):
        run(target.daemon, *words, expect=USAGE)
    for session in sessions:
        session.logout()
        session.close()


if __name__ == '__main__':
    main(__file__)
