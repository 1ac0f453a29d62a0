# SPDX-License-Identifier: BSD-3-Clause
"""Stop, hang-up, and the death of the worker, as an initiator sees them."""
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import scsi
import wire
from peer import Closed, IQN, Settings, Target, case, file, main, serve

NO_CHANGE = {}


def stop(target):
    target.daemon.signal(signal.SIGTERM)


def ended_well(target):
    assert target.daemon.wait_exit() == 0, target.daemon.log()[-4000:]


def expect_announcement(session):
    """The async message of a stop: logout wanted, or connections about to go."""
    message = session.connection.expect(wire.ASYNC)
    assert message.async_event in (1, 2, 3), 'event %d' % message.async_event
    assert message.final and message.itt == wire.NO_TAG
    if message.async_event == 3:
        assert (message.parameter2, message.parameter3) == (session.number('DefaultTime2Wait'), 0), repr(message)
    return message


@case('SIGTERM without sessions ends the daemon with 0', own=NO_CHANGE)
def _(target):
    stop(target)
    ended_well(target)


@case('SIGTERM tells every session by an async message, closes it in order and ends with 0',
      own=NO_CHANGE)
def _(target):
    sessions = [target.login(), target.login(), target.login()]
    stop(target)
    for session in sessions:
        message = expect_announcement(session)
        if message.async_event == 1:
            session.request(wire.LOGOUT_REQUEST, immediate=True, flags=wire.FINAL)
        assert all(pdu.opcode in (wire.ASYNC, wire.LOGOUT_RESPONSE)
                   for pdu in session.connection.expect_closed())
    ended_well(target)


@case('a discovery session does not hold up the stop', own=NO_CHANGE)
def _(target):
    session = target.login(discovery=True)
    stop(target)
    session.connection.expect_closed()
    ended_well(target)


@case('a connection that has said nothing does not hold up the stop', own=NO_CHANGE)
def _(target):
    connection = target.connect()
    stop(target)
    connection.expect_closed()
    ended_well(target)


@case('a write under way at SIGTERM may finish, and its data is in the file', own=NO_CHANGE)
def _(target):
    session = target.login(ImmediateData='No')
    session.alive(lun=1)
    data = b'finished in time'.ljust(4096, b'!')
    task = session.start(scsi.write_10(16, 8), write=data, lun=1, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    stop(target)
    expect_announcement(session)
    task.answer(task.r2ts[0])
    task.good()
    session.connection.expect_closed()
    ended_well(target)
    with open(target.daemon.folder / 'disk.img', 'rb') as image:
        image.seek(16 * 512)
        assert image.read(4096) == data


@case('an initiator that never finishes does not keep the daemon from ending', own=NO_CHANGE)
def _(target):
    session = target.login(ImmediateData='No')
    session.start(scsi.write_10(0, 8), write=bytes(4096), hold_r2ts=True)
    stop(target)
    ended_well(target)


@case('a signal that comes twice, to the daemon and its group, is one signal', own=NO_CHANGE)
def _(target):
    session = target.login(ImmediateData='No')
    task = session.start(scsi.write_10(0, 8), write=bytes(4096), hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    stop(target)
    stop(target)
    expect_announcement(session)
    task.answer(task.r2ts[0])
    task.good()
    ended_well(target)
    assert 'Killed' not in target.daemon.log(), target.daemon.log()[-2000:]


@case('a second signal some time after the first does not wait for anybody', own=NO_CHANGE)
def _(target):
    session = target.login(ImmediateData='No')
    session.start(scsi.write_10(0, 8), write=bytes(4096), hold_r2ts=True)
    stop(target)
    expect_announcement(session)
    time.sleep(0.6)
    stop(target)
    ended_well(target)
    assert 'ended by signal 9' in target.daemon.log(), target.daemon.log()[-2000:]


@case('an initiator that does not read does not keep the daemon from ending', own=NO_CHANGE)
def _(target):
    session = target.login()
    for block in range(30):
        session.start(scsi.read_10(block * 128, 512), read=512 * 512)
    stop(target)
    ended_well(target)


@case('after SIGTERM nobody new is let in', own=NO_CHANGE)
def _(target):
    session = target.login(ImmediateData='No')
    session.start(scsi.write_10(0, 8), write=bytes(4096), hold_r2ts=True)
    stop(target)
    expect_announcement(session)
    try:
        late = target.session()
        connection = late.connect()
        late.login_request(connection, 0, 1, dict(late.identity(), AuthMethod='None'))
        assert connection.receive().login_status == 0x0301
    except (Closed, OSError):
        pass
    session.close()
    ended_well(target)


@case('what was written before a stop is there after the next start', alone=True)
def _():
    with serve() as daemon:
        first = Target(daemon.address, IQN, daemon)
        session = first.login()
        session.alive(lun=1)
        session.write(5, b'k' * 4096, lun=1).good()
        session.command(scsi.synchronize_cache(), lun=1).good()
        page = session.command(scsi.inquiry(255, 0x83), read=255, lun=1).data
        first.close_all()
        stop(first)
        ended_well(first)
        daemon.start()
        daemon.killed_workers = True    # another worker than the first one, by intent
        again = Target(daemon.address, IQN, daemon).login()
        again.alive(lun=1)
        assert again.read(5, 8, lun=1).good().data == b'k' * 4096
        assert again.command(scsi.inquiry(255, 0x83), read=255, lun=1).data == page
        again.close()


@case('started without standard streams, it opens nothing in their place', alone=True)
def _():
    with serve(start=False) as daemon:
        daemon.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh', Settings.daemon, '-c',
             str(daemon.config_file)], start_new_session=True)
        try:
            daemon.wait_listening()
            for pid in (daemon.process.pid, daemon.wait_for_worker()):
                streams = [os.readlink('/proc/%d/fd/%d' % (pid, number)) for number in range(3)]
                assert streams == ['/dev/null'] * 3, streams
            daemon.signal(signal.SIGTERM)
            assert daemon.wait_exit() == 0
        finally:
            daemon.kill()


@case('SIGHUP disturbs nobody', own=NO_CHANGE)
def _(target):
    session = target.login()
    for _ in range(3):
        target.daemon.signal(signal.SIGHUP)
        session.write(0, b'h' * 4096).good()
    target.login().alive()
    session.alive()


@case('SIGINT ends the daemon like SIGTERM', own=NO_CHANGE)
def _(target):
    target.daemon.signal(signal.SIGINT)
    ended_well(target)


# --- the worker dies

def kill_worker(target):
    """Kills the worker and waits for the next one; returns its process id."""
    target.daemon.killed_workers = True
    old = target.daemon.wait_for_worker()
    os.kill(old, signal.SIGKILL)
    return target.daemon.wait_for_worker(not_among=(old,))


def survivor(target, session):
    """What an initiator has after the death of the worker: its session, which goes on as if nothing
    had been, or a connection closed in order and then a new session."""
    try:
        session.alive()
        return session
    except Closed:
        return target.login()


@case('when the worker dies, the initiator finds everything as it was', own=NO_CHANGE)
def _(target):
    session = target.login()
    session.alive(lun=1)
    session.write(9, b'r' * 65536, lun=0).good()
    session.write(9, b'f' * 65536, lun=1).good()
    identity = session.command(scsi.inquiry(255, 0x83), read=255).data
    kill_worker(target)
    again = survivor(target, session)
    again.alive(lun=1)
    assert again.read(9, 128, lun=0).good().data == b'r' * 65536, 'the RAM LUN forgot'
    assert again.read(9, 128, lun=1).good().data == b'f' * 65536
    assert again.command(scsi.inquiry(255, 0x83), read=255).data == identity
    target.login().alive()


@case('a login made while there is no worker is served by the next one', own=NO_CHANGE)
def _(target):
    target.login()
    target.daemon.killed_workers = True
    os.kill(target.daemon.wait_for_worker(), signal.SIGKILL)
    target.login().alive()


@case('a worker that dies again and again is started again and again', own=NO_CHANGE)
def _(target):
    session = target.login()
    for number in range(3):
        session.write(number, b'a' * 4096).good()
        kill_worker(target)
        session = survivor(target, session)
    assert session.read(0, 8).good().data == b'a' * 4096
    assert target.daemon.process.poll() is None


@case('a worker that dies under load loses nothing that was answered', own=NO_CHANGE)
def _(target):
    session = target.login()
    for block in range(0, 512, 8):
        session.write(block, block.to_bytes(2, 'big') * 2048).good()
    tasks = [session.start(scsi.read_10(8 * number, 8), read=4096) for number in range(30)]
    kill_worker(target)
    try:
        for number, task in enumerate(tasks):
            assert task.good().data == (8 * number).to_bytes(2, 'big') * 2048, number
    except Closed:
        pass
    again = survivor(target, session)
    for block in range(0, 512, 8):
        assert again.read(block, 8).good().data == block.to_bytes(2, 'big') * 2048, block


@case('a write under way when the worker dies is whole or is not answered', own=NO_CHANGE)
def _(target):
    session = target.login(ImmediateData='No')
    session.write(0, b'o' * 4096).good()
    task = session.start(scsi.write_10(0, 8), write=b'n' * 4096, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    kill_worker(target)
    expected = (b'o' * 4096, b'n' * 4096)
    try:
        task.answer(task.r2ts[0])
        task.good()
        expected = (b'n' * 4096,)
    except Closed:
        pass
    assert survivor(target, session).read(0, 8).good().data in expected


@case('the death of the worker is logged with its signal', own=NO_CHANGE)
def _(target):
    kill_worker(target)
    lines = target.daemon.wait_log('worker')
    assert any('worker' in line and ('9' in line or 'KILL' in line.upper()) for line in lines), lines
    target.login().alive()


@case('a disk that is gone when the worker starts again is waited for, not made anew', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        disk, aside = pathlib.Path(folder, 'disk.img'), pathlib.Path(folder, 'aside.img')
        with serve({IQN: {'portals': ['test'], 'luns': {0: file(disk)}}}) as daemon:
            target = Target(daemon.address, IQN, daemon)
            target.login().write(0, b'mine' * 128).good()
            daemon.killed_workers = True
            disk.rename(aside)
            os.kill(daemon.workers()[0], signal.SIGKILL)
            lines = daemon.wait_log('a disk in use is not made anew')
            assert any('%s: No such file' % disk in line for line in lines), lines[-5:]
            assert not disk.exists()
            aside.rename(disk)
            assert target.login().read(0, 1).good().data == b'mine' * 128
            target.close_all()


@case('the worker does not outlive the keeper', own=NO_CHANGE)
def _(target):
    worker = target.daemon.wait_for_worker()
    session = target.login()
    target.daemon.process.kill()
    target.daemon.process.wait()
    session.connection.expect_closed()
    deadline = time.monotonic() + 20
    while pathlib.Path('/proc/%d' % worker).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pathlib.Path('/proc/%d' % worker).exists(), 'the worker still runs'
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(target.address)


if __name__ == '__main__':
    main(__file__)
