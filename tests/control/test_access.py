#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who may do what, and what may lie where the socket is to be."""
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading

import client
from client import REFUSED, Rpc, as_user, path_of, run
from daemon import Settings
from peer import IQN, Skip, Target, case, file, main, serve

STRANGER, GROUP = 65534, 4242


def need_root():
    if not client.is_root():
        raise Skip('not root: there is nobody else to be')


def reachable(daemon):
    """Others may enter the folders above the socket."""
    folder = daemon.folder
    folder.chmod(0o711)
    if not os.access('/tmp', os.X_OK):
        raise Skip('/tmp is closed')


@case('the socket is there for owner and group only', own={})
def _(target):
    info = os.stat(path_of(target.daemon))
    assert stat.S_ISSOCK(info.st_mode) and stat.S_IMODE(info.st_mode) == 0o660, oct(info.st_mode)


@case('a missing folder is made', alone=True)
def _():
    with serve(start=False, daemon={'control-socket': '$FOLDER/run/holdfast/control.sock'}) as daemon:
        daemon.start()
        try:
            rpc = Rpc(str(daemon.folder / 'run/holdfast/control.sock'))
            assert rpc.call('status')['state'] == 'serving'
            rpc.close()
        finally:
            daemon.signal(15)
            assert daemon.wait_exit() == 0


def refused_start(daemon):
    """The daemon does not start; returns what it says."""
    done = subprocess.run([Settings.daemon, '-c', str(daemon.config_file)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=client.LIMIT, check=False)
    assert done.returncode == 1, done
    return done.stdout


@case('what is no socket is left alone, and the daemon refuses with its place in the file', alone=True)
def _():
    with serve(start=False) as daemon:
        place = daemon.folder / 'control.sock'
        place.write_text('precious', encoding='ascii')
        said = refused_start(daemon)
        assert 'not a socket' in said and '%s:' % daemon.config_file in said, said
        assert place.read_text(encoding='ascii') == 'precious'
        place.unlink()
        place.symlink_to('/nowhere')
        assert 'not a socket' in refused_start(daemon)


@case('a socket that another process listens on is left alone', alone=True)
def _():
    with serve(start=False) as daemon, socket.socket(socket.AF_UNIX) as other:
        other.bind(path_of(daemon))
        other.listen(1)
        assert 'another process' in refused_start(daemon)
        assert os.path.exists(path_of(daemon))


@case('what a daemon that was killed still holds for a moment, address, directory, socket and disk, is waited for', alone=True)
def _():
    with serve({IQN: {'portals': ['test'], 'luns': {0: file('$FOLDER/a.img', '8M')}}}, start=False) as daemon:
        with socket.socket(socket.AF_UNIX) as other, open(daemon.folder / 'a.img', 'wb') as disk:
            other.bind(path_of(daemon))
            other.listen(1000)
            disk.truncate(8 << 20)
            state = os.open(daemon.folder / 'state', os.O_RDONLY | os.O_DIRECTORY)
            for held in (state, disk):
                fcntl.flock(held, fcntl.LOCK_EX)
            port = socket.create_server(daemon.address)
            threading.Timer(0.15, port.close).start()
            threading.Timer(0.3, os.close, [state]).start()
            threading.Timer(0.6, other.close).start()
            threading.Timer(0.9, disk.close).start()
            try:
                daemon.start()
                assert other.fileno() < 0 and disk.closed
                session = Target(daemon.address, IQN, daemon).login()
                session.alive()
                session.close()
                assert IQN in run(daemon, 'targets')
                daemon.signal(signal.SIGTERM)
                assert daemon.wait_exit() == 0
            finally:
                daemon.kill()


@case('a second daemon with the same socket does not take it away', own={})
def _(target):
    with serve(start=False, daemon={'control-socket': path_of(target.daemon)}) as second:
        assert 'another process' in refused_start(second)
    run(target.daemon, 'status')


@case('a stranger cannot connect', own={})
def _(target):
    need_root()
    reachable(target.daemon)
    error = run(target.daemon, 'status', expect=client.NO_DAEMON, **as_user(STRANGER, STRANGER))
    assert 'Permission denied' in error, error


@case('a stranger who is let in may look and change nothing', own={})
def _(target):
    need_root()
    reachable(target.daemon)
    os.chmod(path_of(target.daemon), 0o666)
    session = target.login()
    who = as_user(STRANGER, STRANGER)
    for verb in ('status', 'targets', 'sessions', 'luns', 'portals', 'metrics', 'log'):
        run(target.daemon, verb, **who)
    for words in (['session', 'drop', session.tsih], ['lun', 'resize', IQN, 0, '1G'], ['log', 'debug'],
                  ['reload'], ['upgrade'], ['fence', 'raise']):
        error = run(target.daemon, *words, expect=REFUSED, **who)
        assert 'only root and the group' in error, error
    session.alive()
    assert run(target.daemon, 'log') == 'info\n'


@case('members of the group of the socket may change things, by any of their groups', own={})
def _(target):
    need_root()
    reachable(target.daemon)
    os.chown(path_of(target.daemon), -1, GROUP)
    for who in (as_user(STRANGER, GROUP), as_user(STRANGER, STRANGER, [1, GROUP, 3])):
        session = target.login()
        run(target.daemon, 'session', 'drop', session.tsih, **who)
        session.connection.expect_closed()
    run(target.daemon, 'status', expect=client.NO_DAEMON, **as_user(STRANGER, STRANGER, [1, 3]))


@case('with daemon.user the socket has the group of that user', alone=True)
def _():
    need_root()
    import pwd
    try:
        user = pwd.getpwnam('nobody')
    except KeyError as why:
        raise Skip('no user nobody') from why
    with serve(start=False, targets={IQN: {'portals': ['test'], 'luns': {
            0: {'handler': 'null', 'options': {'size': '1M'}}}}}, daemon={'user': 'nobody'}) as daemon:
        daemon.folder.chmod(0o711)
        if any(not os.stat(folder).st_mode & 0o001 for folder in parents(Settings.plugins[0])):
            raise Skip('the build folder is closed to others')
        shutil.chown(daemon.folder / 'state', user.pw_uid)
        daemon.start()
        try:
            info = os.stat(path_of(daemon))
            assert (info.st_uid, info.st_gid) == (0, user.pw_gid), info
            assert stat.S_IMODE(info.st_mode) == 0o660
            run(daemon, 'log', 'debug', **as_user(user.pw_uid, user.pw_gid))
        finally:
            daemon.signal(15)
            assert daemon.wait_exit() == 0


def parents(path):
    while True:
        yield path
        above = os.path.dirname(path)
        if above == path:
            return
        path = above


if __name__ == '__main__':
    main(__file__)
