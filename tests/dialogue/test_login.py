# SPDX-License-Identifier: BSD-3-Clause
"""Login: stages, split texts, and every refusal with its status (RFC 7143 6, 11.12, 11.13)."""
import wire
from peer import IQN, OFFER, Refused, case, main
from session import FULL_FEATURE, OPERATIONAL, SECURITY


@case('both stages lead to full feature phase')
def _(target):
    session = target.login()
    assert session.tsih != 0
    assert session.answers['TargetPortalGroupTag'].isdigit()


@case('the security stage may be left out when no authentication is required')
def _(target):
    target.login(security=False).alive()


@case('the security stage may lead straight to full feature phase')
def _(target):
    session = target.session()
    connection = session.connect()
    keys = dict(session.identity(), AuthMethod='None')
    response, answers = session.login_stage(connection, SECURITY, FULL_FEATURE, keys)
    session.enter_full_feature(connection, response, {}, answers)
    session.alive()


@case('a login without operational keys gets the defaults')
def _(target):
    session = target.login(offer={})
    session.alive()
    assert 'MaxBurstLength' not in session.answers or session.number('MaxBurstLength') <= 262144


@case('TargetPortalGroupTag comes in the first response when TargetName is given')
def _(target):
    session = target.session()
    connection = session.connect()
    response = session.login_step(connection, SECURITY, OPERATIONAL,
                                  dict(session.identity(), AuthMethod='None'))
    assert 'TargetPortalGroupTag' in response.keys()


@case('TSIH is zero until the final response and the task tag stays the same')
def _(target):
    session = target.session()
    connection = session.connect()
    first = session.login_step(connection, SECURITY, OPERATIONAL,
                               dict(session.identity(), AuthMethod='None'), itt=0xabcd)
    assert first.tsih == 0
    last, _ = session.login_stage(connection, OPERATIONAL, FULL_FEATURE, OFFER, itt=0xabcd)
    assert last.tsih != 0


@case('ExpCmdSN of the login responses is the CmdSN of the login')
def _(target):
    session = target.session()
    session.cmd_sn = 0xfffffffe
    session.login()
    assert session.last_login.exp_cmd_sn == 0xfffffffe
    for _ in range(6):     # and the window goes across the wrap
        session.alive()


@case('a text with the C bit is answered by an empty response without T')
def _(target):
    session = target.session()
    connection = session.connect()
    keys = list(session.identity().items())
    response = session.login_step(connection, SECURITY, None, keys[:1], more=True)
    assert not response.final and not response.data and not response.flags & wire.CONTINUE
    response = session.login_step(connection, SECURITY, OPERATIONAL,
                                  keys[1:] + [('AuthMethod', 'None')])
    assert response.final and response.keys()['AuthMethod'] == 'None'


@case('a key may be split between two PDUs at any byte')
def _(target):
    session = target.session()
    whole = wire.text_segment(dict(session.identity(), AuthMethod='None'))
    for cut in (1, len('InitiatorName'), len('InitiatorName=') + 3, len(whole) - 1):
        connection = target.session().connect()
        session.login_step(connection, SECURITY, raw=whole[:cut], more=True)
        response = session.login_step(connection, SECURITY, OPERATIONAL, raw=whole[cut:])
        assert response.keys()['AuthMethod'] == 'None', 'cut at %d' % cut


@case('a text of 8192 bytes is accepted in pieces')
def _(target):
    session = target.session()
    connection = session.connect()
    filler = [('X-org.example.filler%02d' % number, 'v' * 200) for number in range(36)]
    whole = wire.text_segment(list(session.identity().items()) + [('AuthMethod', 'None')] + filler)
    assert 8000 < len(whole) <= 8192
    while len(whole) > 1000:
        response = session.login_step(connection, SECURITY, raw=whole[:1000], more=True)
        assert not response.data
        whole = whole[1000:]
    response = session.login_step(connection, SECURITY, OPERATIONAL, raw=whole)
    text = response.keys()
    while response.flags & wire.CONTINUE:
        response = session.login_step(connection, SECURITY)
        text.update(response.keys())
    assert all(text[key] == 'NotUnderstood' for key, _ in filler)


@case('an unknown key is answered NotUnderstood')
def _(target):
    session = target.login(**{'X-org.example.colour': 'blue'})
    assert session.answers['X-org.example.colour'] == 'NotUnderstood'


@case('six exchanges in the operational stage are allowed')
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_stage(connection, SECURITY, OPERATIONAL,
                        dict(session.identity(), AuthMethod='None'))
    for pair in list(OFFER.items())[:6]:
        assert not session.login_step(connection, OPERATIONAL, None, [pair]).final
    response, answers = session.login_stage(connection, OPERATIONAL, FULL_FEATURE, {})
    session.enter_full_feature(connection, response, {}, answers)
    session.alive()


# --- refusals

@case('an unknown target is refused with 0203')
def _(target):
    target.refused(0x0203, lambda: target.login(iqn=IQN + '-not-here'))


@case('a normal login without TargetName is refused with 0207')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0207, lambda: session.login_stage(
        connection, SECURITY, OPERATIONAL,
        {'InitiatorName': session.initiator, 'SessionType': 'Normal', 'AuthMethod': 'None'}))


@case('a login without InitiatorName is refused with 0207')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0207, lambda: session.login_stage(
        connection, SECURITY, OPERATIONAL, {'TargetName': target.iqn, 'AuthMethod': 'None'}))


@case('an unsupported version is refused with 0205')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0205, lambda: session.login_step(
        connection, SECURITY, OPERATIONAL, session.identity(), version_max=5, version_min=3))


@case('a TSIH that no session has is refused with 020a')
def _(target):
    session = target.session()
    session.tsih = 0x7abc
    target.refused(0x020a, session.login)


@case('an unknown session type is refused with 0209')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0209, lambda: session.login_stage(
        connection, SECURITY, OPERATIONAL,
        dict(session.identity(), SessionType='Conversation', AuthMethod='None')))


@case('only authentication methods we lack are refused with 0201')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0201, lambda: session.login_stage(
        connection, SECURITY, OPERATIONAL, dict(session.identity(), AuthMethod='KRB5')))


@case('a key negotiated twice is refused with 0200')
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_stage(connection, SECURITY, OPERATIONAL,
                        dict(session.identity(), AuthMethod='None'))
    session.login_step(connection, OPERATIONAL, None, {'MaxBurstLength': '65536'})
    target.refused(0x0200, lambda: session.login_step(
        connection, OPERATIONAL, None, {'MaxBurstLength': '32768'}))


@case('a name or session type that is another in the operational stage is refused with 0200, the same is not')
def _(target):
    for key, value in (('InitiatorName', 'iqn.2026-11.org.example:else'), ('TargetName', IQN + '-other'),
                       ('SessionType', 'Discovery')):
        session = target.session()
        connection = session.connect()
        session.login_step(connection, SECURITY, OPERATIONAL, dict(session.identity(), AuthMethod='None'))
        target.refused(0x0200, lambda: session.login_step(  # pylint: disable=cell-var-from-loop
            connection, OPERATIONAL, None, dict(session.identity(), **{key: value})))
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, OPERATIONAL, dict(session.identity(), AuthMethod='None'))
    session.login_step(connection, OPERATIONAL, None, session.identity())   # as libiscsi does


@case('a declared name that changes is refused with 0200')
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, None, session.identity())
    target.refused(0x0200, lambda: session.login_step(
        connection, SECURITY, None, {'TargetName': target.iqn}))


def _header_is_refused(target, status, csg=SECURITY, nsg=OPERATIONAL, **fields):
    session = target.session()
    connection = session.connect()
    target.refused(status, lambda: session.login_step(
        connection, csg, nsg, dict(session.identity(), AuthMethod='None'), **fields))


@case('the reserved stage 2 is refused with 0200')
def _(target):
    _header_is_refused(target, 0x0200, csg=2, nsg=FULL_FEATURE)


@case('a transition into the reserved stage 2 is refused with 0200')
def _(target):
    _header_is_refused(target, 0x0200, csg=SECURITY, nsg=2)
    _header_is_refused(target, 0x0200, csg=OPERATIONAL, nsg=2)


@case('a request of more than 8192 bytes is refused with 0200 or ends the connection')
def _(target):
    session = target.session()
    connection = session.connect()
    filler = [('X-org.example.filler%02d' % number, 'v' * 200) for number in range(37)]
    whole = wire.text_segment(list(session.identity().items()) + [('AuthMethod', 'None')] + filler)
    assert len(whole) > 8192
    session.login_request(connection, SECURITY, OPERATIONAL, raw=whole)
    assert all(pdu.login_status == 0x0200 for pdu in connection.expect_closed())


@case('a transition backwards is refused with 0200')
def _(target):
    _header_is_refused(target, 0x0200, csg=OPERATIONAL, nsg=SECURITY)


@case('T together with C is refused with 0200')
def _(target):
    _header_is_refused(target, 0x0200, more=True)


@case('an operational key in the security stage is refused with 0200')
def _(target):
    session = target.session()
    connection = session.connect()
    target.refused(0x0200, lambda: session.login_stage(
        connection, SECURITY, OPERATIONAL,
        dict(session.identity(), AuthMethod='None', MaxBurstLength='65536')))


@case('another task tag in the middle of a login is refused with 0200')
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, OPERATIONAL,
                       dict(session.identity(), AuthMethod='None'), itt=1)
    target.refused(0x0200, lambda: session.login_step(
        connection, OPERATIONAL, FULL_FEATURE, OFFER, itt=2))


@case('a text that is no key=value is refused with 0200')
def _(target):
    for raw in (b'InitiatorName\0', b'=value\0', b'InitiatorName=' + b'a' * 300 + b'\0',
                b'9lower=1\0', b'Initiator Name=x\0', b'InitiatorName=iqn.2026-11.org.example:x'):
        session = target.session()
        connection = session.connect()
        target.refused(0x0200, lambda: session.login_step(  # pylint: disable=cell-var-from-loop
            connection, SECURITY, OPERATIONAL, raw=raw))


@case('a request other than login before full feature phase ends the connection')
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, OPERATIONAL,
                       dict(session.identity(), AuthMethod='None'))
    session.nop()
    seen = connection.expect_closed()
    assert all(pdu.opcode == wire.LOGIN_RESPONSE and pdu.login_status == 0x020b
               for pdu in seen), seen


@case('a login request in full feature phase is a protocol error')
def _(target):
    session = target.login()
    session.login_request(session.connection, SECURITY, OPERATIONAL, session.identity())
    seen = session.connection.expect_closed()
    assert all(pdu.opcode == wire.REJECT and pdu.reason == 4 or
               pdu.opcode == wire.LOGIN_RESPONSE for pdu in seen), seen


@case('a refused login leaves other sessions alone')
def _(target):
    session = target.login()
    try:
        target.login(iqn=IQN + '-not-here')
    except Refused:
        pass
    session.alive()


if __name__ == '__main__':
    main(__file__)
