# SPDX-License-Identifier: BSD-3-Clause
"""A disk that workers crash over is put aside: nobody tries it before somebody asks for it, and what it holds stays.
The disk is of memory; its handler is that of tests/plugin/poison-ram, which ends the process while a file says so."""
import contextlib
import pathlib
import shutil
import tempfile
import time

import scsi
from absent_cases import GONE, REST, absent, moves, status
from cases import case
from connection import Closed, LIMIT
from dialogue_cases import DATA, OTHER, holds, log_in
from keeper_cases import control
from kill_cases import loads_on
from layout_cases import other
from manager import managed
from server import Server, Settings, file, ram, serving
from tap import Skip
from upgrade_cases import own_binary

ASIDE = 'LUN is put aside, workers have crashed over it'
TARGETS = {REST: {'portals': ['test'], 'luns': {0: file('$FOLDER/rest.img', '64M')}},
           GONE: {'portals': ['test'], 'luns': {0: ram('32M'), 1: file('$FOLDER/other.img', '4M')}}}


@contextlib.contextmanager
def plagued(serve=serving, targets=None):
    """A server whose RAM disks are poisoned, and the file that makes them crash."""
    ours = pathlib.Path(Settings.plugins[0]).resolve().parent / 'tests/plugin/poison-ram/ram.so'
    if not ours.exists():
        raise Skip('no plugin poison-ram beside ' + str(Settings.plugins[0]))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ours, folder)
        path = [folder] + [str(path) for path in Settings.plugins]
        with serve(targets or TARGETS, daemon={'plugin-path': path}) as server:
            server.daemon.killed_workers = True
            yield server, pathlib.Path(folder) / 'plague'


def put_aside(server, plague):
    """By initiators that want their command answered."""
    plague.touch()
    deadline = time.monotonic() + LIMIT
    while ASIDE not in server.log():
        assert time.monotonic() < deadline, 'it is not put aside:\n' + server.tail()
        with contextlib.suppress(Closed, OSError):
            log_in(server, target=GONE).start(scsi.write_10(1000, 8), write=OTHER[:4096])
        time.sleep(0.05)


def opened_again(server, plague, turns):
    """What the disk holds after all that is what was written: before, and by the command that waited."""
    with loads_on(server, (REST, dict(connections=4, depth=4))):
        first = log_in(server, target=GONE)
        first.write(0, DATA[:65536]).good()
        first.write(0, DATA[:4096], lun=1).good()
        put_aside(server, plague)
        session = log_in(server, target=GONE)
        session.alive(1)
        waiting = session.start(scsi.write_10(2000, 8), write=DATA[:4096])
        for turn in turns:
            turn(server)
            assert [found[:2] for found in absent(server)] == [(GONE, 0)]
            assert status(server)['absent-luns'][0]['absent']['quarantined']
            assert moves(server, REST), 'the other target stands still'
            holds(session, 0, DATA[:4096], lun=1)
        plague.unlink()
        assert absent(server), 'it was opened without a request'
        done = control(server, 'lun', 'reopen', GONE, '0')
        assert done.returncode == 0, done.stderr
        if waiting.wait().status == scsi.BUSY:
            session.write(2000, DATA[:4096]).good()
        holds(session, 0, DATA[:65536])
        holds(session, 2000, DATA[:4096])
        for turn in turns:
            turn(server)
            holds(session, 0, DATA[:65536])
        session.close()


@case('put aside: a disk of memory, over kills and upgrades to another layout and back, and a binary is not blamed for '
      'the crashes before it; opened again it holds what was written')
def _(scale):
    with own_binary() as binary, plagued() as (server, plague):
        layouts = [other(), binary.good]

        def upgrade(server):
            binary.put(layouts[server.upgrades % 2])
            server.upgrade()

        opened_again(server, plague, (upgrade, Server.kill) * scale.count(2, 10))
        assert 'keeps crashing' not in server.log()


@case('put aside: a disk of memory, over a restart and the end of keeper and worker; opened again it holds what was '
      'written')
def _(scale):
    with plagued(managed) as (server, plague):
        turns = (lambda server: server.kill_both(scale.random), lambda server: server.restart())
        opened_again(server, plague, turns * scale.count(1, 10))
