#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What keeper and worker may do, seen from /proc; and that everything works all the same. Needs root."""
import contextlib
import os
import pathlib
import pwd
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

from client import LIMIT, kill_worker, look, run
from daemon import Settings, free_port
from peer import IQN, Skip, case, file, main, ram, serve
from session import Session
import scsi

USER = 'nobody'
TARGETS = {IQN: {'luns': {0: ram(), 1: file('$FOLDER/state/disk.img')}}}
# capabilities(7), by number
KEEPER = {'CHOWN': 0, 'DAC_OVERRIDE': 1, 'DAC_READ_SEARCH': 2, 'FOWNER': 3, 'KILL': 5, 'SETGID': 6, 'SETUID': 7,
          'SETPCAP': 8, 'NET_BIND_SERVICE': 10, 'NET_ADMIN': 12, 'NET_RAW': 13, 'IPC_LOCK': 14, 'SYS_NICE': 23,
          'SYS_RESOURCE': 24}
TO_BECOME = {'SETGID': 6, 'SETUID': 7, 'SETPCAP': 8}
WORKER_AS_ROOT = {'DAC_OVERRIDE': 1, 'DAC_READ_SEARCH': 2, 'IPC_LOCK': 14}
SETS = ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')


def status_of(path):
    return dict(re.findall(r'(\w+):\s*(.*)', pathlib.Path(path, 'status').read_text(encoding='ascii')))


def sanitized():
    return b'__asan_init' in pathlib.Path(Settings.daemon).read_bytes() or \
        b'__tsan_init' in pathlib.Path(Settings.daemon).read_bytes()


def mask(capabilities):
    return sum(1 << number for number in capabilities.values())


def ours():
    """What this root may do: less than everything in a container."""
    return int(status_of('/proc/self')['CapPrm'], 16)


def needs_root():
    if os.geteuid() != 0 or mask(TO_BECOME) & ~ours():
        raise Skip('needs root')


@contextlib.contextmanager
def served(user=USER, **daemon):
    """A daemon whose worker is `user`, to whom its state directory belongs."""
    needs_root()
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        os.chmod(folder, 0o755)
        state = pathlib.Path(folder, 'state')
        state.mkdir()
        if user:
            daemon['user'] = user
            os.chown(state, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        with serve(folder=folder, targets=TARGETS, daemon=daemon) as started:
            yield started


def threads_of_newest(daemon):
    """The one before it may be on its way out still."""
    deadline = time.monotonic() + 60
    while True:
        worker = ([daemon.wait_for_worker()] + daemon.workers())[-1]
        with contextlib.suppress(OSError):
            threads = list(pathlib.Path('/proc/%d/task' % worker).iterdir())
            if len(threads) > 3:
                return threads
        assert time.monotonic() < deadline, 'no worker has its threads'
        time.sleep(0.02)


def check_worker(daemon, user=USER):
    """Every thread of it."""
    owner = pwd.getpwnam(user or 'root')
    threads = threads_of_newest(daemon)
    for thread in threads:
        status = status_of(thread)
        assert set(map(int, status['Uid'].split())) == {owner.pw_uid}, status['Uid']
        assert set(map(int, status['Gid'].split())) == {owner.pw_gid}, status['Gid']
        if user:
            assert set(map(int, status['Groups'].split())) <= set(os.getgrouplist(user, owner.pw_gid))
        for which in SETS:
            most = 0 if user else mask(WORKER_AS_ROOT)
            assert int(status[which], 16) & ~most == 0, '%s: %s %s' % (status['Name'], which, status[which])
        assert status['NoNewPrivs'] == '1'
        assert sanitized() or status['Seccomp'] == '2', status['Name']


def work(session):
    for lun in (0, 1):
        session.alive(lun=lun)
        session.write(8, b'x' * 4096, lun=lun)
        assert session.read(8, 8, lun=lun).data == b'x' * 4096
        assert session.command(scsi.synchronize_cache(), lun=lun).status == scsi.GOOD


def login(daemon):
    session = Session(daemon.address, IQN, initiator='iqn.2026-11.org.example:sandbox')
    session.login()
    session.command(scsi.test_unit_ready())
    session.command(scsi.test_unit_ready(), lun=1)
    return session


def upgrade(daemon):
    daemon.killed_workers = True
    before = look(daemon, 'status')['keeper']['upgrades']
    daemon.signal(signal.SIGUSR2)
    deadline = time.monotonic() + LIMIT
    while True:
        now = look(daemon, 'status')['keeper']['upgrades']
        assert now['failed'] == before['failed'], daemon.log()
        if now['count'] > before['count']:
            return
        assert time.monotonic() < deadline


def everything(user, port):
    """Work, a death, an upgrade, a resize, metrics: each time with a look at what the worker may do."""
    with served(user, **{'metrics-listen': '127.0.0.1:%d' % port}) as daemon, \
            contextlib.closing(login(daemon)) as session:
        check_worker(daemon, user)
        work(session)
        kill_worker(daemon)
        work(session)
        check_worker(daemon, user)
        upgrade(daemon)
        work(session)
        check_worker(daemon, user)
        run(daemon, 'lun', 'resize', IQN, '1', '128M')
        session.command(scsi.test_unit_ready(), lun=1)
        work(session)
        daemon.wait_log('metrics at http')
        with urllib.request.urlopen('http://127.0.0.1:%d/metrics' % port, timeout=LIMIT) as answer:
            assert answer.read().endswith(b'# EOF\n')
        assert look(daemon, 'status')['keeper']['restarts']['crashes'] == 0
        owner = pwd.getpwnam(user or 'root').pw_uid
        assert (daemon.folder / 'state/disk.img').stat().st_uid == owner


@case('the keeper keeps the few capabilities it needs', alone=True)
def _():
    with served() as daemon:
        status = status_of('/proc/%d' % daemon.process.pid)
        for which in SETS[1:]:
            assert int(status[which], 16) == mask(KEEPER) & ours(), '%s %s' % (which, status[which])
        assert status['NoNewPrivs'] == '1'


@case('a worker that is another user has no rights left, and does everything', alone=True)
def _():
    with free_port() as port:
        everything(USER, port)


@case('a worker of root may read and write files, and does everything', alone=True)
def _():
    with free_port() as port:
        everything(None, port)


@case('without the sandbox system calls are free, and a user has no rights all the same', alone=True)
def _():
    with served(sandbox=False) as daemon, contextlib.closing(login(daemon)) as session:
        status = status_of('/proc/%d' % daemon.wait_for_worker())
        assert status['Seccomp'] == '0' and int(status['CapPrm'], 16) == 0
        assert pwd.getpwuid(int(status['Uid'].split()[0])).pw_name == USER
        work(session)


@case('a user that does not exist is refused with its place in the file', alone=True)
def _():
    needs_root()
    with serve(start=False, daemon={'user': 'holdfast-nobody'}) as daemon:
        for words in (['--check'], []):
            done = subprocess.run([Settings.daemon, *words, '-c', str(daemon.config_file)], timeout=LIMIT, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            assert done.returncode == 1, done
            assert re.search(r"holdfast\.yaml:\d+:\d+: user: there is no user 'holdfast-nobody'", done.stdout), done


if __name__ == '__main__':
    main(__file__)
