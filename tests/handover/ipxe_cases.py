# SPDX-License-Identifier: BSD-3-Clause
"""A diskless machine: iPXE in QEMU boots from the target and works with its disk (boot.S), while the
worker is killed and replaced."""
import pathlib
import platform
import shutil
import struct
import subprocess
import tempfile
import time

from cases import case
from server import IQN, file, serving
from tap import Skip
from upgrade_cases import own_binary

HERE = pathlib.Path(__file__).resolve().parent
SECTOR, FIRST, GROUPS, WRITTEN = 512, 64, 256, 16384     # as in boot.S
ROUNDS_AT = 0x1f0
LIMIT = 180.0


def marked(number):
    mark = number & 0xffffffff
    return struct.pack('<I', mark) + bytes(SECTOR - 8) + struct.pack('<I', ~mark & 0xffffffff)


def make_disk(path, rounds):
    """The boot sector, and marks where it will read."""
    boot = path.with_suffix('.boot')
    subprocess.run(['gcc', '-m32', '-nostdlib', '-o', str(boot), str(HERE / 'boot.S'),
                    '-Wl,-melf_i386,-Ttext=0x7c00,--oformat=binary,--build-id=none'], check=True)
    sector = bytearray(boot.read_bytes())
    assert len(sector) == SECTOR
    sector[ROUNDS_AT:ROUNDS_AT + 4] = struct.pack('<I', rounds)
    with open(path, 'wb') as disk:
        disk.write(sector)
        disk.seek(FIRST * SECTOR)
        for number in range(FIRST, FIRST + GROUPS * 32):
            disk.write(marked(number))
        disk.truncate((WRITTEN + max(rounds, 1) + 64) * SECTOR)


class Machine:
    """QEMU with a network card, no disk, and iPXE in the card's ROM."""

    def __init__(self, folder, port):
        (folder / 'boot.ipxe').write_text(
            '#!ipxe\nsanboot iscsi:10.0.2.2::%d:0:%s || exit\n' % (port, IQN), encoding='ascii')
        self.out = folder / 'console'
        with open(self.out, 'wb') as out:
            self.process = subprocess.Popen(
                ['qemu-system-x86_64', '-M', 'pc,graphics=off', '-accel', 'tcg',
                 '-m', '64', '-display', 'none', '-serial', 'stdio', '-boot', 'n', '-no-reboot',
                 '-device', 'virtio-net-pci,netdev=net', '-device', 'isa-debug-exit,iobase=0xf4,iosize=1',
                 '-netdev', 'user,id=net,tftp=%s,bootfile=boot.ipxe' % folder],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def said(self):
        return self.out.read_text(encoding='ascii', errors='replace')

    def wait_for(self, word):
        deadline = time.monotonic() + LIMIT
        while word not in self.said():
            assert self.process.poll() is None, 'the machine ended with %s:\n%s' % (
                self.process.returncode, self.said()[-2000:])
            assert time.monotonic() < deadline, 'not said: %s\n%s' % (word, self.said()[-2000:])
            time.sleep(0.01)

    def end(self):
        self.process.kill()
        self.process.wait()


def boot_while(scale, rounds, event):
    """Boots, lets event(turn) happen while the machine works, and checks what it read and wrote."""
    if platform.machine() != 'x86_64' or not shutil.which('qemu-system-x86_64'):
        raise Skip('needs qemu-system-x86_64')
    if not pathlib.Path('/usr/lib/ipxe/qemu').is_dir():
        raise Skip('needs ipxe-qemu')
    with tempfile.TemporaryDirectory(prefix='holdfast-ipxe.') as name:
        folder = pathlib.Path(name)
        disk = folder / 'disk.img'
        make_disk(disk, rounds)
        lun = {IQN: {'portals': ['test'], 'luns': {0: file(disk, None)}}}
        del lun[IQN]['luns'][0]['options']['size']
        with serving(lun) as server:
            machine = Machine(folder, server.daemon.port)
            turns = 0
            try:
                machine.wait_for('STARTED')
                while machine.process.poll() is None:
                    event(server, turns)
                    turns += 1
                    time.sleep(scale.between(0.05, 0.4))
            finally:
                machine.end()
            said = machine.said()
            assert 'DONE' in said, 'the machine failed:\n' + said[-2000:]
            assert turns > 1, 'nothing happened while the machine worked'
            # The machine may have gone just before the last event; had it lost its connection, it would have come back.
            server.check(but_last=True)
            assert server.log().count('logged in ') == 1, 'it had to come back:\n' + server.tail()
        with open(disk, 'rb') as written:
            for number in range(rounds):
                written.seek((WRITTEN + number) * SECTOR)
                assert written.read(SECTOR) == marked(number), 'round %d is not on the disk' % number
        return '%d times, %d rounds of 32 sectors read and one written' % (turns, rounds)


@case('iPXE: boots and works while the worker is killed')
def _(scale):
    return boot_while(scale, scale.count(1200, 30000), lambda server, turn: server.kill())


@case('iPXE: boots and works while the worker is replaced')
def _(scale):
    with own_binary() as binary:
        def replace(server, _turn):
            binary.put_good()
            server.upgrade()
        return boot_while(scale, scale.count(1200, 30000), replace)
