#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plugins that are replaced, or are no good, under a service that goes on: one line says which file and why."""
import os
import pathlib
import shutil
import subprocess
import time

import client
from client import REFUSED, look, run
from daemon import Settings
from peer import IQN, case, main, ram
import scsi

CRASHES = 'its constructor crashes: signal 11 (Segmentation fault)'
EXITS = 'its constructor ends the process (exit code 3)'
HANGS = 'its constructor does not return within 5 seconds'
FUTURE = 'built for plugin API 2.'
SHORT = 'struct hf_plugin has 8 bytes'
JUDGES = 'looking at its options crashes: signal 11'
QUICK = (('crashes', CRASHES), ('exits', EXITS), ('future', FUTURE), ('short', SHORT), ('judges', JUDGES))
OWN = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram('8M')}}})
LUN = {'handler': 'replaced', 'options': {'size': '8M'}}


def states():
    return pathlib.Path(Settings.daemon).resolve().parents[1] / 'tests' / 'plugin' / 'replaced'


def put(target, state, name='replaced.so'):
    """As a package manager does it: a new file, then a rename."""
    folder = pathlib.Path(target.daemon.folder) / 'plugins'
    folder.mkdir(exist_ok=True)
    shutil.copy2(states() / ('replaced-%s.so' % state), folder / '.new')
    os.replace(folder / '.new', folder / name)
    return folder / name


def configure(target, lun=None):
    luns = {0: ram('8M')}
    if lun:
        luns[1] = lun
    target.daemon.write_config({IQN: {'portals': ['test'], 'luns': luns}},
                               daemon={'plugin-path': ['$FOLDER/plugins', *map(str, Settings.plugins)]})


def holdfastd(target, *words):
    """Its exit code, standard output and standard error."""
    done = subprocess.run([Settings.daemon, *map(str, words)], capture_output=True, text=True, timeout=60,
                          check=False, env=dict(os.environ, HOLDFAST_PLUGIN_DIR='/nowhere'))
    return done.returncode, done.stdout, done.stderr


def serving(target):
    """With a LUN of the good one; a session that has written to it."""
    put(target, 'good')
    configure(target, LUN)
    run(target.daemon, 'reload')
    session = target.login()
    session.alive(lun=1)
    session.write(0, b'v' * 4096, lun=1).good()
    return session


def in_reserve(target):
    """Waits for the worker that has started with the configuration in effect."""
    log = target.daemon.log().splitlines()
    target.daemon.wait_log(' in reserve ', after=max(n for n, line in enumerate(log) if 'reload: done' in line))


def goes_on(target, session, worker):
    assert target.daemon.workers() == [worker], target.daemon.log()[-4000:]
    assert session.read(0, 8, lun=1).good().data == b'v' * 4096
    session.write(8, b'w' * 4096, lun=1).good()


def refused_upgrade(target):
    with client.start(target.daemon, 'upgrade') as process:
        _, error = process.communicate(timeout=client.LIMIT)
    assert process.returncode == REFUSED, error
    return error


@case('--check, --list-plugins and --describe: one line with file and cause, and the others are listed', own=OWN)
def _(target):
    for state, word in QUICK + (('hangs', HANGS),):
        path = put(target, state)
        configure(target, LUN)
        code, _, error = holdfastd(target, '--check', '-c', target.daemon.config_file)
        lines = [line for line in error.splitlines() if 'replaced' in line]
        assert code == 1 and len(lines) == 1, (state, error)
        assert str(path) in lines[0] and word in lines[0] and 'holdfast.yaml:' in lines[0], lines
        if state in ('judges', 'hangs'):
            continue
        code, out, _ = holdfastd(target, '--list-plugins', '-c', target.daemon.config_file)
        assert code == 1 and '%s: %s' % (path, word) in out and '\nhandler  ram ' in out, out
        code, out, error = holdfastd(target, '--describe', 'replaced', '-c', target.daemon.config_file)
        assert code == 1 and '%s: %s' % (path, word) in error, error
    put(target, 'good')
    code, _, error = holdfastd(target, '--check', '-c', target.daemon.config_file)
    assert code == 0 and error == '', error


@case('a path that cannot be read, and two plugins of one name, are a line each', own=OWN)
def _(target):
    path = put(target, 'good')
    other = path.parent / 'replaced'
    other.mkdir()
    shutil.copy2(path, other / 'replaced.so')
    configure(target, LUN)
    error = run(target.daemon, 'reload', expect=REFUSED)
    assert 'two plugins of one name: %s and %s' % (path, other / 'replaced.so') in error, error
    path.unlink()
    (other / 'replaced.so').unlink()
    (other / 'replaced.so').mkdir()
    for _ in range(2):
        error = run(target.daemon, 'reload', expect=REFUSED)
        assert '%s/replaced.so: ' % other in error and error.count('\n') == 1, error
    os.rmdir(other / 'replaced.so')
    os.symlink(path, other / 'replaced.so')     # to nothing
    error = run(target.daemon, 'reload', expect=REFUSED)
    assert "no handler plugin 'replaced'" in error or 'cannot open' in error, error
    put(target, 'good', 'another.so')
    configure(target, dict(LUN, handler='another'))
    error = run(target.daemon, 'reload', expect=REFUSED)
    assert "calls itself 'replaced', not 'another'" in error, error


@case('a reload to a plugin that crashes, exits or hangs is refused, and nothing notices', own=OWN)
def _(target):
    session, (worker,) = target.login(), target.daemon.workers()
    configure(target, LUN)
    for state, word in QUICK + (('hangs', HANGS),):
        path = put(target, state)
        error = run(target.daemon, 'reload', expect=REFUSED)
        assert str(path) in error and word in error and 'holdfast.yaml:' in error, error
        assert target.daemon.workers() == [worker]
        session.alive(lun=0)
        assert session.command(scsi.report_luns(), read=512).data[3] == 8
    put(target, 'good')
    assert 'add' in run(target.daemon, 'reload')
    session.alive(lun=1)


@case('an upgrade to a plugin that does not load is refused with file and cause; the old worker goes on', own=OWN)
def _(target):
    session, (worker,) = serving(target), target.daemon.workers()
    in_reserve(target)      # with the good one; while none of them gets past its trial it stays
    for state, word in QUICK:
        path = put(target, state)
        error = refused_upgrade(target)
        assert str(path) in error and word in error, error
        goes_on(target, session, worker)
    path.unlink()
    assert "no handler plugin 'replaced'" in refused_upgrade(target)
    goes_on(target, session, worker)


@case('a plugin that was replaced is taken up by an upgrade, with the disk as it was', own=OWN)
def _(target):
    session = serving(target)
    target.daemon.killed_workers = True
    for state in ('better', 'good', 'better'):
        path = put(target, state)
        (before,) = target.daemon.workers()
        inode = os.stat(path).st_ino
        assert inode != mapped(before, path)
        assert look(target.daemon, 'upgrade')['state'] == 'done'
        after = [pid for pid in target.daemon.workers() if pid != before]
        deadline = time.monotonic() + 60
        while target.daemon.workers() != after and time.monotonic() < deadline:
            time.sleep(0.01)
        assert mapped(after[0], path) == inode
        assert session.read(0, 8, lun=1).good().data == b'v' * 4096


def mapped(pid, path):
    """The inode of what a process has loaded from there."""
    for line in pathlib.Path('/proc/%d/maps' % pid).read_text().splitlines():
        words = line.split()
        if len(words) > 5 and words[5] == str(path):
            return int(words[4])
    return None


if __name__ == '__main__':
    main(__file__)
