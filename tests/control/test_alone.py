#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One daemon a state directory: the second one does not start, whatever becomes of workers and binaries."""
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

import client
from client import kill_worker, look, run
from daemon import Settings, free_port
from peer import IQN, Skip, case, main, ram, serve

TARGETS = {IQN: {'luns': {0: ram('8M')}}}


def start_second(folder, state, **daemon):
    """What becomes of a daemon with this state directory that would listen elsewhere."""
    path = pathlib.Path(folder) / 'second.yaml'
    words = ''.join('  %s: %s\n' % pair for pair in daemon.items())
    with free_port() as port:
        path.write_text('version: 1\ndaemon:\n  state-directory: %s\n  control-socket: %s/second.sock\n%s'
                        'portals: { a: { listen: ["127.0.0.1:%d"] } }\ntargets: {}\n' % (state, folder, words, port),
                        encoding='utf-8')
    return subprocess.Popen([Settings.daemon, '-c', str(path)], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def refuse_second(daemon, state=None):
    state = state or daemon.folder / 'state'
    process = start_second(daemon.folder, state)
    out, err = process.communicate(timeout=client.LIMIT)
    assert process.returncode == 1 and not out, (process.returncode, out, err)
    line, = err.splitlines()
    assert '/second.yaml:3:20: another holdfastd (process %d) has the state directory %s' % (
        daemon.process.pid, state) in line, line


def starts(folder, state, **daemon):
    """A second daemon comes up there, and ends in order."""
    process = start_second(folder, state, **daemon)
    deadline = time.monotonic() + client.LIMIT
    while not (pathlib.Path(folder) / 'second.sock').exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()     # the worker may just be starting
    _, err = process.communicate(timeout=client.LIMIT)
    assert 'does not end' not in err, err
    assert process.returncode == 0, (process.returncode, err)


@case('a second daemon is refused, under any name of the directory; the first one does not notice', own={'targets': TARGETS})
def _(target):
    session = target.login()
    refuse_second(target.daemon)
    link = target.daemon.folder / 'link'
    link.symlink_to(target.daemon.folder / 'state')
    refuse_second(target.daemon, link)
    session.alive()
    starts(target.daemon.folder, target.daemon.folder / 'other')


@case('also after the worker was killed, and after keeper and worker have become another binary', own={'targets': TARGETS})
def _(target):
    session = target.login()
    kill_worker(target.daemon)
    refuse_second(target.daemon)
    binary = target.daemon.folder / 'copy'
    shutil.copy2(Settings.daemon, binary)
    for to in (binary, Settings.daemon):    # and back
        run(target.daemon, 'upgrade', to)
        assert look(target.daemon, 'status')['keeper']['replaced'] >= 1
        refuse_second(target.daemon)
        session.alive()


@case('the lock goes with the keeper, however that ends', alone=True)
def _():
    for end in (signal.SIGTERM, signal.SIGKILL):
        with serve(TARGETS) as daemon:
            daemon.killed_workers = True
            refuse_second(daemon)
            daemon.process.send_signal(end)
            daemon.process.wait(client.LIMIT)
            starts(daemon.folder, daemon.folder / 'state')
            daemon.start()


@case('a directory that is not there is made for the user', alone=True)
def _():
    if not client.is_root():
        raise Skip('not root: there is nobody else to be')
    nobody = pwd.getpwnam('nobody')
    with serve(TARGETS) as daemon:
        daemon.folder.chmod(0o711)
        state = daemon.folder / 'new/state'
        starts(daemon.folder, state, user='nobody')
        made = state.stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o7777) == (nobody.pw_uid, nobody.pw_gid, 0o700)


if __name__ == '__main__':
    main(__file__)
