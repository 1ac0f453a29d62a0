# SPDX-License-Identifier: BSD-3-Clause
"""Disks that are absent and hang as they are opened: nobody waits for them. The handler `poison` of tests/plugin/poison
does what the file `plague` says."""
import contextlib
import pathlib
import signal
import time

import scsi
from absent_cases import ABSENT, BACK, GONE, REST, Disk, absent
from cases import case
from dialogue_cases import DATA, log_in
from server import IQN, Settings, file, ram, serving
from tap import Skip

MANY = IQN + '-many'


def poison():
    return {'handler': 'poison', 'options': {'plague': '$FOLDER/plague'}}


@contextlib.contextmanager
def plagued(targets):
    """A server, and the file that its poison looks at."""
    ours = pathlib.Path(Settings.daemon).resolve().parent.parent / 'tests' / 'plugin' / 'poison'
    if not ours.exists():
        raise Skip('no plugin poison beside ' + str(Settings.daemon))
    with serving(targets, daemon={'plugin-path': [str(path) for path in (*Settings.plugins, ours)]}) as server:
        plague = server.daemon.folder / 'plague'
        try:
            yield server, plague
        finally:
            with contextlib.suppress(OSError):
                plague.unlink()


@case('absent: 240 at once, 40 of which hang as they are tried: the others come back, and the daemon ends')
def _(scale):
    hanging, others = 40, 200
    with plagued({GONE: {'portals': ['test'], 'luns': {i: poison() for i in range(hanging)}},
                  MANY: {'portals': ['test'],
                         'luns': {i: file('$FOLDER/disk%d.img' % i, '1M') for i in range(others)}},
                  REST: {'portals': ['test'], 'luns': {0: ram('4M')}}}) as (server, plague):
        disks, session = [Disk(server, 'disk%d.img' % i) for i in range(others)], log_in(server, target=MANY)
        session.write(0, DATA[:4096], lun=others - 1).good()
        for disk in disks:
            disk.take()
        plague.write_text('f')
        server.kill()
        server.wait_log(ABSENT, hanging + others)
        plague.write_text('h')
        waiting = session.start(scsi.read_10(0, 8), read=4096, lun=others - 1)
        time.sleep(2)   # some of those that hang are being tried
        for disk in disks:
            disk.put()
        server.wait_log(BACK, others)
        assert waiting.good().data == DATA[:4096]
        assert len(absent(server)) == hanging
        server.check()
        session.close()
        server.daemon.process.send_signal(signal.SIGTERM)
        assert server.daemon.process.wait(60) == 0


@case('absent: a disk hangs as workers are killed, and replaced by an upgrade: the others go on')
def _(scale):
    with plagued({GONE: {'portals': ['test'], 'luns': {0: poison(), 1: ram('4M'), 2: poison()}},
                  REST: {'portals': ['test'], 'luns': {0: ram('4M')}}}) as (server, plague):
        session, rest = log_in(server, target=GONE), log_in(server, target=REST)
        session.read(0, 8).good()
        plague.write_text('h')
        server.kill()
        server.wait_log(ABSENT, 2)
        waiting = session.start(scsi.read_10(0, 8), read=4096)
        for replace in (server.kill, server.upgrade, server.kill):
            replace()
            rest.write(0, DATA[:4096]).good()
            session.command(scsi.write_10(0, 8), write=DATA[:4096], lun=1).good()
        assert len(absent(server)) == 2
        plague.unlink()
        waiting.good()
        server.wait_log(BACK, 2)
        assert not absent(server)
        server.check()
        session.close()
        rest.close()
