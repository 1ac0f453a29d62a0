# SPDX-License-Identifier: BSD-3-Clause
"""Logins by the thousand: with and without CHAP, while others work, beside sockets that do not mean to log
in; and the case that started it all: everybody comes back at once after a stop and a start."""
import os
import signal
import subprocess
import time

from cases import case
from load import FIGURE, LIMIT, Load
from server import IQN, file, ram, serving

CHAP = 'iqn.2026-11.org.example:chap'
USER, SECRET = 'host1', 'a secret of nineteen'
ADDRESSES = 20      # of 127.0.1.x, so that no limit of one address is met
TARGETS = {IQN: {'portals': ['test'], 'luns': {0: ram('256M')}},
           CHAP: {'portals': ['test'], 'auth': 'lab', 'luns': {0: ram('16M')}}}
OPEN = dict(daemon={'log-level': 'notice'},     # not a line for each login
            files={'secret': SECRET},
            auth={'lab': {'plugin': 'chap', 'options': {
                'users': [{'name': USER, 'secret-file': '$FOLDER/secret'}]}}})


def storm(server, count, target=IQN, options=()):
    """So many logins at once, each from a host of its own. Returns what the generator said of it."""
    command = [Load.program, '--address', '%s:%d' % server.address, '--target', target, '--storm', str(count),
               '--addresses', str(ADDRESSES), '--initiator', 'iqn.2026-11.org.example:storm'] + list(options)
    if target == CHAP:
        command += ['--chap', '%s:%s' % (USER, SECRET)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {key: float(value) for key, value in FIGURE.findall(done.stdout)}
    assert figures['logged_in'] == count and not figures['failed'], done.stdout
    return figures


def in_words(name, count, figures):
    return '%s %d in %.0f ms (p99 %.0f)' % (name, count, figures['ms'], figures['p99_ms'])


def storms(counts):
    with serving(TARGETS, **OPEN) as server:
        load = Load(server, IQN, connections=4, depth=4)
        try:
            load.wait_running()
            told = []
            for count in counts:
                told.append(in_words('open', count, storm(server, count)))
                told.append(in_words('CHAP', count, storm(server, count, CHAP)))
            load.finish()
        finally:
            load.kill()
        server.check()
        return ', '.join(told)


@case('storm: 200 logins at once, and with CHAP, while others work')
def _(_scale):
    return storms([200])


@case('storm: 1000 and 5000 logins at once, and with CHAP, while others work', soak_only=True)
def _(_scale):
    return storms([1000, 5000])


@case('storm: logins beside sockets that say nothing, or one byte a second')
def _(scale):
    hostile = scale.count(100, 500)
    with serving(TARGETS, **OPEN) as server:
        options = ['--silent', str(hostile), '--drip', str(hostile), '--hold', '2']
        told = [in_words('open', 200, storm(server, 200, options=options)),
                in_words('CHAP', 200, storm(server, 200, CHAP, options))]
        return ', '.join(told)


@case('storm: as many hostile sockets as there may be logins: they give way')
def _(scale):
    config = dict(OPEN, daemon=dict(OPEN['daemon'], **{'max-logins': 100, 'login-timeout': '60s'}))
    with serving(TARGETS, **config) as server:
        quiet = subprocess.Popen([Load.program, '--address', '%s:%d' % server.address, '--target', IQN,
                                  '--storm', '1', '--silent', '400', '--hold', '30'],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            server.wait_log('connection not let in reason=')
            time.sleep(1.1)     # who has been silent for a second gives way
            return in_words('open', 50, storm(server, 50))
        finally:
            quiet.kill()
            quiet.wait()


def stop_and_start(server, down):
    server.daemon.killed_workers = True     # there will be others
    server.daemon.signal(signal.SIGTERM)
    assert server.daemon.wait_exit() == 0, server.tail()
    time.sleep(down)
    server.daemon.start()


def die_and_start(server, down):
    """Keeper and worker are killed, and nobody keeps their descriptors."""
    server.daemon.killed_workers = True
    for pid in [server.daemon.process.pid] + server.workers():
        os.kill(pid, signal.SIGKILL)
    server.daemon.process.wait(LIMIT)
    time.sleep(down)
    server.daemon.start()


def come_back(scale, end_and_start):
    """The hosts have commands under way, and no command may fail: what one wrote is there afterwards."""
    sessions, rounds = scale.count(100, 300), scale.count(2, 10)
    targets = {IQN: {'portals': ['test'], 'luns': {0: file('$FOLDER/disk.img', '256M')}}}
    with serving(targets, daemon=OPEN['daemon']) as server:
        load = Load(server, IQN, connections=sessions, depth=2,
                    options=['--come-back', '--addresses', str(ADDRESSES)])
        try:
            load.wait_running()
            for turn in range(rounds):
                time.sleep(scale.between(0.1, 0.5))
                end_and_start(server, scale.between(0.0, 1.0))
                wait_back(load, turn + 1)
            figures = load.finish()
        finally:
            load.kill()
        assert figures['returns'] >= sessions * rounds, figures
        times = [line for line in load.said.splitlines() if line.startswith('back=')]
        return '%d sessions, %d rounds, %d commands, last: %s' % (
            sessions, rounds, figures['commands'], times[-1])


def wait_back(load, count):
    """Until all sessions have been back so many times."""
    deadline = time.monotonic() + LIMIT
    while load.text().count('back=') < count:
        load.check()
        assert time.monotonic() < deadline, 'they do not come back: ' + load.text()
        time.sleep(0.01)


@case('storm: the target stops and starts, and every host comes back at once')
def _(scale):
    return come_back(scale, stop_and_start)


@case('storm: keeper and worker are killed, and every host comes back to the next ones')
def _(scale):
    return come_back(scale, die_and_start)
