# SPDX-License-Identifier: BSD-3-Clause
"""The handler nbd under load: its server is killed and started again, the worker is killed, both at once.
The load generator judges: what was written is there, no command fails, no connection is lost."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from cases import case
from kill_cases import loads_on, report
from server import IQN, LIMIT, Settings, serving
from tap import Skip

DISK = 64 << 20


def handler_is_there():
    return any(list(pathlib.Path(folder).glob('nbd.so')) + list(pathlib.Path(folder).glob('*/nbd.so'))
               for folder in Settings.plugins)


class NbdServer:
    """nbdkit or qemu-nbd on a file, on a UNIX socket; the file stays when the server is killed."""

    def __init__(self, folder, program):
        self.disk, self.socket = folder + '/disk', folder + '/socket'
        self.program, self.process = program, None
        self.resize(DISK)

    def resize(self, size):
        with open(self.disk, 'ab') as disk:
            disk.truncate(size)

    def command(self):
        if self.program == 'nbdkit':
            return ['nbdkit', '-f', '-U', self.socket, 'file', self.disk]
        return ['qemu-nbd', '--persistent', '--shared=16', '--format=raw', '--discard=unmap',
                '--socket=' + self.socket, self.disk]

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        self.process = subprocess.Popen(self.command(), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + LIMIT
        while not os.path.exists(self.socket):
            assert time.monotonic() < deadline and self.process.poll() is None, 'no NBD server'
            time.sleep(0.005)
        os.chmod(self.socket, 0o666)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None


@contextlib.contextmanager
def nbd_server(program='nbdkit'):
    if not handler_is_there():
        raise Skip('the handler nbd is not built: there is no libnbd')
    if not shutil.which(program):
        raise Skip('there is no %s here' % program)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = NbdServer(folder, program)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def over(server, **options):
    uri = 'nbd+unix:///?socket=' + server.socket
    return {IQN: {'portals': ['test'],
                  'luns': {0: {'handler': 'nbd', 'options': dict({'uri': uri}, **options)}}}}


def server_outages(scale, program, count, **options):
    with nbd_server(program) as nbd, serving(over(nbd, **options), daemon={'reactors': 2}) as server:
        with loads_on(server, (IQN, dict(connections=3, depth=8, block='16K'))) as loads:
            for number in range(count):
                time.sleep(scale.between(0.1, 0.4))
                nbd.kill()
                time.sleep(scale.between(0.0, 0.5))
                nbd.start()
                server.wait_log(' again after ', number + 1)
                for load in loads:
                    load.check()
            time.sleep(0.3)
        server.check()
        return '%d times without the server; %s' % (count, report(server, loads))


@case('nbd: nbdkit is killed and started again')
def _(scale):
    return server_outages(scale, 'nbdkit', scale.count(4, 300))


@case('nbd: qemu-nbd is killed and started again, one connection')
def _(scale):
    return server_outages(scale, 'qemu-nbd', scale.count(3, 300), connections=1, unmap='zeroes')


@case('nbd: the worker is killed, and replaced')
def _(scale):
    with nbd_server() as nbd, serving(over(nbd), daemon={'reactors': 2}) as server:
        with loads_on(server, (IQN, dict(connections=3, depth=8, block='16K'))) as loads:
            for number in range(scale.count(4, 300)):
                time.sleep(scale.between(0.1, 0.4))
                (server.upgrade if number % 2 else server.kill)()
            time.sleep(0.3)
        server.check()
        return report(server, loads)


@case('nbd: the worker is killed while the server is away')
def _(scale):
    with nbd_server() as nbd, serving(over(nbd), daemon={'reactors': 2}) as server:
        with loads_on(server, (IQN, dict(connections=2, depth=8, block='16K'))) as loads:
            for _ in range(scale.count(2, 100)):
                time.sleep(scale.between(0.1, 0.4))
                nbd.kill()
                server.kill()
                nbd.start()
                server.wait_serving()
                time.sleep(0.2)
            time.sleep(0.3)
        assert 'the LUN is as it was known' in server.log(), server.tail()
        server.check()
        return report(server, loads)
