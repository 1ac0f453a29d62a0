#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The metrics: their form, and that they count what happens."""
import signal
import sys
import time

from client import LIMIT, connected, kill_worker, look, run
import openmetrics
from openmetrics import value
from peer import IQN, Refused, Skip, case, file, main, ram
import scsi

ODD = 'iqn.2026-11.org.example:odd'
TWO = {IQN: {'portals': ['test'], 'luns': {0: ram(), 1: file('$FOLDER/disk.img')}},
       ODD: {'initiators': ['iqn.nobody:*'], 'luns': {0: ram('1M')}}}


def metrics(target):
    return openmetrics.parse(run(target.daemon, 'metrics'))


@case('the reader of this test refuses what is not OpenMetrics', own={'start': False})
def _(_):
    good = ('# TYPE a counter\n# HELP a Things.\na_total{x="1"} 5\n# TYPE h_seconds histogram\n'
            '# UNIT h_seconds seconds\n# HELP h_seconds H.\nh_seconds_bucket{le="0.5"} 1\n'
            'h_seconds_bucket{le="+Inf"} 2\nh_seconds_count 2\nh_seconds_sum 3.5\n# EOF\n')
    openmetrics.parse(good)
    for old, new in (('# EOF\n', ''), ('a_total', 'a'), ('{x="1"}', '{x=1}'), ('x="1"', 'x="1",x="2"'),
                     ('} 5', '} five'), ('} 5', '}  5'), ('} 5', '} -5'), ('# HELP a Things.\n', ''),
                     ('a counter', 'a count'), ('"0.5"} 1', '"0.5"} 3'), ('_count 2', '_count 3'),
                     ('"+Inf"', '"9"'), ('h_seconds seconds', 'h_seconds bytes'),
                     ('# TYPE h_seconds', '# TYPE a'), ('a_total', '\na_total'),
                     ('a_total{x="1"} 5', 'a_total{x="1"} 5\na_total{x="1"} 5'), ('x="1"', 'x="\\t"')):
        assert old in good
        try:
            openmetrics.parse(good.replace(old, new))
        except (AssertionError, KeyError):
            continue
        raise AssertionError('taken: %r for %r' % (new, old))


@case('the text is OpenMetrics, whatever is open', own={'targets': TWO})
def _(target):
    families = metrics(target)
    assert len(families) > 40
    session = target.login()
    target.login(discovery=True)
    session.write(0, b'x' * 4096)
    session.read(0, 8, lun=1)
    assert len(metrics(target)) == len(families)
    with connected(target.daemon) as rpc:
        result = rpc.call('metrics')
    assert result['content-type'].startswith('application/openmetrics-text; version=1.0.0')
    openmetrics.parse(result['text'])


@case('commands, bytes and latencies of LUNs and sessions are all there', own={'targets': TWO})
def _(target):
    session = target.login()
    mine = {'initiator': session.initiator, 'target': IQN, 'session': str(session.tsih)}
    disk = {'target': IQN, 'lun': '1'}
    session.alive(lun=1)
    before = metrics(target)
    for block in range(10):
        session.write(8 * block, b'x' * 4096, lun=1)
        session.read(8 * block, 8, lun=1)
    session.command(scsi.read_10(1 << 30, 8), read=4096, lun=1)
    after = metrics(target)

    def grown(name, suffix='_total', **labels):
        old = before[name].samples.get((suffix, tuple(sorted(labels.items()))), 0)
        return value(after, name, suffix, **labels) - old
    assert grown('holdfast_session_commands', **mine) == 21
    assert grown('holdfast_session_errors', **mine) == 1
    assert grown('holdfast_session_read_bytes', **mine) == 40960
    assert grown('holdfast_session_written_bytes', **mine) == 40960
    assert grown('holdfast_lun_read_bytes', **disk) == 40960
    assert grown('holdfast_lun_written_bytes', **disk) == 40960
    for way in ('read', 'write'):
        assert grown('holdfast_lun_latency_seconds', '_count', way=way, **disk) == 10
        assert value(after, 'holdfast_lun_latency_seconds', '_sum', way=way, **disk) > 0
    assert value(after, 'holdfast_session_outstanding', **mine) == 0
    assert value(after, 'holdfast_session_window', **mine) > 0
    assert value(after, 'holdfast_lun_size_bytes', **disk) == 64 << 20
    assert value(after, 'holdfast_sessions', type='normal') == 1
    commands = sum(number for (suffix, _), number in after['holdfast_reactor_commands'].samples.items()
                   if suffix == '_total')
    assert commands == look(target.daemon, 'sessions')[0]['commands']


@case('a session has its histogram, which goes on with the next worker and the next binary', own={'targets': TWO})
def _(target):
    session = target.login()
    mine = {'initiator': session.initiator, 'target': IQN, 'session': str(session.tsih)}
    name = 'holdfast_session_latency_seconds'
    for _ in range(10):
        session.read(0, 8, lun=1).good()

    def count():
        families = metrics(target)
        executed = look(target.daemon, 'sessions')[0]['executed']
        assert value(families, name, '_count', **mine) == executed
        assert value(families, name, '_bucket', le='+Inf', **mine) == executed
        assert value(families, name, '_sum', **mine) > 0
        return executed
    before = count()
    assert before >= 10
    kill_worker(target.daemon)
    session.read(0, 8, lun=1).good()
    assert count() == before + 1
    target.daemon.killed_workers = True
    run(target.daemon, 'upgrade', '--worker-only')
    session.read(0, 8, lun=1).good()
    assert count() == before + 2


@case('a window that initiators fill is seen', own={'targets': {IQN: {'session': {'command-window': 4}, 'luns': {0: ram()}}}})
def _(target):
    session = target.login()
    mine = {'initiator': session.initiator, 'target': IQN, 'session': str(session.tsih)}
    session.alive()
    assert value(metrics(target), 'holdfast_session_window_full', '_total', **mine) == 0
    tasks = [session.start(scsi.write_10(block, 1), write=b'x' * 512, immediate_data=0, hold_r2ts=True)
             for block in range(4)]
    while not all(task.r2ts for task in tasks):
        session.connection.pump(LIMIT)
    families = metrics(target)
    assert value(families, 'holdfast_session_outstanding', **mine) == 4
    assert value(families, 'holdfast_session_window', **mine) == 4
    assert value(families, 'holdfast_session_window_full', '_total', **mine) == 1
    for task in tasks:
        task.answer(task.r2ts[0])
        task.good()
    session.alive()
    assert value(metrics(target), 'holdfast_session_window_full', '_total', **mine) == 1


@case('series of sessions can be done without, at once', own={'targets': TWO})
def _(target):
    session = target.login()
    session.alive()
    with_them = set(metrics(target))
    file = target.daemon.config_file
    file.write_text(file.read_text(encoding='utf-8').replace('"daemon":\n', '"daemon":\n  metrics-sessions: no\n'),
                    encoding='utf-8')
    run(target.daemon, 'reload')
    families = metrics(target)
    assert {name for name in with_them - set(families)} == {
        'holdfast_session_' + name for name in (
            'commands', 'errors', 'read_bytes', 'written_bytes', 'window', 'window_full', 'outstanding',
            'latency_seconds')}
    assert value(families, 'holdfast_sessions', type='normal') == 1
    session.alive()


@case('logins are counted, refused ones by their status', own={'targets': TWO})
def _(target):
    target.login()
    for _ in range(3):
        target.refused(0x0203, lambda: target.login(iqn='iqn.2026-11.org.example:none'))
    for _ in range(2):
        target.refused(0x0202, lambda: target.login(iqn=ODD))
    deadline = time.monotonic() + LIMIT
    while value(metrics(target), 'holdfast_connections_held') != 1:     # the refused ones are going
        assert time.monotonic() < deadline
    families = metrics(target)
    refusals = {dict(labels)['status']: number
                for (suffix, labels), number in families['holdfast_login_refusals'].samples.items()
                if suffix == '_total'}
    assert refusals == {'0203': 3, '0202': 2}, refusals
    assert value(families, 'holdfast_logins', '_total') == 1
    assert value(families, 'holdfast_login_duration_seconds', '_count') == 1
    assert value(families, 'holdfast_worker_deaths', '_total') == 0
    assert value(families, 'holdfast_build', '_info', version=look(target.daemon, 'status')['version']) == 1


@case('deaths, crashes and upgrades are counted, with their pauses and what was resumed', own={'targets': TWO})
def _(target):
    session = target.login()
    families = metrics(target)
    for name in ('holdfast_pauses', 'holdfast_pause_seconds'):
        assert set(families[name].samples.values()) == {0}
    kill_worker(target.daemon)
    session.alive()
    families = metrics(target)
    assert value(families, 'holdfast_worker_deaths', '_total') == 1
    assert value(families, 'holdfast_worker_crashes', '_total') == 0
    assert value(families, 'holdfast_pauses', '_total', cause='death') == 1
    assert value(families, 'holdfast_last_pause_seconds', cause='death') > 0
    assert value(families, 'holdfast_resumed_sessions') == 1
    assert value(families, 'holdfast_dropped_sessions') == 0
    target.daemon.signal(signal.SIGUSR2)
    deadline = time.monotonic() + LIMIT
    while value(families, 'holdfast_pauses', '_total', cause='upgrade') == 0:
        assert time.monotonic() < deadline
        families = metrics(target)
    session.alive()
    assert value(families, 'holdfast_pauses', '_total', cause='upgrade') == 1
    assert value(families, 'holdfast_pauses', '_total', cause='death') == 1
    assert value(families, 'holdfast_pause_seconds', '_total', cause='upgrade') > 0
    assert value(families, 'holdfast_upgrade_failures', '_total') == 0
    assert value(families, 'holdfast_fence_configured') == 0
    text = run(target.daemon, 'status')
    assert 'restarts      1, 0 crashes; the last pause took ' in text, text
    assert 'upgrades      1, 0 failed; the last pause took ' in text, text


def began(family, labels):
    """When this counter began; 0: with the daemon."""
    return family.samples.get(('_created', labels), 0)


@case('a counter that is smaller after an upgrade or a crash says that it began anew', own={'targets': TWO})
def _(target):
    session = target.login()
    for _ in range(50):
        session.read(0, 8).good()
    for replace in ('upgrade', 'kill'):
        before = metrics(target)
        if replace == 'kill':
            kill_worker(target.daemon)
        else:
            target.daemon.killed_workers = True
            run(target.daemon, 'upgrade')
        after, smaller = metrics(target), 0
        for name, family in before.items():
            for (suffix, labels), number in family.samples.items():
                if family.type not in ('counter', 'histogram') or suffix == '_created':
                    continue
                plain = tuple(label for label in labels if label[0] != 'le')
                same = began(family, plain) == began(after[name], plain)
                new = after[name].samples.get((suffix, labels), 0)
                assert new >= number or not same, '%s%s%s: %g after %g' % (name, suffix, labels, new, number)
                assert not same or not began(family, plain), 'an old beginning: ' + name
                smaller += new < number
        assert smaller, 'nothing began anew: what is tested?'
        session.alive()


@case('the reader of Prometheus itself takes it', own={'targets': TWO})
def _(target):
    sys.path.append('/usr/lib/python3/dist-packages')       # Debian's, whichever python3 this is
    try:
        from prometheus_client.openmetrics import parser
    except ImportError:
        raise Skip('no python3-prometheus-client')
    target.login().alive()
    names = {family.name for family in parser.text_string_to_metric_families(run(target.daemon, 'metrics'))}
    assert names == set(metrics(target)), names ^ set(metrics(target))


@case('names that need escapes come back as they were', own={})
def _(target):
    try:
        target.login(initiator='iqn.2026-11.org.example:Ünïcode')
    except Refused:
        target.login()
    families = metrics(target)
    (_, labels), = families['holdfast_session_commands'].samples
    shown, = look(target.daemon, 'sessions')
    assert dict(labels)['initiator'] == shown['initiator']


@case('connections that are not let in are counted by reason',
      own={'daemon': {'max-connections': 100, 'max-connections-per-address': 1}})
def _(target):
    def refuse():
        try:
            target.login()
        except Refused as refusal:
            assert refusal.status == 0x0302
            return True
        return False
    while not refuse():     # the one that found out that the daemon listens may still be there
        pass
    found = metrics(target)
    name = 'holdfast_connections_not_let_in'
    assert value(found, name, '_total', reason='address') >= 1
    for reason in ('connections', 'logins', 'silent', 'turn', 'stopping', 'overflow'):
        assert value(found, name, '_total', reason=reason) == 0, reason
    assert value(found, 'holdfast_logins_in_progress') == 0


if __name__ == '__main__':
    main(__file__)
