# SPDX-License-Identifier: BSD-3-Clause
"""A block device that is taken away while workers use it, and others in its place: a loop device."""
import contextlib
import subprocess
import tempfile
import time

import scsi
from absent_cases import ABSENT, BACK, GONE, absent
from cases import case
from dialogue_cases import DATA, OTHER, holds, log_in
from keeper_cases import control
from server import LIMIT, ram, serving
from tap import Skip

CHANGED = (6, 0x2a09)   # CAPACITY DATA HAS CHANGED


def losetup(*words):
    try:
        return subprocess.run(['losetup', *words], check=True, capture_output=True, text=True,
                              timeout=LIMIT).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip('no loop devices here: %s' % error) from error


class Loop:
    """A loop device on one of several files."""

    def __init__(self, folder):
        self.folder = folder
        for mib in (16, 32, 64):
            with open(self.file_of(mib), 'wb') as image:
                image.truncate(mib << 20)
        self.path = losetup('-f', '--show', self.file_of(32))

    def file_of(self, mib):
        return '%s/%d.img' % (self.folder, mib)

    def is_attached(self):
        return self.path in losetup('-l', '-n', '-O', 'NAME').split()

    def detach(self):
        """Takes effect when nobody has it open any more."""
        losetup('-d', self.path)

    def attach(self, mib):
        deadline = time.monotonic() + LIMIT
        while self.is_attached():
            assert time.monotonic() < deadline, 'somebody has it open'
            time.sleep(0.01)
        losetup(self.path, self.file_of(mib))


@contextlib.contextmanager
def loop_device():
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(folder)
        try:
            yield loop
        finally:
            if loop.is_attached():
                loop.detach()


@case('absent: a block device is detached while workers are replaced; a smaller one is not taken, a larger one is')
def _(_scale):
    with loop_device() as loop:
        disks = {GONE: {'portals': ['test'], 'luns': {0: {'handler': 'block', 'options': {'path': loop.path}},
                                                      1: ram('4M')}}}
        with serving(disks) as server:
            session = log_in(server, target=GONE)
            session.write(0, DATA[:4096]).good()
            loop.detach()
            session.write(8, OTHER[:4096]).good()   # it is open still
            server.kill()
            server.wait_log(ABSENT)
            assert 'has no medium' in absent(server)[0][2], absent(server)
            waiting = session.start(scsi.read_10(0, 8), read=4096)
            server.upgrade()
            session.command(scsi.write_10(0, 8), write=OTHER[:4096], lun=1).good()
            loop.attach(16)
            server.wait_log('it is another disk')
            loop.detach()
            loop.attach(32)
            server.wait_log(BACK)
            assert waiting.good().data == DATA[:4096]
            holds(session, 8, OTHER[:4096])
            loop.detach()
            server.kill()
            server.wait_log(ABSENT, 3)
            loop.attach(64)
            assert control(server, 'lun', 'reopen', GONE, '0').returncode == 0
            assert session.command(scsi.test_unit_ready()).sense.what() == CHANGED
            assert session.command(scsi.read_capacity_10(), read=8).good().data[:4] == b'\0\1\xff\xff'
            server.check()
            session.close()
