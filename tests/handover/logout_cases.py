# SPDX-License-Identifier: BSD-3-Clause
"""A logout is answered, once and with success, wherever the worker dies between its request and the end of the
connection; what has logged out is gone afterwards, and what has not is there."""
import contextlib

from cases import case
from dialogue_cases import log_in
from point_cases import daemon_with_points
from server import IQN, ram, serving

LUNS = {IQN: {'portals': ['test'], 'luns': {0: ram('64M')}, 'session': {'max-connections': 4}}}
COMMON = ('leave', 'commit', 'committed', 'send', 'sent')
CLOSE_SESSION, CLOSE_CONNECTION = 0, 1


def logout(session, reason, cid, connection):
    response = session.logout(reason, cid=cid, connection=connection)
    assert response.response == 0, response


def here(session, connection):
    session.nop(b'here', connection=connection)
    assert connection.expect(0x20).data == b'here'


def join(session):
    session.login(1, MaxConnections='4', security=False)
    here(session, session.connections[1])


def session_alone(session):
    logout(session, CLOSE_SESSION, 0, session.connection)
    session.connection.expect_closed()
    return ()


def session_of_two(session):
    join(session)
    logout(session, CLOSE_SESSION, 0, session.connections[1])
    for connection in session.connections:
        connection.expect_closed()
    return ()


def this_connection(session):
    join(session)
    one, two = session.connections
    logout(session, CLOSE_CONNECTION, 1, two)
    two.expect_closed()
    return (one,)


def other_connection(session):
    join(session)
    one, two = session.connections
    logout(session, CLOSE_CONNECTION, 1, one)
    two.expect_closed()
    return (one,)




# Where each passes: what says so itself has its FIN last, others are closed.
WAYS = {session_alone: COMMON + ('drained',), session_of_two: COMMON + ('closing', 'drained'),
        this_connection: COMMON + ('drained',), other_connection: COMMON + ('closing',)}


def log_out_over(server, orders, place, way, who):
    """Dies at the place, from the request on."""
    session = log_in(server, initiator='iqn.2026-11.org.example:' + who, MaxConnections='4')
    begin = session.logout

    def armed(*args, **more):
        orders.die_at(place, 1)
        return begin(*args, **more)
    session.logout = armed
    try:
        stay = way(session)
        orders.die_at('', 0)
        for connection in stay:
            here(session, connection)
    except Exception as error:
        error.add_note('%s, a death at %s' % (way.__name__, place))
        raise
    finally:
        orders.die_at('', 0)
        with contextlib.suppress(OSError):
            session.close()


@case('points: a logout is answered, wherever the worker dies')
def _(scale):
    with daemon_with_points() as orders, serving(LUNS, daemon={'reactors': 2}) as server:
        server.daemon.killed_workers = True
        count = 0
        for turn in range(scale.count(1, 30)):
            for way, places in WAYS.items():
                for place in places:
                    log_out_over(server, orders, place, way, '%s-%s-%d' % (way.__name__, place, turn))
                    count += 1
                    assert orders.died() == count, 'nobody died at ' + place
                    server.wait_serving()
        assert not any(taken['doubtful'] for taken in server.taken()), server.tail()
        return '%d logouts over a death' % count
