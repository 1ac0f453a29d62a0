# SPDX-License-Identifier: BSD-3-Clause
"""What the storage behind a LUN does to a session: a full disk, a locked file, a missing device."""
import contextlib
import os
import pathlib
import subprocess
import tempfile

import scsi
from peer import IQN, LIMIT, Settings, Skip, Target, case, file, main, ram, serve

CHUNK = 65536


@contextlib.contextmanager
def small_filesystem(size):
    """A tmpfs of that size; needs root."""
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=' + size, 'tmpfs', folder],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skip('no tmpfs here: ' + done.stderr.strip())
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(['umount', '-l', folder], check=True)


def refuses_to_start(daemon, *words):
    """The daemon must not start, exit with 1 and name each of these."""
    try:
        daemon.start()
    except AssertionError:
        pass
    else:
        daemon.kill()
        raise AssertionError('it started')
    assert daemon.process.returncode == 1, 'exit code %d' % daemon.process.returncode
    for word in words:
        assert word in daemon.log(), 'no %r in:\n%s' % (word, daemon.log())


@case('a full disk is SPACE ALLOCATION FAILED, and nothing answered before is lost', alone=True)
def _():
    with small_filesystem('8M') as folder, \
            serve({IQN: {'portals': ['test'], 'luns': {0: file(folder / 'thin.img', '64M')}}}) as daemon:
        session = Target(daemon.address, IQN, daemon).login()
        good = 0
        for number in range(256):
            task = session.write(number * 128, bytes([number]) * CHUNK)
            if task.status != scsi.GOOD:
                break
            good += 1
        task.check(scsi.SPACE_ALLOCATION_FAILED)
        assert 60 <= good < 140, 'full after %d' % good
        for number in range(good):
            assert session.read(number * 128, 128).good().data == bytes([number]) * CHUNK
        session.write(0, b'again' * 13107 + b'.').good()     # what has its place can be written
        session.write(120000, bytes(CHUNK)).check(scsi.SPACE_ALLOCATION_FAILED)
        session.alive()
        told = [line for line in daemon.log().splitlines() if 'an I/O has failed' in line]
        assert len(told) == 1 and 'lun=0 op=write' in told[0] and 'No space left' in told[0], told
        # space that is given back can be used: UNMAP of the first MiB
        unmap = bytes([0x42]) + bytes(6) + (24).to_bytes(2, 'big') + b'\0'
        ranges = (22).to_bytes(2, 'big') + (16).to_bytes(2, 'big') + bytes(4) + \
            (0).to_bytes(8, 'big') + (2048).to_bytes(4, 'big') + bytes(4)
        session.command(unmap, write=ranges).good()
        session.write(120000, b'n' * CHUNK).good()
        assert session.read(0, 128).good().data == bytes(CHUNK)
        session.close()


@case('a file that another process has locked is refused with its path', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        path = os.path.join(folder, 'shared.img')
        luns = {IQN: {'portals': ['test'], 'luns': {0: file(path)}}}
        with serve(luns):
            with serve(luns, start=False) as second:
                refuses_to_start(second, path)


@case('a path in a folder that does not exist is refused with path and reason', alone=True)
def _():
    luns = {IQN: {'portals': ['test'], 'luns': {0: file('/nonexistent/folder/disk.img')}}}
    with serve(luns, start=False) as daemon:
        refuses_to_start(daemon, '/nonexistent/folder/disk.img', 'No such file or directory')


@case('a port that is taken is refused with its address', alone=True)
def _():
    with serve() as first:
        with serve({IQN: {'portals': ['test'], 'luns': {0: ram()}}}, start=False) as second:
            text = second.config_file.read_text(encoding='utf-8')
            second.config_file.write_text(text.replace(':%d' % second.port, ':%d' % first.port),
                                          encoding='utf-8')
            done = subprocess.run([Settings.daemon, '-c', str(second.config_file)], text=True,
                                  capture_output=True, timeout=LIMIT, check=False)
            assert done.returncode == 1, done.returncode
            assert '127.0.0.1:%d' % first.port in done.stderr, done.stderr
        Target(first.address, IQN, first).login().alive()


@case('a failing disk is in the log, but not with every command', own=dict(targets={
    IQN: {'portals': ['test'], 'luns': {0: {'handler': 'fault', 'options': {
        'of': {'handler': 'ram', 'options': {'size': '1M'}},
        'rules': [{'op': 'read', 'error': 'EIO', 'from': '64K', 'to': '128K'}]}}}}}))
def _(target):
    session = target.login()
    for _ in range(200):
        session.read(128, 1).check((3, 0x1100))
        session.read(0, 1).good()
    told = [line for line in target.daemon.log().splitlines() if 'an I/O has failed' in line]
    assert told and 'op=read offset=65536 bytes=512 error="Input/output error" times=1' in told[0], told
    assert len(told) < 50, told


@case('a null LUN reads zeroes and takes everything',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {
          0: {'handler': 'null', 'options': {'size': '1T'}}}}}))
def _(target):
    session = target.login()
    session.command(scsi.write_16(2 ** 31 - 128, 128), write=b'x' * CHUNK).good()
    assert session.command(scsi.read_16(2 ** 31 - 128, 128), read=CHUNK).good().data == bytes(CHUNK)
    session.command(scsi.read_16(2 ** 31 - 1, 2), read=1024).check(scsi.LBA_OUT_OF_RANGE)


@case('a VERIFY of a terabyte leaves others their turn, and can be aborted',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {
          0: {'handler': 'null', 'options': {'size': '64T'}}}}}))
def _(target):
    session = target.login()
    task = session.start(b'\x8f' + bytes(9) + (2 ** 32 - 1).to_bytes(4, 'big') + bytes(2))
    assert session.read(7, 1).good().data == bytes(512)
    assert not task.done
    answer = session.task_management(1, referenced=task.request.itt)
    assert answer.response == 0, 'ABORT TASK answered with %d' % answer.response
    session.alive()


@case('a RAM LUN starts with zeroes and forgets what is unmapped',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram('8M')}}}))
def _(target):
    session = target.login()
    assert session.read(0, 2048).good().data == bytes(2048 * 512)
    session.write(64, b'm' * CHUNK).good()
    unmap = bytes([0x42]) + bytes(6) + (24).to_bytes(2, 'big') + b'\0'
    ranges = (22).to_bytes(2, 'big') + (16).to_bytes(2, 'big') + bytes(4) + \
        (65).to_bytes(8, 'big') + (3).to_bytes(4, 'big') + bytes(4)
    session.command(unmap, write=ranges).good()
    assert session.read(64, 5).good().data == b'm' * 512 + bytes(3 * 512) + b'm' * 512


@case('a loop device serves as a block LUN', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        image = os.path.join(folder, 'loop.img')
        with open(image, 'wb') as backing:
            backing.truncate(32 << 20)
        done = subprocess.run(['losetup', '--find', '--show', image], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise Skip('no loop device here: ' + done.stderr.strip())
        device = done.stdout.strip()
        try:
            luns = {0: {'handler': 'block', 'options': {'path': device}}}
            with serve({IQN: {'portals': ['test'], 'luns': luns}}) as daemon:
                session = Target(daemon.address, IQN, daemon).login()
                data = session.command(scsi.read_capacity_10(), read=8).good().data
                assert int.from_bytes(data[:4], 'big') == (32 << 11) - 1
                session.write(77, b'B' * CHUNK).good()
                session.command(scsi.synchronize_cache()).good()
                assert session.read(77, 128).good().data == b'B' * CHUNK
                session.close()
            with open(device, 'rb') as disk:
                disk.seek(77 * 512)
                assert disk.read(CHUNK) == b'B' * CHUNK
        finally:
            subprocess.run(['losetup', '--detach', device], check=True)


if __name__ == '__main__':
    main(__file__)
