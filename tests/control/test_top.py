#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""holdfastctl top: the live view on a terminal, and what programs get."""
import json
import os
import signal
import time

import client
from client import DONE, NO_DAEMON, USAGE, kill_worker, run
from peer import IQN, case, file, main, ram
import scsi
from terminal import BEGIN, END, on_terminal

LONG = 'iqn.2026-11.org.example:' + 38 * 'long-' + 'end'
TWO = {IQN: {'luns': {0: ram(), 1: file('$FOLDER/disk.img')}}, LONG: {'luns': {0: ram('1M')}}}
QUICK = ('top', '--interval', '0.2')


def cells(lines, *begin):
    """The words of the line that begins so."""
    found = [line.split() for line in lines if line.split()[:len(begin)] == list(begin)]
    assert len(found) == 1, '%r: %r' % (begin, lines)
    return found[0]


@case('rates of what happens meanwhile, without a terminal and once', own={'targets': TWO})
def _(target):
    session = target.login()
    for words in (('--count', 1), ('--once',)):
        process = client.start(target.daemon, 'top', *words, '--interval', 2)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            session.read(0, 8)
        out, err = process.communicate(timeout=client.LIMIT)
        assert process.returncode == DONE and not err, err
        lines = out.splitlines()
        assert cells(lines, IQN, '0')[2] != '0', out
        assert cells(lines, str(session.tsih), session.initiator)[3] != '0', out
        assert lines[1] == 'pauses: none', out
        assert '\x1b' not in out


@case('programs get a line of JSON a look', own={'targets': TWO})
def _(target):
    session = target.login()
    session.read(0, 8).good()
    lines = run(target.daemon, '--json', 'top', '--count', 3, '--interval', '0.1').splitlines()
    looks = [json.loads(line) for line in lines]
    assert len(looks) == 3 and looks[0]['time-ns'] < looks[1]['time-ns'] < looks[2]['time-ns']
    assert looks[0]['sessions'][0]['initiator'] == session.initiator
    assert looks[0]['luns'][0]['reads']['commands'] == 1 and not looks[0]['luns'][0]['held']
    for key in ('upgrades', 'restarts'):
        assert looks[0][key] == {'count': 0, 'pause-seconds': 0, 'last-pause-seconds': 0}
    assert looks[0]['fence-up-seconds'] == 0
    json.loads(run(target.daemon, '--json', 'top', '--once'))


@case('what top does not take', own={})
def _(target):
    for words in (('top', 'x'), ('top', '--interval', '0'), ('top', '--interval', '1e9'), ('top', '--count', '0'),
                  ('top', '--count', 'x'), ('status', '--once'), ('top', '--force'), ('top', '--drain', '5s'),
                  ('top', '--worker-only'), ('upgrade', '--force'), ('upgrade', '--once')):
        run(target.daemon, *words, expect=USAGE)


@case('it draws, obeys keys, and leaves the terminal as it was', own={'targets': TWO})
def _(target):
    target.login().alive()
    for end in (b'q', b'\x03', b'\x1c', signal.SIGTERM, signal.SIGHUP):
        with on_terminal(target.daemon, *QUICK) as t:
            before = t.modes()
            t.wait_word(BEGIN)
            lines = t.screen()
            assert len(lines) <= 24 and lines[-1].startswith('q quit'), lines
            assert t.modes() == (False, False) and before == (True, True)
            t.press(b's')
            t.screen(lambda lines: lines[4].split()[0] == 'ID')
            t.press(b'l')
            t.screen(lambda lines: lines[4].split()[0] == 'TARGET')
            t.press(b'p')
            t.screen(lambda lines: lines[0].endswith('(paused)'))
            t.press(b'p')
            t.screen(lambda lines: '(paused)' not in lines[0])
            if isinstance(end, bytes):
                t.press(end)
            else:
                os.kill(t.pid, end)
            assert t.wait_end() == 0, end
            assert t.seen.endswith(b'\x1b[?25h' + END) and t.seen.count(BEGIN) == t.seen.count(END) == 1
            assert t.modes() == before


@case('stopped and continued, the terminal is the shell\'s meanwhile', own={'targets': TWO})
def _(target):
    with on_terminal(target.daemon, *QUICK, shell=True) as t:
        t.wait_word(b'q quit')
        t.press(b'\x1a')
        t.wait_word(b'stopped')
        assert END + b'stopped' in t.seen and t.modes() == (True, True)
        t.press(b'\n')
        t.wait_word(BEGIN)
        t.screen()
        assert t.modes() == (False, False)
        t.press(b'q')
        assert t.wait_end() == 0 and t.modes() == (True, True)


@case('a screen of any size, also one that changes', own={'targets': TWO})
def _(target):
    sessions = [target.login(), target.login(iqn=LONG)]
    for session in sessions:
        session.alive()
    with on_terminal(target.daemon, *QUICK, columns=400) as t:
        lines = t.screen(lambda lines: any(LONG in line for line in lines))
        cells(lines, LONG, '0')
        for rows, columns in ((24, 80), (10, 60), (3, 20), (1, 1), (2, 300), (50, 300), (24, 80)):
            t.resize(rows, columns)
            t.screen(lambda lines: len(lines) <= rows and max(map(len, lines)) <= columns and
                     (rows > 1 and columns > 79) == (max(map(len, lines)) > 60))
        lines = t.screen()
        lun = [line for line in lines if '-long-end' in line and not line.split()[0].isdigit()]
        assert len(lun) == 1 and lun[0].startswith('\u2026') and lun[0].split()[-1] == '0', lines
        assert any(line.endswith('QUEUE') for line in lines)
        t.press(b'q')
        assert t.wait_end() == 0


@case('disks and sessions are in the order asked for', own={'targets': TWO})
def _(target):
    session = target.login()
    for lun in (0, 1):
        session.alive(lun=lun)
    with on_terminal(target.daemon, *QUICK) as t:
        def first(by, lun, work):
            def good(lines):
                work()
                return ('by %s ' % by) in lines[-1] and lines[5].split()[:2] == [IQN, lun]
            t.press({'commands': b'c', 'bytes': b'b', 'latency': b't', 'queue': b'u'}[by])
            t.screen(good)

        def many_small():
            for block in range(20):
                session.read(block, 1, lun=0)

        def mixed():
            many_small()
            session.read(0, 128, lun=1)
        first('commands', '0', mixed)
        first('bytes', '1', mixed)
        first('latency', '1', mixed)
        held = session.start(scsi.write_10(0, 1), write=b'x' * 512, lun=0, immediate_data=0, hold_r2ts=True)
        t.press(b'su')
        t.screen(lambda lines: 'by queue' in lines[-1] and lines[5].split()[-1].startswith('1/'))
        while not held.r2ts:
            session.connection.pump(client.LIMIT)
        held.answer(held.r2ts[0])
        held.good()


@case('the pauses are told, and top goes on with the next worker', own={'targets': TWO})
def _(target):
    with on_terminal(target.daemon, *QUICK) as t:
        assert t.screen()[1] == 'pauses: none'
        kill_worker(target.daemon)
        lines = t.screen(lambda lines: 'generation 2' in lines[0])
        assert lines[1].startswith('pauses: 1 restart, last '), lines
        run(target.daemon, 'upgrade', '--worker-only')
        lines = t.screen(lambda lines: 'generation 3' in lines[0])
        assert lines[1].startswith('pauses: 1 upgrade, last ') and '; 1 restart, last ' in lines[1], lines


@case('a daemon that goes away and comes back is said so', own={'targets': TWO})
def _(target):
    with on_terminal(target.daemon, *QUICK) as t:
        t.screen()
        target.daemon.killed_workers = True     # another one in the end
        target.daemon.signal(signal.SIGTERM)
        lines = t.screen(lambda lines: 'cannot be reached' in lines[-1])
        assert lines[0].endswith('(no answer)'), lines
        assert target.daemon.wait_exit() == 0
        target.daemon.start()
        t.screen(lambda lines: 'q quit' in lines[-1] and '(no answer)' not in lines[0])
        t.press(b'q')
        assert t.wait_end() == 0


@case('without a daemon it does not begin', own={'start': False})
def _(target):
    with on_terminal(target.daemon, *QUICK) as t:
        assert t.wait_end() == NO_DAEMON
        assert BEGIN not in t.seen and b'cannot be reached' in t.seen
        assert t.modes() == (True, True)


@case('a terminal that goes away ends it', own={'targets': TWO})
def _(target):
    with on_terminal(target.daemon, *QUICK) as t:
        t.wait_word(b'q quit')
        for end in (t.end, t.other_end):
            os.close(end)
        t.end, t.other_end = os.openpty()   # others, so that they can be closed
        deadline = time.monotonic() + client.LIMIT
        while not os.waitpid(t.pid, os.WNOHANG)[0]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        t.code = 0


if __name__ == '__main__':
    main(__file__)
