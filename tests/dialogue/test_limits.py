# SPDX-License-Identifier: BSD-3-Clause
"""More connections or logins than there may be: nobody who is let in is cut off, everybody else is told
to come back, and who returns to a session that is still there, or says something, comes first."""
import signal
import struct
import threading
import time

import scsi
import wire
from peer import IQN, LIMIT, Closed, Refused, case, main, ram

OUT_OF_RESOURCES, UNAVAILABLE = 0x0302, 0x0301


def limits(**keys):
    return dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()}}},
                daemon={key.replace('_', '-'): value for key, value in keys.items()})


def login(target, source=None, isid=None):
    session = target.session(isid=isid)
    session.source = source
    try:
        return session.login()
    except Refused:
        session.close()
        raise


def refused(target, source=None):
    """A login is refused with 0302 and closed in order."""
    session = target.session()
    session.source = source
    try:
        session.login()
    except Refused as refusal:
        assert refusal.status == OUT_OF_RESOURCES, '%04x' % refusal.status
        session.connection.expect_closed()
        session.close()
        return
    raise AssertionError('let in')


def in_the_end(action):
    """Until it is not refused: what a connection took is given back a moment after it has gone."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return action()
        except Refused as refusal:
            assert refusal.status == OUT_OF_RESOURCES and time.monotonic() < deadline
            time.sleep(0.02)


def really_refused(target):
    """refused(), as soon as the keeper, which only closes, has room again."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return refused(target)
        except (Closed, ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def begin(target):
    """A login whose first request has been answered."""
    session = target.session()
    connection = session.connect()
    session.login_step(connection, 0, 1, dict(session.identity(), AuthMethod='None'))
    return session


def silent(target):
    return target.session().connect()


@case('as many connections as there may be; the next is told so', own=limits(max_connections=8))
def _(target):
    sessions = [in_the_end(lambda: login(target)) for _ in range(8)]
    refused(target)
    refused(target)
    gone = sessions.pop()
    gone.logout()
    gone.close()
    sessions.append(in_the_end(lambda: login(target)))
    refused(target)
    for session in sessions:
        session.alive()


@case('a flood beyond the limit ends nobody who is in', own=limits(max_connections=8))
def _(target):
    sessions = [in_the_end(lambda: login(target)) for _ in range(8)]
    flood = [silent(target) for _ in range(40)]
    for session in sessions:
        session.alive()
    for connection in flood:
        connection.expect_closed()
    really_refused(target)
    for session in sessions:
        session.alive()


@case('full, and somebody comes back to a session that is still there', own=limits(max_connections=8))
def _(target):
    sessions = [in_the_end(lambda: login(target)) for _ in range(8)]
    again = login(target, isid=sessions[3].isid)
    sessions[3].connection.expect_closed()
    again.alive()
    refused(target)


@case('connections from one address', own=limits(max_connections_per_address=2))
def _(target):
    in_the_end(lambda: login(target))
    in_the_end(lambda: login(target))
    refused(target)
    other = login(target, source='127.0.0.2')
    login(target, source='127.0.0.2')
    refused(target, source='127.0.0.2')
    other.logout()
    other.close()
    in_the_end(lambda: login(target, source='127.0.0.2'))
    login(target, source='127.1.2.3')


@case('logins that have begun are not disturbed by more of them', own=limits(max_logins=2))
def _(target):
    one, two = begin(target), in_the_end(lambda: begin(target))
    refused(target)
    for session in (one, two):
        session.login_stage(session.connection, 1, 3, {'HeaderDigest': 'None', 'DataDigest': 'None'})
    login(target).alive()


@case('who says nothing gives way to who does', own=limits(max_logins=3, login_timeout='60s'))
def _(target):
    begun = in_the_end(lambda: begin(target))
    quiet = [silent(target) for _ in range(2)]
    in_the_end(lambda: login(target)).alive()
    assert quiet[0].expect_closed() == []
    begun.login_stage(begun.connection, 1, 3, {'HeaderDigest': 'None', 'DataDigest': 'None'})


@case('who comes drop by drop gives way, too', own=limits(max_logins=1, login_timeout='60s'))
def _(target):
    slow = silent(target)
    first = target.session()
    first.connections.append(slow)
    slow.send_bytes(bytes([0x43]))
    in_the_end(lambda: login(target)).alive()
    assert slow.expect_closed() == []


@case('logins wait for their turn, and not for those that hesitate',
      own=limits(login_concurrency=1, login_timeout='60s'))
def _(target):
    hesitant = [begin(target) for _ in range(4)]
    sessions = [login(target) for _ in range(6)]
    for session in sessions:
        session.alive()
    for session in hesitant:
        session.login_stage(session.connection, 1, 3, {'HeaderDigest': 'None', 'DataDigest': 'None'})


def told_to_wait(target, host):
    session = target.session(initiator='iqn.2026-11.org.example:%s' % host)
    session.login()
    session.alive()     # it has arrived where sessions are told things
    return session, int(session.negotiated['DefaultTime2Wait'])


@case('hosts are told to wait for different times, the same host always the same', own={})
def _(target):
    times = {host: told_to_wait(target, 'host%d' % host)[1] for host in range(30)}
    assert set(times.values()) == {2, 3, 4}, times
    assert all(told_to_wait(target, 'host%d' % host)[1] == times[host] for host in (0, 7, 29))


@case('what a session was told about waiting is what it is told when the target stops', own={})
def _(target):
    hosts = [told_to_wait(target, 'host%d' % host) for host in range(8)]
    target.daemon.signal(signal.SIGTERM)
    for session, seconds in hosts:
        message = session.connection.expect(wire.ASYNC)
        assert message.async_event == 3 and message.parameter2 == seconds, \
            'event %d, %d s, not %d' % (message.async_event, message.parameter2, seconds)
        session.close()
    assert target.daemon.wait_exit() == 0, target.daemon.log()[-4000:]


@case('nobody is told to wait longer where there is no spread',
      own={'targets': {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {
          'default-time2wait': '0s', 'time2wait-spread': '0s'}}}})
def _(target):
    for host in range(10):
        session = target.session(initiator='iqn.2026-11.org.example:host%d' % host)
        session.login(DefaultTime2Wait='0')
        assert session.negotiated['DefaultTime2Wait'] == '0'


@case('a login under way when the target stops is told to come back', own={})
def _(target):
    session = begin(target)
    target.daemon.signal(signal.SIGTERM)
    try:
        while True:     # each request is answered; the last one says so
            session.login_step(session.connection, 1, None, {})
            time.sleep(0.02)
    except Refused as refusal:
        assert refusal.status == UNAVAILABLE, '%04x' % refusal.status
    session.connection.expect_closed()
    assert target.daemon.wait_exit() == 0, target.daemon.log()[-4000:]


# --- memory

SMALL = {'reactors': 1, 'buffer-memory': '16M'}


def write_all(session, count, results):
    """Writes of a megabyte, all at once, as an initiator does that has them."""
    tasks = [session.start(scsi.write_10(0, 2048), write=bytes(1 << 20)) for _ in range(count)]
    results.extend(task.wait().status for task in tasks)


def write_together(sessions, count):
    results = [[] for _ in sessions]
    threads = [threading.Thread(target=write_all, args=(session, count, result))
               for session, result in zip(sessions, results)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [status for result in results for status in result]
    assert len(statuses) == count * len(sessions), 'not all were answered: %r' % results
    assert set(statuses) <= {scsi.GOOD, scsi.TASK_SET_FULL}, statuses
    return statuses


def writers(target, count):
    return [target.login(initiator='iqn.2026-11.org.example:writer-%d' % i) for i in range(count)]


@case('more writes than there is memory for: each is done, or told TASK SET FULL, and none waits for ever',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram('8M')}}}, daemon=SMALL))
def _(target):
    sessions = writers(target, 4)
    for _ in range(3):
        assert write_together(sessions, 12).count(scsi.GOOD) >= 12
    for session in sessions:
        session.write(0, bytes(1 << 20)).good()


@case('COMPARE AND WRITE goes on when all memory is with writes that wait for it',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: {'handler': 'fault', 'options': {
          'of': {'handler': 'file', 'options': {'path': '$FOLDER/disk.img', 'size': '8M'}},
          'rules': [{'op': 'write', 'action': 'delay', 'delay': '2s', 'times': 1}]}}}}}, daemon=SMALL))
def _(target):
    first, second, *sessions = writers(target, 6)
    slow = first.start(scsi.write_10(0, 1), write=bytes(512))
    time.sleep(0.1)
    compare = second.start(struct.pack('>BBQHBBBB', 0x89, 0, 0, 0, 0, 1, 0, 0), write=bytes(512) + b'n' * 512)
    time.sleep(0.1)
    write_together(sessions, 8)
    slow.good()
    compare.good()


main(__file__)
