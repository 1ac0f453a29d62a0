# SPDX-License-Identifier: BSD-3-Clause
"""SIGUSR2 under load: the worker is replaced by the binary on disk, or goes on when that is no good."""
import contextlib
import os
import pathlib
import shutil
import tempfile
import time

import scsi
from cases import case
from dialogue_cases import log_in
from kill_cases import (ASKED, DIGESTS, FIRST, MUCH_ROOM, QUIET_MARKS, ROOM, SECOND, THIRD, THOUSAND, leave_alone,
                        loads_on, paced, report, targets)
from load import Machine
from reservations import REGISTER_AND_IGNORE, out
from server import IQN, Settings, ram, serving
from tap import Skip

SHARE = [(FIRST, dict(connections=50, depth=4)),
         (SECOND, dict(connections=30, depth=2, block='64K', options=DIGESTS)),
         (THIRD, dict(connections=20, depth=2, block='64K', options=ASKED))]


@contextlib.contextmanager
def own_binary():
    """The daemon runs from a copy of its binary, which can be replaced."""
    before = Settings.daemon
    folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-upgrade.'))
    try:
        Settings.daemon = str(folder / 'holdfastd')
        shutil.copy2(before, Settings.daemon)
        (folder / 'ctl').symlink_to(pathlib.Path(before).resolve().parent / 'ctl')
        yield Binary(folder, before)
    finally:
        Settings.daemon = before
        shutil.rmtree(folder, ignore_errors=True)


class Binary:
    """What lies where the daemon's binary should lie."""

    def __init__(self, folder, good):
        self.path, self.good = folder / 'holdfastd', good
        core = pathlib.Path(good).resolve().parent
        self.tools = next((path for path in (core.parent / 'tests' / 'handover', core)
                           if (path / 'broken').exists()), None)

    def put(self, source):
        """As a package manager does it: a new file, then a rename."""
        new = self.path.with_suffix('.new')
        shutil.copy2(source, new)
        os.replace(new, self.path)

    def put_text(self, data, mode=0o755):
        new = self.path.with_suffix('.new')
        new.write_bytes(data)
        new.chmod(mode)
        os.replace(new, self.path)

    def put_good(self):
        self.put(self.good)

    def put_broken(self, how):
        if not self.tools:
            raise Skip('tests/handover/broken is not built')
        self.path.with_suffix('.mode').write_text('%s\n%s\n%s\n' % (
            self.good, self.tools / 'breaking.so', how), encoding='utf-8')
        self.put(self.tools / 'broken')


def upgrade_under_load(scale, upgrades, wanted, rest=(0.05, 0.5), busy_poll='0', share=None):
    daemon = {'reactors': 2, 'busy-poll': busy_poll}
    quiet = min(upgrades, QUIET_MARKS) if share else 0
    with own_binary() as binary, serving(targets(), daemon=daemon) as server:
        with loads_on(server, *paced(server, wanted, share)) as loads:
            leave_alone(scale, loads, quiet)
            machine = Machine()
            for _ in range(upgrades):
                time.sleep(scale.between(*rest))
                binary.put_good()
                for load in loads:
                    load.mark()
                server.upgrade()
                for load in loads:
                    load.check()
            machine.stop()
            time.sleep(0.3)
        server.check()
        return report(server, loads, machine, quiet)


@case('upgrade: one session, 4k')
def _(scale):
    return upgrade_under_load(scale, scale.count(5, 1000), [(FIRST, dict(depth=16))])


@case('upgrade: 100 sessions, 4k and 64k, RAM and file, with and without digests')
def _(scale):
    return upgrade_under_load(scale, scale.count(5, 1000), SHARE)


@case('upgrade: reactors that busy-poll, few connections and many')
def _(scale):
    return upgrade_under_load(scale, scale.count(3, 300), [
        (FIRST, dict(connections=1, depth=1)),
        (SECOND, dict(connections=2, depth=4, block='64K', options=DIGESTS)),
        (THIRD, dict(connections=12, depth=2, options=ASKED))], busy_poll='50us')


@case('upgrade: 1000 sessions', soak_only=True)
def _(scale):
    return upgrade_under_load(scale, scale.count(3, 1000), THOUSAND)


@case('upgrade: 100 sessions, the machine not full', soak_only=True)
def _(scale):
    return upgrade_under_load(scale, scale.count(3, 1000), SHARE, share=ROOM)


@case('upgrade: 100 sessions, the machine not full: a tenth of the load', soak_only=True)
def _(scale):
    return upgrade_under_load(scale, scale.count(3, 1000), SHARE, share=MUCH_ROOM)


@case('upgrade: 1000 sessions, the machine not full', soak_only=True)
def _(scale):
    return upgrade_under_load(scale, scale.count(3, 1000), THOUSAND, share=ROOM)


@case('upgrade: upgrades and kills, one after the other and into each other')
def _(scale):
    with own_binary() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, *SHARE) as loads:
            for turn in range(scale.count(6, 500)):
                binary.put_good()
                if turn % 2:        # a kill somewhere in the upgrade; whoever is the worker then
                    server.begin_upgrade()
                    time.sleep(scale.between(0, 0.08))
                    server.kill_any(scale.random)
                    server.wait_serving()
                else:
                    server.upgrade()
                    server.kill()
                time.sleep(scale.between(0.2, 0.6))
                for load in loads:
                    load.check()
            time.sleep(0.3)
        server.check()
        return report(server, loads)


# What may lie there, and whether the worker before goes on (True: the same process).
BEFORE_GO = ('abort start', 'exit start', 'abort memory', 'exit memory', 'abort prepared', 'exit prepared',
             'lie prepared', 'layout prepared')
SLOW = ('hang start', 'hang prepared')      # twenty seconds each: the keeper's patience
AFTER_GO = ('abort go', 'exit go', 'abort ready', 'exit ready')
AFTER_READY = ('abort after', 'exit after')


def attempt(server, binary, how, old):
    """One upgrade to something broken; the service goes on, in the end with the good binary."""
    binary.put_broken(how)
    if how in BEFORE_GO + SLOW:
        server.upgrade(good=False)
        server.wait_only(old)
        return
    before = server.log().count('back to the old one')
    server.begin_upgrade()
    server.wait_log('back to the old one', before + 1)
    after = server.log().rindex('back to the old one')
    server.wait_for(lambda text: ' ready generation=' in text[after:])


@case('upgrade: binaries that are none, or break at every step: the service goes on')
def _(scale):
    with own_binary() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, *SHARE) as loads:
            attempts = 0
            steps = list(BEFORE_GO + AFTER_GO + AFTER_READY)
            for turn in range(scale.count(1, 30)):
                if not turn % 10 and scale.soak:
                    steps += SLOW
                old = server.worker()
                for data, mode in ((b'', 0o755), (b'no program\n', 0o755), (b'\x7fELF' + bytes(60), 0o755),
                                   (pathlib.Path(binary.good).read_bytes()[:20000], 0o755),
                                   (pathlib.Path(binary.good).read_bytes(), 0o644)):
                    binary.put_text(data, mode)
                    server.upgrade(good=False)
                    attempts += 1
                binary.path.unlink()
                server.upgrade(good=False)
                attempts += 1
                server.wait_only(old)
                for how in steps:
                    attempt(server, binary, how, server.worker())
                    attempts += 1
                    for load in loads:
                        load.check()
            binary.put_good()
            server.upgrade()
            time.sleep(0.2)
        server.check()
        return '%d broken binaries; %s' % (attempts, report(server, loads))


@case('upgrade: a binary that hangs, before and after it has taken over', soak_only=True)
def _(scale):
    with own_binary() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, *SHARE) as loads:
            for how in SLOW:
                attempt(server, binary, how, server.worker())
            for how in ('hang go', 'hang ready'):
                attempt(server, binary, how, server.worker())
            binary.put_good()
            server.upgrade()
        server.check()
        return report(server, loads)


def plugin_states(daemon):
    core = pathlib.Path(daemon).resolve().parent
    return core.parent / 'tests' / 'plugin' / 'replaced'


@case('upgrade: a handler replaced by another version, again and again')
def _(scale):
    """200 times in the long form; the disk is in the memory that the keeper has."""
    if not (plugin_states(Settings.daemon) / 'replaced-good.so').exists():
        raise Skip('tests/plugin/replaced is not built')
    wanted = dict(connections=8, depth=4, block='16K', read=50, amount='16M')
    with tempfile.TemporaryDirectory(prefix='holdfast-plugins.') as folder:
        path = pathlib.Path(folder) / 'replaced.so'

        def put(state):
            shutil.copy2(plugin_states(Settings.daemon) / ('replaced-%s.so' % state), folder + '/new')
            os.replace(folder + '/new', path)
        put('good')
        disk = {FIRST: {'portals': ['test'],
                        'luns': {0: {'handler': 'replaced', 'options': {'size': '64M'}}}}}
        with serving(disk, daemon={'reactors': 2, 'plugin-path': [folder]}) as server:
            with loads_on(server, (FIRST, wanted)) as loads:
                for turn in range(scale.count(5, 200)):
                    put(('better', 'good')[turn % 2])
                    if turn % 5 == 3:       # one that does not load is refused, and nothing happens
                        old = server.worker()
                        put(('crashes', 'future')[turn % 2])
                        server.upgrade(good=False)
                        server.wait_only(old)
                        put('good')
                    for load in loads:
                        load.mark()
                    server.upgrade()
                    for load in loads:
                        load.check()
                    time.sleep(scale.between(0.02, 0.2))
            server.check()
            return report(server, loads)


SLOW_READ = {'handler': 'fault', 'options': {'of': ram('1M'), 'rules': [{'op': 'read', 'action': 'delay', 'delay': '4s'}]}}


@case('upgrade: one that comes to nothing, and what was set up before is written down')
def _(scale):
    luns = {IQN: {'portals': ['test'], 'luns': {0: ram('1M'), 1: SLOW_READ}}}
    with serving(luns) as server:
        path = server.daemon.folder / 'state' / 'stopped' / ('%s,0' % IQN)
        session = log_in(server)
        session.alive(1)
        for turn in range(1, 1 + scale.count(1, 20)):
            slow = session.start(scsi.read_10(0, 1), read=512, lun=1)
            out(session, REGISTER_AND_IGNORE, 0, turn)
            server.upgrade(good=False)
            slow.good()
            server.daemon.wait_log('did not end in time')
            deadline = time.monotonic() + 60
            while not path.exists() or turn.to_bytes(8, 'big') not in path.read_bytes():
                assert time.monotonic() < deadline, 'registration %d is not written down' % turn
                time.sleep(0.01)
        session.close()
