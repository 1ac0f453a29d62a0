# SPDX-License-Identifier: BSD-3-Clause
"""Text keys, what the dialogues leave out (RFC 7143 6.2, 13)."""
import dialogue  # noqa: F401  pylint: disable=unused-import
import wire
from peer import IQN, OFFER, Closed, Refused, case, main, ram
from session import FULL_FEATURE, OPERATIONAL, SECURITY

MANY = {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {'max-connections': 4}}}
TWO = {IQN: {'portals': ['test'], 'luns': {0: ram()}}, IQN + '-other': {'portals': ['test'], 'luns': {0: ram()}}}
FIRST_PORTALS = {'test': {'listen': ['127.0.0.1:$PORT', '127.0.0.2:$PORT'], 'tag': 1}}


def operational(target, **more):
    session = target.session(**more)
    connection = session.connect()
    session.login_stage(connection, SECURITY, OPERATIONAL,
                        dict(session.identity(), AuthMethod='None'))
    return session, connection


def offer(target, pairs, **more):
    """Offers pairs in one PDU of the operational stage: the answers, or the status of the refusal."""
    session, connection = operational(target, **more)
    try:
        return session.login_step(connection, OPERATIONAL, None, pairs).keys()
    except Refused as refusal:
        connection.expect_closed()
        return refusal.status


def not_taken(target, key, value):
    answer = offer(target, {key: value})
    assert answer == 0x0200 or (isinstance(answer, dict) and answer.get(key) == 'Reject'), \
        '%s=%s gave %r' % (key, value, answer)


@case('a list of digests without one that is known is rejected or ends the login')
def _(target):
    for key in ('HeaderDigest', 'DataDigest'):
        not_taken(target, key, 'Y-one,Y-two')
        not_taken(target, key, 'crc32c')


@case('digests are in force from the first PDU of full feature phase, on each connection its own',
      own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4', HeaderDigest='CRC32C', DataDigest='None')
    session.login(cid=1, offer={'HeaderDigest': 'None', 'DataDigest': 'CRC32C',
                                'MaxRecvDataSegmentLength': '65536'})
    for connection in session.connections:
        session.write(3, b'd' * 4096, connection=connection).good()
        assert session.read(3, 8, connection=connection).good().data == b'd' * 4096


@case('keys of a normal session are Irrelevant in a discovery session')
def _(target):
    answers = offer(target, {'MaxConnections': '4', 'TaskReporting': 'FastAbort',
                             'iSCSIProtocolLevel': '2', 'InitialR2T': 'No', 'ImmediateData': 'Yes',
                             'FirstBurstLength': '65536', 'MaxBurstLength': '65536',
                             'MaxOutstandingR2T': '4'}, discovery=True)
    assert answers != 0x0200, 'refused'
    for key in ('MaxConnections', 'TaskReporting', 'iSCSIProtocolLevel'):
        assert answers[key] == 'Irrelevant', answers
    assert 'NotUnderstood' not in answers.values(), answers


@case('FirstBurstLength without immediate and unsolicited data is a number or Irrelevant')
def _(target):
    answers = offer(target, {'InitialR2T': 'Yes', 'ImmediateData': 'No', 'FirstBurstLength': '65536'})
    assert answers['FirstBurstLength'] in ('Irrelevant', '65536'), answers


@case('ErrorRecoveryLevel is 0 in a discovery session')
def _(target):
    assert offer(target, {'ErrorRecoveryLevel': '2'}, discovery=True)['ErrorRecoveryLevel'] == '0'


@case('MaxOutstandingR2T is the smaller value, and at least 1')
def _(target):
    assert offer(target, {'MaxOutstandingR2T': '1'})['MaxOutstandingR2T'] == '1'
    assert 1 <= int(offer(target, {'MaxOutstandingR2T': '65535'})['MaxOutstandingR2T']) < 65535
    not_taken(target, 'MaxOutstandingR2T', '65536')


@case('iSCSIProtocolLevel is the smaller value')
def _(target):
    assert offer(target, {'iSCSIProtocolLevel': '1'})['iSCSIProtocolLevel'] == '1'
    assert offer(target, {'iSCSIProtocolLevel': '31'})['iSCSIProtocolLevel'] == '2'
    not_taken(target, 'iSCSIProtocolLevel', '32')


@case('TaskReporting is the first value of the list that both have')
def _(target):
    for offered, result in (('FastAbort,ResponseFence,RFC3720', 'FastAbort'),
                            ('ResponseFence,RFC3720', 'ResponseFence'),
                            ('X-other,RFC3720', 'RFC3720'), ('RFC3720,FastAbort', 'RFC3720')):
        assert offer(target, {'TaskReporting': offered})['TaskReporting'] == result, offered


@case('TaskReporting without a known value is rejected or ends the login')
def _(target):
    not_taken(target, 'TaskReporting', 'X-other')


@case('X-NodeArchitecture changes nothing')
def _(target):
    answers = offer(target, {'X#NodeArchitecture': 'x86_64, a test', 'MaxBurstLength': '65536'})
    assert answers['MaxBurstLength'] == '65536', answers
    assert target.login(**{'X#NodeArchitecture': 'x86_64'}).negotiated['MaxBurstLength'] == '262144'


@case('the second connection of a session names its initiator, too', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4')
    connection = session.connect(cid=1)
    target.refused(0x0207, lambda: session.login_step(
        connection, SECURITY, OPERATIONAL,
        {'SessionType': 'Normal', 'TargetName': IQN, 'AuthMethod': 'None'}))
    session.alive()


@case('InitiatorAlias is taken in login and in full feature phase')
def _(target):
    session = target.login(InitiatorAlias='a test of aliases')
    answer = session.text({'InitiatorAlias': 'another'})
    assert answer.final and 'NotUnderstood' not in answer.data.decode(), answer.text()
    session.alive()


@case('a key that only targets send is no offer')
def _(target):
    for key, value in (('TargetAlias', 'x'), ('TargetAddress', '192.0.2.1'),
                       ('TargetPortalGroupTag', '1')):
        answer = offer(target, {key: value})
        assert answer == 0x0200 or answer.get(key) in ('Reject', 'Irrelevant'), answer
        session = target.session()
        connection = session.connect()
        try:
            answer = session.login_step(connection, SECURITY, None, dict(session.identity(), **{key: value}))
            assert answer.keys().get(key) in ('Reject', 'Irrelevant'), answer.text()
        except Refused as refusal:
            assert refusal.status == 0x0200, '%04x' % refusal.status


@case('an initiator that does not understand a required key is not let in')
def _(target):
    session = target.session()
    connection = session.connect()
    response, answers = session.login_stage(connection, SECURITY, OPERATIONAL,
                                            dict(session.identity(), AuthMethod='None'))
    assert response.final and 'TargetPortalGroupTag' in answers
    try:
        session.login_step(connection, OPERATIONAL, FULL_FEATURE,
                           {'TargetPortalGroupTag': 'NotUnderstood'})
    except (Refused, Closed):
        return
    raise AssertionError('let in')


@case('the constants of negotiation are no offers')
def _(target):
    for key in ('MaxBurstLength', 'InitialR2T', 'HeaderDigest', 'ErrorRecoveryLevel'):
        for value in ('Reject', 'Irrelevant', 'NotUnderstood'):
            not_taken(target, key, value)


@case('a range is no value of a number')
def _(target):
    not_taken(target, 'MaxBurstLength', '512~65536')
    not_taken(target, 'MaxRecvDataSegmentLength', '512~65536')


@case('a key is at most 63 characters and a value at most 255')
def _(target):
    longest = 'X-' + 'k' * 61
    assert offer(target, {longest: 'v' * 255})[longest] == 'NotUnderstood'
    assert offer(target, {longest + 'k': 'v'}) == 0x0200
    for key in ('InitiatorAlias', 'MaxBurstLength', 'HeaderDigest'):
        not_taken(target, key, 'v' * 256)
    assert offer(target, {'MaxBurstLength': '65536'.rjust(255, '0')})['MaxBurstLength'] == '65536'
    not_taken(target, 'MaxBurstLength', '65536'.rjust(256, '0'))


@case('keys are case sensitive')
def _(target):
    assert offer(target, {'Maxburstlength': '65536'})['Maxburstlength'] == 'NotUnderstood'


@case('a negotiation that fails in full feature phase leaves the old values')
def _(target):
    session = target.login(MaxRecvDataSegmentLength='4096')
    session.request(wire.TEXT_REQUEST,
                    wire.text_segment([('MaxRecvDataSegmentLength', '65536'), ('MaxBurstLength', '512')]),
                    flags=wire.FINAL, ttt=wire.NO_TAG)
    answer = session.connection.receive()
    if answer.opcode == wire.TEXT_RESPONSE:     # the one key is refused alone
        assert answer.keys().get('MaxBurstLength') in ('Reject', 'Irrelevant'), answer.text()
        session.connection.own_mrdsl = 65536
    else:
        assert answer.opcode == wire.REJECT, repr(answer)
    task = session.read(0, 128).good()
    assert max(len(pdu.data) for pdu in task.data_ins) == session.connection.own_mrdsl
    assert not any(pdu.final for pdu in task.data_ins[:-1]), 'the bursts became shorter'


@case('MaxRecvDataSegmentLength out of range is refused in full feature phase, and the old one holds')
def _(target):
    session = target.login(MaxRecvDataSegmentLength='4096')
    for value in ('0', '511', '16777216', 'many', '512~8192', ''):
        session.request(wire.TEXT_REQUEST, wire.text_segment({'MaxRecvDataSegmentLength': value}),
                        flags=wire.FINAL, ttt=wire.NO_TAG)
        answer = session.connection.receive()
        assert answer.opcode == wire.REJECT or answer.text() == [('MaxRecvDataSegmentLength', 'Reject')], value
    task = session.read(0, 64).good()
    assert {len(pdu.data) for pdu in task.data_ins} == {4096}


@case('a text exchange that breaks off has changed nothing')
def _(target):
    session = target.login(MaxRecvDataSegmentLength='4096')
    for bad in (b'no pair\0', b'=\0'):
        first = session.request(wire.TEXT_REQUEST, wire.text_segment({'MaxRecvDataSegmentLength': '65536'}),
                                flags=0, ttt=wire.NO_TAG)
        answer = session.connection.expect(wire.TEXT_RESPONSE)
        session.request(wire.TEXT_REQUEST, bad, flags=wire.FINAL, itt=first.itt, ttt=answer.ttt,
                        lun_bytes=answer.lun_bytes)
        assert session.connection.expect(wire.REJECT).reason == 4
    session.request(wire.TEXT_REQUEST, wire.text_segment({'MaxRecvDataSegmentLength': '65536'}), flags=0,
                    ttt=wire.NO_TAG)
    session.connection.expect(wire.TEXT_RESPONSE)
    assert session.text({}).final                       # begins anew
    task = session.read(0, 64).good()
    assert {len(pdu.data) for pdu in task.data_ins} == {4096}


@case('SendTargets tells every address of the portal group', own=dict(portals=FIRST_PORTALS))
def _(target):
    session = target.login(discovery=True)
    pairs = session.text({'SendTargets': 'All'}).text()
    port = target.address[1]
    assert sorted(pairs) == [('TargetAddress', '127.0.0.1:%d,1' % port),
                             ('TargetAddress', '127.0.0.2:%d,1' % port), ('TargetName', IQN)], pairs


@case('SendTargets of an unknown name is an empty answer')
def _(target):
    session = target.login(discovery=True)
    assert session.text({'SendTargets': IQN + '-not-here'}).text() == []


@case('SendTargets in a normal session names no other target', own=dict(targets=TWO))
def _(target):
    session = target.login()
    for name in (IQN + '-other', IQN + '-not-here'):
        answer = session.text({'SendTargets': name}).text()
        assert answer in ([], [('SendTargets', 'Reject')]), answer
    for name in ('All', ''):
        told = [value for key, value in session.text({'SendTargets': name}).text() if key == 'TargetName']
        assert told == [IQN], told


@case('a discovery session takes no NOP, no task management, no other key and no recovery')
def _(target):
    session = target.login(discovery=True)
    pairs = session.text({'SendTargets': IQN, 'InitialR2T': 'No', 'X-unknown': '1'}).keys()
    assert pairs['X-unknown'] == 'NotUnderstood' and pairs['TargetName'] == IQN, pairs
    assert pairs['InitialR2T'] == 'Irrelevant', pairs
    for immediate in (True, False):
        session.nop(b'ping', immediate=immediate)
        assert session.connection.expect(wire.REJECT).reason in (4, 5)
    session.nop(itt=wire.NO_TAG, immediate=True)        # wants no answer, and gets none
    session.request(wire.TASK_REQUEST, flags=wire.FINAL | 5, immediate=True)
    assert session.connection.expect(wire.REJECT).reason in (4, 5)
    session.request(wire.SCSI_COMMAND, flags=wire.FINAL, immediate=True)
    assert session.connection.expect(wire.REJECT).reason in (4, 5)
    session.request(wire.LOGOUT_REQUEST, flags=wire.FINAL | 1, immediate=True)
    assert session.connection.expect(wire.REJECT).reason in (4, 5)
    assert session.logout(reason=2).response == 2
    assert session.logout(reason=0).response == 0
    session.connection.expect_closed()


if __name__ == '__main__':
    main(__file__)
