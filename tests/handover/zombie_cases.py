# SPDX-License-Identifier: BSD-3-Clause
"""Zombie writes: a killed process is gone before its writes are. A disk is made slow (a loop device,
throttled by a control group) while the worker's writes are on their way; the worker is killed; the
next one, which is not slowed down, gets newer writes to the same blocks. The newer ones must stay."""
import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

import scsi
from cases import case
from dialogue_cases import log_in
from load import in_words
from server import IQN, serving
from tap import Skip

BLKIO = pathlib.Path('/sys/fs/cgroup/blkio')
CHUNK = 65536
CHUNKS = 32
RATE = 1 << 20      # bytes a second while it is slow: all chunks take two seconds


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def loop_device(size=64 << 20):
    """A loop device over a file, direct, so that what was written is on the machine's own disk."""
    if os.geteuid() != 0:
        raise Skip('a loop device needs root')
    folder = tempfile.mkdtemp(prefix='holdfast-zombie.', dir='/var/tmp')
    image = folder + '/image'
    with open(image, 'wb') as out:
        out.write(bytes(size))
    try:
        device = run('losetup', '--find', '--show', image)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip('no loop device: %s' % error) from None
    try:
        yield device
    finally:
        run('losetup', '-d', device)
        os.unlink(image)
        os.rmdir(folder)


@contextlib.contextmanager
def file_system(device):
    folder = tempfile.mkdtemp(prefix='holdfast-zombie.')
    run('mkfs.ext4', '-q', '-F', device)
    run('mount', device, folder)
    try:
        yield folder
    finally:
        run('umount', folder)
        os.rmdir(folder)


class SlowGroup:
    """Processes in it write slowly to one device."""

    def __init__(self, device):
        number = os.stat(device).st_rdev
        self.path = BLKIO / ('holdfast-%d' % os.getpid())
        try:
            self.path.mkdir(exist_ok=True)
            (self.path / 'blkio.throttle.write_bps_device').write_text(
                '%d:%d %d' % (os.major(number), os.minor(number), RATE), encoding='ascii')
        except OSError as error:
            raise Skip('no control group for block I/O: %s' % error) from None

    def take(self, pid):
        (self.path / 'cgroup.procs').write_text(str(pid), encoding='ascii')

    @staticmethod
    def release(pid):
        (BLKIO / 'cgroup.procs').write_text(str(pid), encoding='ascii')

    def remove(self):
        with contextlib.suppress(OSError):
            self.path.rmdir()


def one_round(server, session, group, number):
    """Returns how long the older writes took to be answered."""
    old, new = bytes([number * 2 & 0xff]) * CHUNK, bytes([number * 2 + 1 & 0xff]) * CHUNK
    lbas = [i * (CHUNK // 512) for i in range(CHUNKS)]
    worker = server.worker()
    group.take(worker)
    began = time.monotonic()
    tasks = [session.start(scsi.write_10(lba, CHUNK // 512), write=old) for lba in lbas]
    time.sleep(0.3)
    server.kill_now()
    for task in tasks:
        task.good()
    took = time.monotonic() - began
    for lba in lbas:
        session.start(scsi.write_10(lba, CHUNK // 512), write=new)
    for task in list(session.connection.tasks.values()):
        task.good()
    session.command(scsi.synchronize_cache()).good()
    time.sleep(max(0.0, began + 1.3 * CHUNKS * CHUNK / RATE - time.monotonic()))
    return took, new


def holds(reader, data):
    for i in range(CHUNKS):
        found = reader(i * CHUNK)
        assert found == data, 'chunk %d: an older write came back (%02x, not %02x)' % (i, found[0], data[0])


def zombies(scale, luns, folder=''):
    """luns(device, folder) -> the LUN. The blocks are also looked at behind the target's back."""
    with loop_device() as device, contextlib.ExitStack() as stack:
        if folder:
            folder = stack.enter_context(file_system(device))
        lun, path = luns(device, folder)
        group = SlowGroup(device)
        stack.callback(group.remove)
        with serving({IQN: {'portals': ['test'], 'luns': {0: lun}}}) as server:
            session = log_in(server, InitialR2T='No', FirstBurstLength='262144')
            took = []
            for number in range(scale.count(1, 50)):
                seconds, data = one_round(server, session, group, number)
                took.append(seconds * 1000)
                holds(lambda at: session.read(at // 512, CHUNK // 512).good().data, data)
                with open(path, 'rb') as behind:
                    os.posix_fadvise(behind.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    holds(lambda at: os.pread(behind.fileno(), CHUNK, at), data)
            session.close()
            server.check()
            return '%d kills; the older writes were answered after %s' % (server.kills, in_words(took))


def block(direct):
    return lambda device, _: ({'handler': 'block', 'options': {'path': device, 'direct': direct}}, device)


def file(direct):
    return lambda _, folder: ({'handler': 'file', 'options': {
        'path': folder + '/disk', 'size': '32M', 'direct': direct}}, folder + '/disk')


@case('zombies: a block LUN, past the page cache')
def _(scale):
    return zombies(scale, block(True))


@case('zombies: a block LUN, through the page cache', soak_only=True)
def _(scale):
    return zombies(scale, block(False))


@case('zombies: a file LUN, past the page cache')
def _(scale):
    return zombies(scale, file(True), folder='file system')


@case('zombies: a file LUN, through the page cache', soak_only=True)
def _(scale):
    return zombies(scale, file(False), folder='file system')
