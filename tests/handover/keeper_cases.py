# SPDX-License-Identifier: BSD-3-Clause
"""The keeper becomes another binary after its worker has: the same process, the same worker, all connections."""
import contextlib
import json
import os
import pathlib
import subprocess
import time

from cases import case
from kill_cases import loads_on, report, targets
from manager import managed
from server import Settings, serving
from service_cases import login
from upgrade_cases import SHARE, own_binary

BECAME, STAYS = 'has become another binary, goes on', 'stays the binary that it is'


def keeper_of(server):
    return server.daemon.process.pid


def runs(server, path):
    """Whether the keeper is this very file."""
    return os.path.samestat(os.stat('/proc/%d/exe' % keeper_of(server)), os.stat(path))


def descriptors(server):
    return len(os.listdir('/proc/%d/fd' % keeper_of(server)))


def replace(server, binary):
    """Worker and keeper; the worker that took over notices nothing of the second step."""
    count = server.log().count(BECAME)
    binary.put_good()
    server.upgrade()
    worker = server.worker()
    server.wait_log(BECAME, count + 1)
    assert runs(server, binary.path)
    assert server.workers() == [worker], 'another worker:\n' + server.tail()


@case('keeper: replaced under load, and the worker killed right after')
def _(scale):
    with own_binary() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        keeper, counts = keeper_of(server), []
        with loads_on(server, *SHARE) as loads:
            times = scale.count(4, 100)
            for turn in range(times):
                time.sleep(scale.between(0.05, 0.4))
                for load in loads:
                    load.mark()
                replace(server, binary)
                counts.append(descriptors(server))
                if turn % 2:
                    server.kill()
                for load in loads:
                    load.check()
            time.sleep(0.3)
        server.check()
        assert keeper_of(server) == keeper and server.daemon.process.poll() is None
        # That of the binary before; one in passing; three of the worker in reserve, when there is one already.
        assert max(counts) <= counts[0] + 5, counts
        return '%d keepers; %s' % (times, report(server, loads))


def control(server, *words):
    beside = pathlib.Path(Settings.daemon).parent
    program = next(path for path in (beside / 'holdfastctl', beside / 'ctl' / 'holdfastctl') if path.exists())
    return subprocess.run([str(program), '--socket', str(server.daemon.folder / 'control.sock'), *words],
                          capture_output=True, text=True, check=False)


def versions(server):
    """Of the worker, and of the keeper."""
    status = json.loads(control(server, '--json', 'status').stdout)
    return status['version'], status['keeper']['version']


@contextlib.contextmanager
def with_control():
    """A binary of one's own, with holdfastctl beside it."""
    real = pathlib.Path(Settings.daemon).resolve().parent / 'ctl' / 'holdfastctl'
    with own_binary() as binary:
        (binary.path.parent / 'holdfastctl').symlink_to(real)
        yield binary


def other_version(binary):
    """The same binary but for its version."""
    data = pathlib.Path(binary.good).read_bytes()
    old = b'holdfastd 0.1.0'
    assert old in data
    binary.put_text(data.replace(b'0.1.0', b'9.1.0'))


@case('keeper: the versions that run are shown; --worker-only leaves the keeper alone')
def _(_scale):
    with with_control() as binary, serving() as server:
        server.daemon.killed_workers = True
        one = login(server)
        assert versions(server) == ('0.1.0', '0.1.0')
        other_version(binary)
        done = control(server, 'upgrade', '--worker-only')
        assert done.returncode == 0, done.stderr
        assert versions(server) == ('9.1.0', '0.1.0')
        one.alive()
        binary.put_good()
        done = control(server, 'upgrade')
        assert done.returncode == 0, done.stderr
        assert versions(server) == ('0.1.0', '0.1.0')
        other_version(binary)
        done = control(server, '--json', 'upgrade')
        assert done.returncode == 0 and json.loads(done.stdout)['keeper'] == 'done', done
        assert versions(server) == ('9.1.0', '9.1.0')
        one.alive()
        login(server).alive()       # it accepts
        server.daemon.signal(1)     # and reloads
        server.wait_log('reload: done')
        server.kill()
        one.alive()


@case('keeper: binaries that are a worker, but no keeper')
def _(scale):
    with with_control() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        server.daemon.killed_workers = True
        keeper = keeper_of(server)
        ways = ['abort trial', 'exit trial'] + (['hang trial'] if scale.soak else [])
        with loads_on(server, *SHARE) as loads:
            for how in ways * scale.count(1, 10):
                before = server.log().count(STAYS)
                binary.put_broken(how)
                done = control(server, 'upgrade')
                assert done.returncode == 1 and 'the keeper stays what it was' in done.stderr, done
                assert server.log().count(STAYS) == before + 1
                for load in loads:
                    load.check()
            binary.put_broken('fail keeper')
            done = control(server, 'upgrade')
            assert done.returncode == 1 and 'could not go on' in done.stderr, done
            assert 'back to the one before' in server.log() and keeper_of(server) == keeper
            for load in loads:
                load.check()
            replace(server, binary)
            time.sleep(0.2)
        server.check()
        return report(server, loads)


def settled(server):
    """What the manager keeps when there is one connection and one worker, but for its tombstone."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        names = server.manager.names()
        kinds = [name.split('.')[0] for name in names]
        if kinds.count('connection') == kinds.count('tombstone') == 1:
            return sorted(name for name in names if not name.startswith('tombstone.'))
        time.sleep(0.01)
    raise AssertionError(names)


@case('keeper: replaced under a service manager that keeps its descriptors; then all are killed')
def _(scale):
    with own_binary() as binary, managed(daemon={'reactors': 2}) as server:
        server.manager.wait_told('READY=1')
        one = login(server)
        for _ in range(scale.count(2, 50)):
            names = settled(server)
            replace(server, binary)
            assert settled(server) == names
            one.alive()
            server.kill_both(scale.random)
            one.alive()
            login(server).close()
        one.close()
