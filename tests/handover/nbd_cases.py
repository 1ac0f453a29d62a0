# SPDX-License-Identifier: BSD-3-Clause
"""The handler nbd under load: its server is killed and started again, the worker is killed, both at once.
The load generator judges: what was written is there, no command fails, no connection is lost."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import scsi
from cases import case
from dialogue_cases import log_in
from kill_cases import loads_on, report
from server import IQN, LIMIT, Settings, ram, serving
from tap import Skip

DISK = 64 << 20
BUSY = 0x08


def until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, 'it does not come'
        time.sleep(0.02)


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
        os.chmod(self.disk, 0o666)

    def command(self):
        if self.program == 'nbdkit':
            # One thread a connection: with more, 1.32 aborts (connections.c, sock >= 0) when a client goes
            # while two of them answer it.
            return ['nbdkit', '-t', '1', '-f', '-U', self.socket, 'file', self.disk]
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

    def stop(self):
        """Until SIGCONT; returns when each of its threads stands still."""
        self.process.send_signal(signal.SIGSTOP)
        threads = pathlib.Path('/proc/%d/task' % self.process.pid)
        until(lambda: all(') T ' in path.read_text(encoding='ascii') for path in threads.glob('*/stat')))

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
            assert not server.process or server.process.poll() is None, \
                'the NBD server has ended by itself: %d' % server.process.returncode
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


@case('nbd: the server of many disks hangs while workers are killed: nobody waits for it, and it is a disk again later')
def _(_scale):
    with nbd_server() as nbd:
        disks = over(nbd)
        luns = disks[IQN]['luns']
        luns.update({number: luns[0] for number in range(2, 22)})
        luns[1] = ram('8M')
        with serving(disks) as server:
            session = log_in(server)
            session.write(0, b'a' * 4096).good()
            nbd.stop()
            waits = session.start(scsi.write_10(8, 8), write=b'b' * 4096)
            for _ in range(2):
                server.kill()
                session.write(0, b'y' * 4096, lun=1).good()
            assert server.log().count('the LUN is as it was known') == 42, server.tail()
            assert not waits.done
            nbd.process.send_signal(signal.SIGCONT)
            waits.good()
            assert session.read(0, 16, lun=21).good().data == b'a' * 4096 + b'b' * 4096
            server.check()
            session.close()


@case('nbd: a server that hangs is busy for initiators that are to hear so, and a disk again when it goes on')
def _(scale):
    with nbd_server() as nbd:
        disks = over(nbd)
        disks[IQN]['luns'][0].update({'deadline': '300ms', 'when-late': 'busy'})
        with serving(disks) as server:
            session = log_in(server)
            session.write(0, b'a' * 4096).good()
            nbd.stop()
            assert session.write(0, b'b' * 4096).status == BUSY
            assert session.read(8, 8).status == BUSY
            nbd.process.send_signal(signal.SIGCONT)
            until(lambda: session.read(0, 8).status == 0)
            assert session.read(0, 8).good().data == b'b' * 4096
            session.close()


@case('nbd: an export that has grown is a larger disk, one that has shrunk is waited for')
def _(scale):
    with nbd_server() as nbd, serving(over(nbd)) as server:
        session = log_in(server)
        session.write(0, b'g' * 4096).good()
        nbd.kill()
        nbd.resize(2 * DISK)
        nbd.start()
        until(lambda: session.command(scsi.test_unit_ready()).status == 2)  # CAPACITY DATA HAS CHANGED
        session.write(DISK // 512 + 8, b'h' * 4096).good()
        nbd.kill()
        nbd.resize(DISK)
        nbd.start()
        server.wait_log('the export has shrunk')
        waits = session.start(scsi.read_10(DISK // 512 + 8, 8), read=4096)
        nbd.kill()
        nbd.resize(2 * DISK)
        nbd.start()
        assert waits.good().data == b'\0' * 4096
        assert session.read(0, 8).good().data == b'g' * 4096
        session.close()


@case('nbd: a disk goes although its server is away, and what waits there with it')
def _(scale):
    with nbd_server() as nbd:
        disks = over(nbd)
        disks[IQN]['luns'][1] = ram('8M')
        with serving(disks) as server:
            session = log_in(server)
            session.write(0, b'w' * 4096).good()
            nbd.kill()
            session.start(scsi.write_10(0, 8), write=b'x' * 4096)
            server.wait_log('I/O waits')
            ctl = pathlib.Path(Settings.daemon).parent / 'ctl' / 'holdfastctl'
            subprocess.run([ctl, '--socket', server.daemon.folder / 'control.sock', 'lun', 'remove', IQN, '0',
                            '--force'], check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
            session.write(0, b'y' * 4096, lun=1)
            until(lambda: session.read(0, 8, lun=1).status == 0)
            assert session.read(0, 8).status == 2
            server.wait_for(lambda text: not nbd_threads(server))
            session.close()


def nbd_threads(server):
    """Threads of the handler in the worker: one for each LUN that it has open."""
    names = [path.read_text(encoding='ascii').strip()
             for path in pathlib.Path('/proc/%d/task' % server.worker()).glob('*/comm')]
    return names.count('nbd')
