# SPDX-License-Identifier: BSD-3-Clause
"""Nothing answers a login before every target is up: an initiator that comes too early waits, and is never told
that its target does not exist. The worker is stopped (SIGSTOP) on its way to being ready."""
import os
import signal
import socket
import threading
import time

from cases import case
from server import IQN, LIMIT, Server, dialogue_daemon, ram, serving
from session import OPERATIONAL, SECURITY, Session

NAMES = [IQN + '%d' % number for number in range(60)]
TARGETS = {name: {'portals': ['test'], 'luns': {0: ram('1M')}} for name in NAMES}


def enter(server, name):
    session = Session(server.address, name)
    session.login()
    session.alive()
    session.logout()
    session.close()


def stop_before_ready(server, not_among):
    """Stops the next worker; None when it was quicker than we are."""
    before = server.ready_count()
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        for pid in server.workers():
            if pid in not_among:
                continue
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.05)
            if server.ready_count() == before:
                return pid
            os.kill(pid, signal.SIGCONT)
            return None
    raise AssertionError('no worker')


def kill_and_stop_next(server):
    for _ in range(50):
        old = server.kill_now()
        pid = stop_before_ready(server, [old])
        if pid:
            return pid
        server.wait_serving()
    raise AssertionError('always ready before it can be stopped')


@case('ready: a login that comes before the targets are up waits for them')
def _(scale):
    with serving(TARGETS) as server:
        rounds = scale.count(3, 30)
        for turn in range(rounds):
            pid = kill_and_stop_next(server)
            early = [Session(server.address, name) for name in (NAMES[0], NAMES[turn], NAMES[-1])]
            for session in early:
                session.login_request(session.connect(), SECURITY, OPERATIONAL,
                                      dict(session.identity(), AuthMethod='None'))
            try:
                pdu = early[0].connection.receive(0.5)
                raise AssertionError('answered before the targets are up: %r' % pdu)
            except TimeoutError:
                pass
            os.kill(pid, signal.SIGCONT)
            for session in early:
                assert session.login_response(session.connection).login_status == 0
                session.close()
        for name in (NAMES[0], NAMES[-1]):
            enter(server, name)
        return '%d rounds' % rounds


@case('ready: at the first start nobody gets in before the targets are up')
def _(_scale):
    with dialogue_daemon.serve(TARGETS, start=False) as daemon:
        for _ in range(20):
            thread = threading.Thread(target=daemon.start)
            thread.start()
            while not daemon.process:
                time.sleep(0.001)
            server = Server(daemon)
            pid = stop_before_ready(server, [])
            if pid:
                with socket.socket() as early:
                    assert early.connect_ex(daemon.address), 'let in before the targets are up'
                os.kill(pid, signal.SIGCONT)
            thread.join()
            enter(server, NAMES[-1])
            daemon.signal(signal.SIGTERM)
            assert daemon.wait_exit() == 0, daemon.log()[-4000:]
            if pid:
                return
            daemon.process = None
            daemon.log_file.unlink()
        raise AssertionError('always ready before it can be stopped')
