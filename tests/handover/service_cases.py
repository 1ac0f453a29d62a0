# SPDX-License-Identifier: BSD-3-Clause
"""The service as a whole: keeper and worker die together, or it is restarted, and the service manager
(manager.py) has kept their descriptors."""
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import session as dialogue
from cases import case
from kill_cases import FIRST, loads_on, report, targets
from manager import managed
from server import IQN, Settings
from tap import Skip
from upgrade_cases import SHARE


HERE = pathlib.Path(__file__).resolve().parents[2] / 'conf' / 'systemd'


def login(server, iqn=IQN):
    one = dialogue.Session(server.address, iqn)
    one.login()
    one.alive()
    return one


def kill_everything(scale, times, wanted):
    with managed(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, *wanted) as loads:
            for _ in range(times):
                time.sleep(scale.between(0.05, 0.5))
                for load in loads:
                    load.mark()
                server.kill_both(scale.random)
                for load in loads:
                    load.check()
            time.sleep(0.3)
        server.check()
        assert not server.manager.refused
        return '%d times keeper and worker; %s' % (server.restarts, report(server, loads))


@case('service: keeper and worker killed, one session')
def _(scale):
    return kill_everything(scale, scale.count(4, 100), [(FIRST, dict(depth=16))])


@case('service: keeper and worker killed, 100 sessions, RAM and file, with and without digests')
def _(scale):
    return kill_everything(scale, scale.count(4, 100), SHARE)


def restart_under_load(scale, times, wanted):
    with managed(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, *wanted) as loads:
            for _ in range(times):
                time.sleep(scale.between(0.05, 0.5))
                for load in loads:
                    load.mark()
                server.restart()
                for load in loads:
                    load.check()
            time.sleep(0.3)
        server.check()
        held = server.log().count('holding still took')
        return '%d restarts, %d held still; %s' % (server.restarts, held, report(server, loads))


@case('service: restarts that leave everything to the manager, 100 sessions')
def _(scale):
    return restart_under_load(scale, scale.count(4, 100), SHARE)


@case('service: restarts, keepers and kills after a reload: connections are those of the listener before')
def _(scale):
    with managed() as server:
        one = login(server)
        for turn, act in enumerate((server.restart, lambda: server.kill_both(scale.random), server.upgrade)):
            text = server.daemon.config_file.read_text(encoding='utf-8')
            server.daemon.config_file.write_text(text + '# %d\n' % turn, encoding='utf-8')
            server.daemon.signal(1)
            server.wait_log('reload: done', turn + 1)
            act()
            one.alive()
            another = login(server)
            another.close()
        server.check()
        one.close()


@case('service: a restart while the worker is stuck, and while it starts')
def _(scale):
    with managed() as server:
        one = login(server)
        os.kill(server.worker(), 19)
        server.restart()
        one.alive()
        os.kill(server.worker(), 9)
        time.sleep(scale.between(0, 0.02))
        server.restart()
        one.alive()
        one.close()


@case('service: a stop ends sessions in order, though descriptors are kept')
def _(_scale):
    with managed() as server:
        one = login(server)
        server.daemon.signal(15)
        one.connection.expect(0x32)
        server.daemon.wait_exit()
        server.start_again()
        login(server).alive()


@case('service: the watchdog hears of us as long as we live')
def _(_scale):
    with managed(watchdog=0.2) as server:
        server.manager.wait_told('WATCHDOG=1', 5)
        server.kill()
        told = server.manager.told.count(('WATCHDOG', '1'))
        server.manager.wait_told('WATCHDOG=1', told + 3)


def wait_for_names(server, count):
    deadline = time.monotonic() + 30
    while len(server.manager.names()) != count:
        assert time.monotonic() < deadline, server.manager.names()
        time.sleep(0.01)


def wait_for_no_connection(server):
    deadline = time.monotonic() + 30
    while any(name.startswith('connection.') for name in server.manager.names()):
        assert time.monotonic() < deadline, server.manager.names()
        time.sleep(0.01)


@case('service: what the manager keeps is what there is: it comes and goes with connections')
def _(_scale):
    with managed() as server:
        server.manager.wait_told('READY=1')     # all before it was heard, too
        wait_for_no_connection(server)          # whoever tried whether it listens
        names = server.manager.names()
        for name in ('state.0', 'config.0', 'control.0', 'listener.1', 'tombstone.1'):
            assert names.count(name) == 1, names
        assert sum(name.startswith('memory.') for name in names) >= 4, names
        sessions = [login(server) for _ in range(3)]
        wait_for_names(server, len(names) + 3)
        kept = [name for name in server.manager.names() if name.startswith('connection.')]
        assert len(kept) == 3 == len(set(kept)), kept
        sessions[1].close()
        wait_for_names(server, len(names) + 2)
        server.kill()
        for one in (sessions[0], sessions[2], login(server)):
            one.alive()
            one.close()
        server.manager.wait_told('READY=1')
    assert ('STOPPING', '1') in server.manager.told, server.manager.told


@case('service: a manager without room: initiators log in again')
def _(scale):
    with managed(limit=3) as server:
        one = login(server)
        assert server.manager.refused
        server.kill_both(scale.random)
        try:
            assert one.connection.socket.recv(1) == b''
        except ConnectionResetError:
            pass
        login(server).alive()


def holds(pid, one):
    """Whether a process has this socket open."""
    folder = '/proc/%d/fd' % pid
    with contextlib.suppress(OSError):
        return 'socket:[%d]' % os.fstat(one.fileno()).st_ino in (
            os.readlink('%s/%s' % (folder, name)) for name in os.listdir(folder))
    return False


@case('service: systemd finds nothing wrong with the units')
def _(_scale):
    analyze = shutil.which('systemd-analyze')
    core = pathlib.Path(Settings.daemon).resolve().parent
    unit, activation = core.parent / 'conf' / 'holdfast.service', HERE / 'holdfast.socket'
    if not analyze or not unit.exists() or not activation.exists():
        raise Skip('no systemd-analyze, or no units in this build')
    with tempfile.TemporaryDirectory() as folder:
        text = unit.read_text(encoding='utf-8')
        text = re.sub(r'^ExecStart=\S+', 'ExecStart=' + Settings.daemon, text, flags=re.M)
        (pathlib.Path(folder) / unit.name).write_text(text, encoding='utf-8')
        shutil.copy(activation, folder)
        done = subprocess.run([analyze, 'verify', '--man=no'] + [
            folder + '/' + name for name in (unit.name, activation.name)],
            capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr


@case('service: sockets of socket activation are the portals, and stay so')
def _(scale):
    made = []

    def listening(address):
        made.append(socket.create_server(address, backlog=16))
        return [('holdfast.socket', made[0])]
    with managed(sockets=listening) as server:
        assert holds(server.daemon.process.pid, made[0])
        one = login(server)
        server.kill_both(scale.random)
        assert holds(server.daemon.process.pid, made[0])
        one.alive()
        login(server).alive()
        made[0].close()
