# SPDX-License-Identifier: BSD-3-Clause
"""Who is let in, who is sent elsewhere, and what a session may ask about other targets."""
import dialogue  # noqa: F401  pylint: disable=unused-import
from chap import Attempt, USERS, refused
from peer import INITIATOR, IQN, Refused, case, main, ram
from session import OPERATIONAL, SECURITY

OTHER = 'iqn.2026-11.org.example:other'
LOCAL, REMOTE = ['127.0.0.0/8', '2001:db8::/32'], ['192.0.2.0/24', '2001:db8::/32']
JOINING = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxRecvDataSegmentLength': '65536'}


def one(**more):
    return dict(targets={IQN: dict({'portals': ['test'], 'luns': {0: ram()}}, **more)})


def told(session):
    return [value for key, value in session.text({'SendTargets': 'All'}).text() if key == 'TargetName']


# --- by address

NETWORKS = {IQN: {'portals': ['test'], 'initiators': LOCAL, 'luns': {0: ram()}},
            OTHER: {'portals': ['test'], 'initiators': REMOTE, 'luns': {0: ram()}}}


@case('an initiator from a network that is named is let in, one from elsewhere refused with 0202',
      own=dict(targets=NETWORKS))
def _(target):
    target.login().alive()
    target.refused(0x0202, lambda: target.login(iqn=OTHER))


@case('discovery shows a target to those alone that may come from where they are',
      own=dict(targets=NETWORKS))
def _(target):
    assert told(target.login(discovery=True)) == [IQN]


@case('a list may name initiators and networks', own=one(initiators=['*:good'] + REMOTE))
def _(target):
    target.login(initiator='iqn.2026-11.org.example:good').alive()
    target.refused(0x0202, lambda: target.login(initiator=INITIATOR))


@case('a single address is a network of one', own=one(initiators=['127.0.0.2', '::1']))
def _(target):
    target.refused(0x0202, target.login)


# --- users

def chap(name):
    return {'plugin': 'chap', 'options': {'users': [
        {'name': name, 'secret-file': '$FOLDER/%s' % name}]}}


def with_users(**more):
    files = {name: USERS[name] for name in ('host1', '0xabcd')}
    return dict(files=files, auth={'first': chap('host1'), 'second': chap('0xabcd')}, targets={
        IQN: {'portals': ['test'], 'auth': 'first', 'session': {'max-connections': 4}, 'luns': {0: ram()}},
        OTHER: {'portals': ['test'], 'auth': 'second', 'luns': {0: ram()}}}, **more)


def attempt_at(target, iqn):
    target.iqn, kept = iqn, target.iqn
    try:
        return Attempt(target)
    finally:
        target.iqn = kept


@case('each target has its own users', own=with_users())
def _(target):
    for iqn, user, stranger in ((IQN, 'host1', '0xabcd'), (OTHER, '0xabcd', 'host1')):
        attempt = attempt_at(target, iqn)
        attempt.answer(user)
        attempt.enter()
        refused(0x0201, attempt_at(target, iqn).answer, stranger)


@case('discovery asks for a secret when it is told to', own=with_users(discovery={'auth': 'second'}))
def _(target):
    refused(0x0201, target.login, discovery=True)
    attempt = Attempt(target, discovery=True)
    attempt.answer('0xabcd')
    attempt.enter()
    assert sorted(told(attempt.session)) == sorted([IQN, OTHER])
    refused(0x0201, Attempt(target, discovery=True).answer, 'host1')


@case('discovery that skips the security stage is refused with 0201',
      own=with_users(discovery={'auth': 'second'}))
def _(target):
    session = target.session(discovery=True)
    refused(0x0201, session.login, security=False)


@case('discovery is for those alone that it is for',
      own=dict(one(), discovery={'initiators': ['*:good', '192.0.2.0/24']}))
def _(target):
    target.login(discovery=True, initiator='iqn.2026-11.org.example:good')
    target.refused(0x0202, lambda: target.login(discovery=True))
    target.login().alive()      # it is about discovery alone


@case('discovery from a network that is not named is refused with 0202',
      own=dict(one(), discovery={'initiators': REMOTE}))
def _(target):
    target.refused(0x0202, lambda: target.login(discovery=True))


# --- SendTargets=All in a normal session

@case('SendTargets=All in a normal session tells its own target')
def _(target):
    assert told(target.login()) == [IQN]


@case('SendTargets=All in a normal session is rejected when it is told to',
      own=one(session={'send-targets-all': 'reject'}))
def _(target):
    session = target.login()
    assert session.text({'SendTargets': 'All'}).text() == [('SendTargets', 'Reject')]
    assert ('TargetName', IQN) in session.text({'SendTargets': ''}).text()
    assert told(target.login(discovery=True)) == [IQN]


# --- redirection

TWO_WAYS = {'test': {'listen': ['127.0.0.1:$PORT'], 'tag': 1},
            'other': {'listen': ['127.0.0.2:$PORT'], 'tag': 2}}


def redirected(rules):
    return dict(portals=TWO_WAYS, targets={IQN: {'portals': ['test', 'other'], 'redirect': rules,
                                                 'luns': {0: ram()}}})


def moved(target, status, address, **more):
    """The login must be answered by a redirection to this address, without more."""
    session = target.session(**more)
    connection = session.connect()
    session.login_request(connection, SECURITY, OPERATIONAL, dict(session.identity(), AuthMethod='None'))
    response = connection.receive()
    assert response.login_status == status, '%04x' % response.login_status
    assert response.text() == [('TargetAddress', address)], response.text()
    assert not response.final and response.tsih == 0
    connection.expect_closed()


@case('an initiator is sent elsewhere for now with 0101, and for good with 0102', own=redirected([
    {'to': '192.0.2.9', 'initiators': ['*:later']},
    {'to': '[2001:db8::9]:3261', 'permanent': True, 'initiators': ['*:never']},
    {'to': 'san.example.org', 'permanent': True, 'initiators': ['*:named']}]))
def _(target):
    name = 'iqn.2026-11.org.example:'
    moved(target, 0x0101, '192.0.2.9:3260', initiator=name + 'later')
    moved(target, 0x0102, '[2001:db8::9]:3261', initiator=name + 'never')
    moved(target, 0x0102, 'san.example.org:3260', initiator=name + 'named')
    target.login().alive()      # none of the rules fits


@case('an initiator is sent elsewhere by the portal it came through', own=redirected(
    {'to': '127.0.0.2:$PORT', 'portals': ['test']}))
def _(target):
    port = target.address[1]
    moved(target, 0x0101, '127.0.0.2:%d' % port)
    target.address = ('127.0.0.2', port)
    target.login().alive()


@case('an initiator is sent elsewhere by the network it comes from', own=redirected([
    {'to': '192.0.2.1', 'initiators': REMOTE}, {'to': '192.0.2.2', 'initiators': LOCAL}]))
def _(target):
    moved(target, 0x0101, '192.0.2.2:3260')


@case('the first rule that fits counts, and each of its conditions must fit', own=redirected([
    {'to': '192.0.2.1', 'portals': ['other'], 'initiators': ['*']},
    {'to': '192.0.2.2', 'portals': ['test'], 'initiators': ['*:nobody']},
    {'to': '192.0.2.3', 'portals': ['test'], 'initiators': [INITIATOR]},
    {'to': '192.0.2.4'}]))
def _(target):
    moved(target, 0x0101, '192.0.2.3:3260')


@case('who may not log in is not told where the target went', own=dict(targets={
    IQN: {'portals': ['test'], 'initiators': ['*:good'], 'redirect': [{'to': '192.0.2.1'}],
          'luns': {0: ram()}}}))
def _(target):
    target.refused(0x0202, target.login)
    moved(target, 0x0101, '192.0.2.1:3260', initiator='iqn.2026-11.org.example:good')


@case('discovery is not redirected, and names a redirected target at its own address', own=redirected([
    {'to': '192.0.2.1', 'permanent': True}]))
def _(target):
    assert told(target.login(discovery=True)) == [IQN]


# --- one session, one identity

def both_users():
    config = with_users()
    config['auth']['first']['options']['users'] += config['auth']['second']['options']['users']
    return config


def session_of_host1(target):
    first = attempt_at(target, IQN)
    first.answer('host1')
    first.session.finish_login(first.connection, dict(JOINING, MaxConnections='4'))
    first.session.alive()
    return first.session


@case('a connection that proves to be somebody else does not join the session', own=both_users())
def _(target):
    session = session_of_host1(target)
    other = Attempt(target, session=session, cid=1)
    other.answer('0xabcd')
    refused(0x0208, other.join)
    same = Attempt(target, session=session, cid=1)
    same.answer('host1')
    same.join()
    session.nop(b'in', connection=same.connection)
    assert same.connection.receive().data == b'in'


@case('a connection without a secret does not join the session', own=with_users())
def _(target):
    session = session_of_host1(target)
    connection = session.connect(cid=1)
    try:
        session.login_step(connection, OPERATIONAL, 3, dict(session.identity(), **JOINING))
    except Refused as refusal:
        assert refusal.status == 0x0201, '%04x' % refusal.status
    else:
        raise AssertionError('let in without a secret')
    session.alive()


if __name__ == '__main__':
    main(__file__)
