#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The control socket while workers come and go: nobody is refused, and what waits is answered."""
import contextlib
import json
import os
import signal
import socket
import threading
import time

import client
from client import NO_DAEMON, Rpc, connected, kill_worker, look, path_of, run
from peer import IQN, case, main, ram, serve


@case('a verb right after the death of the worker is answered by the next one', own={})
def _(target):
    for generation in range(2, 6):
        kill_worker(target.daemon)
        status = look(target.daemon, 'status')
        assert status['generation'] == generation, status
        assert status['keeper']['worker-deaths'] == generation - 1, status
        assert status['keeper']['last-death'] == 'signal 9 (Killed)', status
    assert 'worker deaths 4, the last by signal 9 (Killed)' in run(target.daemon, 'status')


@contextlib.contextmanager
def at_the_same_time(*functions):
    """Each function is called again and again, in a thread of its own, while the block runs."""
    over = threading.Event()

    def again(function):
        while not over.is_set():
            function()
    threads = [threading.Thread(target=again, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@case('while workers die, no verb that looks ever fails', own={})
def _(target):
    codes = []

    def ask(verb):
        with client.start(target.daemon, verb) as process:
            codes.append((process.communicate(timeout=client.LIMIT)[1], process.returncode))
    with at_the_same_time(lambda: ask('status'), lambda: ask('sessions'), lambda: ask('metrics')):
        for _ in range(5):
            time.sleep(0.3)
            kill_worker(target.daemon)
    assert len(codes) >= 3 and set(codes) == {('', 0)}, set(codes)


@case('while workers die, no connection is refused', own={})
def _(target):
    made, refused = [], []

    def connect():
        try:
            Rpc(path_of(target.daemon)).close()
            made.append(1)
        except OSError as error:
            refused.append(str(error))
    with at_the_same_time(connect, connect):
        for _ in range(5):
            time.sleep(0.2)
            kill_worker(target.daemon)
    assert len(made) > 10 and not refused, refused


@case('while the worker is replaced by SIGUSR2, no verb that looks fails, and it is no death', own={})
def _(target):
    target.daemon.killed_workers = True     # another one than the first
    codes = []
    session = target.login()

    def ask(verb):
        with client.start(target.daemon, verb) as process:
            codes.append((process.communicate(timeout=client.LIMIT)[1], process.returncode))
    with at_the_same_time(lambda: ask('status'), lambda: ask('sessions'), lambda: ask('metrics')):
        for generation in (2, 3, 4):
            target.daemon.signal(signal.SIGUSR2)
            target.daemon.wait_log('ready generation=%d' % generation)
            session.alive()
    assert len(codes) >= 3 and set(codes) == {('', 0)}, set(codes)
    status = look(target.daemon, 'status')
    assert status['generation'] == 4 and status['keeper']['worker-deaths'] == 0, status
    assert [s['id'] for s in look(target.daemon, 'sessions')] == [session.tsih]


@case('a request that waits for a worker is answered when there is one', own={})
def _(target):
    target.daemon.killed_workers = True
    os.kill(target.daemon.wait_for_worker(), signal.SIGSTOP)
    with connected(target.daemon) as rpc:
        identity = rpc.ask('status')
        os.kill(target.daemon.wait_for_worker(), signal.SIGCONT)
        assert rpc.answer()['id'] == identity


@case('connections of the dead worker are closed, and what they had got is whole lines and a rest', own={})
def _(target):
    with connected(target.daemon) as rpc:
        rpc.call('status')
        kill_worker(target.daemon)
        assert rpc.expect_closed() == b''
    clients = [Rpc(path_of(target.daemon)) for _ in range(20)]
    for rpc in clients:
        rpc.call('log.level')
        for _ in range(20):
            rpc.ask('metrics')
    kill_worker(target.daemon)
    for rpc in clients:
        for line in rpc.expect_closed().split(b'\n')[:-1]:
            json.loads(line)
        rpc.close()


@case('a session drop whose worker dies says that its end is not known', own={})
def _(target):
    session = target.login()
    target.daemon.killed_workers = True
    worker = target.daemon.wait_for_worker()
    os.kill(worker, signal.SIGSTOP)
    with client.start(target.daemon, 'session', 'drop', session.tsih) as process:
        time.sleep(0.5)
        os.kill(worker, signal.SIGKILL)
        _, err = process.communicate(timeout=client.LIMIT)
    # not yet accepted by the dead one, the next one does it; else nobody knows
    assert process.returncode in (0, client.REFUSED) or (
        process.returncode == NO_DAEMON and 'not known' in err), (process.returncode, err)


@case('after a stop the socket is gone, and the next daemon makes it anew', alone=True)
def _():
    with serve() as daemon:
        run(daemon, 'status')
        daemon.killed_workers = True    # another one than the first
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0
        run(daemon, 'status', expect=NO_DAEMON)
        assert not os.path.lexists(path_of(daemon))
        daemon.start()
        assert look(daemon, 'status')['generation'] == 1


@case('while the daemon stops, it says so', own={'targets': {IQN: {'portals': ['test'], 'luns': {0: ram()}}}})
def _(target):
    session = target.login()
    with connected(target.daemon) as rpc:
        rpc.call('status')
        target.daemon.signal(signal.SIGTERM)
        session.connection.expect(0x32)
        try:
            assert rpc.call('status')['state'] == 'stopping'
        except AssertionError as closed:
            assert 'closed' in str(closed), closed
        assert target.daemon.wait_exit() == 0


@case('a socket left behind by a killed daemon is replaced', alone=True)
def _():
    with serve(start=False) as daemon:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path_of(daemon))
        daemon.start()
        assert look(daemon, 'status')['state'] == 'serving'
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0


if __name__ == '__main__':
    main(__file__)
