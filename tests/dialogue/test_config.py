# SPDX-License-Identifier: BSD-3-Clause
"""The command line: --check and its messages, --list-plugins, --describe, exit codes."""
import os
import pathlib
import re
import subprocess
import tempfile

from peer import IQN, LIMIT, Settings, case, main, ram, serve

HEAD = 'version: 1\nportals:\n  san: { listen: ["127.0.0.1:13999"] }\n'
LUNS = '    luns:\n      0: { handler: ram, options: { size: 1M } }\n'
NAME = 'iqn.2026-11.org.example:disk1'
GOOD = HEAD + 'targets:\n  %s:\n    portals: [san]\n' % NAME + LUNS


def holdfastd(*arguments, plugins=None, **more):
    environment = dict(os.environ, HOLDFAST_PLUGIN_DIR=plugins or Settings.plugins[0])
    more = more or {'capture_output': True}
    return subprocess.run([Settings.daemon, *arguments], text=True, timeout=LIMIT, env=environment,
                          check=False, **more)


def check(text, files=()):
    """--check of this text; returns (exit code, all it said, the file's path)."""
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        path = pathlib.Path(folder, 'test.yaml')
        for name, content, mode in files:
            other = pathlib.Path(folder, name)
            other.write_text(content, encoding='utf-8')
            other.chmod(mode)
        text = text.replace('version: 1\n', 'version: 1\ndaemon: { plugin-path: [%s] }\n' %
                            ', '.join('"%s"' % p for p in Settings.plugins)) \
            if 'daemon:' not in text else text
        path.write_text(text.replace('$FOLDER', folder), encoding='utf-8')
        done = holdfastd('--check', '-c', str(path))
        return done.returncode, done.stdout + done.stderr, str(path)


def line_of(text, word):
    """The number and column (from 1) of the first place of a word in what check() wrote (which has
    one line more than the text of the test)."""
    for number, line in enumerate(text.splitlines(), 1):
        if word in line:
            return number + (number > 1), line.index(word) + 1
    raise ValueError(word)


def complains(text, word, *said, files=()):
    """--check fails with a message at the word's place that says all of these."""
    code, out, path = check(text, files)
    assert code == 1, 'exit code %d\n%s' % (code, out)
    number, column = line_of(text, word)
    place = '%s:%d:%d:' % (path, number, column)
    matching = [line for line in out.splitlines() if line.startswith(place)]
    assert matching, 'nothing at %s in\n%s' % (place, out)
    for words in said:
        assert any(words in line for line in matching), 'no %r in\n%s' % (words, out)


@case('a good file passes with exit code 0', alone=True)
def _():
    code, out, _ = check(GOOD)
    assert code == 0, out


@case('an unknown key is named with its place and the nearest known one', alone=True)
def _():
    complains(GOOD + '    alais: x\n', 'alais', 'alais', 'alias')
    complains(GOOD.replace('targets:', 'tragets:'), 'tragets', 'targets')
    complains(GOOD + '    session: { max-connection: 2 }\n', 'max-connection', 'max-connections')


@case('an unknown key of a plugin is named the same way', alone=True)
def _():
    complains(GOOD.replace('size: 1M', 'siez: 1M'), 'siez', 'size')
    complains(HEAD + 'targets:\n  %s:\n    luns:\n' % NAME +
              '      0: { handler: file, options: { pth: /tmp/x, size: 1M } }\n', 'pth', 'path')


@case('a wrong type, a wrong unit and a value out of range have their place', alone=True)
def _():
    complains(GOOD.replace('size: 1M', 'size: large'), 'large')
    complains(GOOD.replace('size: 1M', 'size: 1Q'), '1Q')
    complains(GOOD.replace('size: 1M', 'size: -77'), '-77')
    complains(GOOD.replace('size: 1M', 'size: 99999999999G'), '99999999999G')
    complains(GOOD + '    session: { max-connections: 88 }\n', '88')
    complains(GOOD + '    session: { max-connections: [1] }\n', '[1]')
    complains(GOOD + '    session: { initial-r2t: maybe }\n', 'maybe')
    complains(GOOD + '    session: { header-digest: [crc16] }\n', 'crc16', 'crc32c')


@case('all errors are reported, not only the first', alone=True)
def _():
    text = GOOD.replace('size: 1M', 'siez: 1M') + '    alais: x\n    session: { max-burst-lenght: 1 }\n'
    _, out, path = check(text)
    assert len({line for line in out.splitlines() if line.startswith(path + ':')}) >= 3, out
    for word in ('siez', 'alais', 'max-burst-lenght'):
        assert word in out, out


@case('a key given twice is an error', alone=True)
def _():
    code, out, _ = check(GOOD + LUNS)
    assert code == 1 and 'luns' in out, out
    code, out, _ = check(GOOD.replace('portals: [san]\n', 'portals: [san]\n' + LUNS, 1))
    assert code == 1, out
    code, out, _ = check(GOOD + '      0: { handler: ram, options: { size: 1M } }\n')
    assert code == 1 and '0' in out, out


@case('what is referred to must exist', alone=True)
def _():
    complains(GOOD.replace('portals: [san]', 'portals: [sun]'), 'sun', 'san')
    complains(GOOD + '    auth: lab\n', 'lab')
    complains(GOOD.replace('handler: ram', 'handler: rma'), 'rma', "'rma'")


@case('redirections and discovery are checked at their place', alone=True)
def _():
    complains(GOOD + '    redirect: { to: "0.0.0.0" }\n', '"0.0.0.0"', 'to go to')
    complains(GOOD + '    redirect: [{ to: 300.1.2.3 }]\n', '300.1.2.3', 'to go to')
    complains(GOOD + '    redirect: [{ to: "san:x" }]\n', '"san:x"', 'to go to')
    complains(GOOD + '    redirect: [{ permanent: yes }]\n', '{ permanent', "'to' is missing")
    complains(GOOD + '    redirect: [{ to: 192.0.2.1, portal: san }]\n', 'portal: san', 'portals')
    complains(GOOD + '    redirect: [{ to: 192.0.2.1, portals: [sun] }]\n', 'sun', 'san')
    complains(GOOD + '    session: { send-targets-all: maybe }\n', 'maybe', 'own')
    complains(GOOD.replace('targets:', 'discovery: { auth: lab }\ntargets:'), 'lab', 'no auth')
    complains(GOOD.replace('targets:', 'discovery: { initiators: 192.0.2.0/99 }\ntargets:'),
              '192.0.2.0/99', 'no network')
    code, out, _ = check(GOOD.replace('targets:', 'discovery: { initiators: "2001:db8::/32" }\ntargets:') +
                         '    redirect: { to: san.example.org, portals: san, permanent: yes }\n')
    assert code == 0, out


@case('names of targets are checked and compared in normal form', alone=True)
def _():
    complains(GOOD.replace(NAME, 'disk1'), 'disk1')
    complains(GOOD.replace(NAME, 'iqn.2026-13.org.example:x'), 'iqn.2026-13')
    code, out, _ = check(GOOD + '  iqn.2026-11.org.example:DISK1:\n' + LUNS)
    assert code == 1 and 'disk1' in out.lower(), out


@case('what is no YAML has a place as well', alone=True)
def _():
    for text in ('version: 1\ntargets: [\n', 'version: 1\n\ttargets:\n', 'version: "1\n', '- 1\n', '',
                 'version: 1\n' + 'a: {' * 5000, '\x00\x01\x02', 'version: *nowhere\n'):
        code, out, path = check(text)
        assert code == 1, repr(text[:40])
        assert re.search(re.escape(path) + r':\d+:\d+: ', out), out


@case('a wrong version of the file is refused', alone=True)
def _():
    complains(GOOD.replace('version: 1', 'version: 2'), '2')
    code, out, _ = check(GOOD.replace('version: 1\n', ''))
    assert code == 1 and 'version' in out, out


@case('a secret file that others can read is refused, and no secret is printed', alone=True)
def _():
    text = GOOD + '    auth: lab\nauth:\n  lab:\n    plugin: chap\n    options:\n' \
        '      users: [ { name: host1, secret-file: $FOLDER/secret } ]\n'
    secret = 'the quick brown fox'
    assert check(text, [('secret', secret, 0o600)])[0] == 0, check(text, [('secret', secret, 0o600)])
    code, out, _ = check(text, [('secret', secret, 0o644)])
    assert code == 1 and 'secret' in out and secret not in out, out
    code, out, _ = check(text)
    assert code == 1 and 'No such file' in out, out


@case('a CHAP secret below 96 bits is told with its place, and the file is good all the same', alone=True)
def _():
    text = GOOD + '    auth: lab\nauth:\n  lab:\n    plugin: chap\n    options:\n      users:\n' \
        '        - { name: long, secret: twelve-bytes }\n        - { name: short, secret: eleven-byte }\n' \
        '        - { name: filed, secret-file: $FOLDER/secret }\n      mutual: { name: target, secret: short }\n'
    code, out, _ = check(text, [('secret', 'xx', 0o600)])
    assert code == 0, out
    found = re.findall(r':(\d+):\d+: (?:warning: )?([a-z-]+): (\d+) bytes; a CHAP secret', out)
    first = int(found[0][0])
    assert found == [(str(first), 'secret', '11'), (str(first + 1), 'secret-file', '2'),
                     (str(first + 2), 'secret', '5')], out
    assert 'eleven-byte' not in out


@case('a file that is not there is told, with exit code 1', alone=True)
def _():
    for arguments in (('--check', '-c', '/nonexistent.yaml'), ('-c', '/nonexistent.yaml')):
        done = holdfastd(*arguments)
        assert done.returncode == 1 and '/nonexistent.yaml' in done.stderr, done


@case('two LUNs on one file are told, unless both only read', alone=True)
def _():
    twice = '    luns:\n      0: { handler: file, options: { path: /srv/a } }\n' \
            '      1: { handler: file, options: { path: /srv/a } }\n'
    for more, told in (('', 1), (', read-only: yes', 0)):
        text = (GOOD + 'OPEN').replace(LUNS + 'OPEN', twice.replace(' } }\n', ' }%s }\n' % more))
        code, said, _ = check(text)
        assert code == 0 and said.count("'/srv/a' is that of the LUN at line") == told, said


@case('a warning does not keep from starting, and is told once', alone=True)
def _():
    twins = {0: ram('1M', serial='twin'), 1: ram('1M', serial='twin')}
    with serve({IQN: {'luns': twins}}) as daemon:
        daemon.wait_log('ready')
        told = [line for line in daemon.log().splitlines() if 'warning: serial' in line]
        assert len(told) == 1, told


@case('a bad file starts nothing', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        path = pathlib.Path(folder, 'bad.yaml')
        path.write_text(GOOD + '    alais: x\n', encoding='utf-8')
        done = holdfastd('-c', str(path))
        assert done.returncode == 1 and 'alais' in done.stderr, done


@case('wrong usage has exit code 2', alone=True)
def _():
    for arguments in ((), ('--check',), ('--no-such-option',), ('-c',), ('-c', 'a', 'b'),
                      ('--check', '-c', 'a', '-c', 'b'), ('--check', '--list-plugins', '-c', 'a')):
        done = holdfastd(*arguments)
        assert done.returncode == 2 and done.stderr, done


@case('what cannot be written to the end has exit code 1', alone=True)
def _():
    with open('/dev/full', 'w', encoding='ascii') as full:
        for arguments in (('--version',), ('--help',), ('--list-plugins',), ('--describe', 'file')):
            done = holdfastd(*arguments, stdout=full, stderr=subprocess.PIPE)
            assert done.returncode == 1 and 'No space left' in done.stderr, done


@case('--list-plugins names every plugin once', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        path = pathlib.Path(folder, 'test.yaml')
        path.write_text(GOOD.replace('version: 1\n', 'version: 1\ndaemon: { plugin-path: [%s] }\n' %
                                     ', '.join('"%s"' % p for p in Settings.plugins)), encoding='utf-8')
        done = holdfastd('--list-plugins', '-c', str(path))
    assert done.returncode == 0, done
    for kind, name in (('handler', 'file'), ('handler', 'block'), ('handler', 'ram'),
                       ('handler', 'null'), ('auth', 'chap')):
        assert any({kind, name} <= set(line.split()) for line in done.stdout.splitlines()), \
            'no %s %s in\n%s' % (kind, name, done.stdout)


@case('where there is no plugin, --list-plugins and --describe tell where they looked', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        for arguments in (('--list-plugins',), ('--describe', 'file')):
            done = holdfastd(*arguments, plugins=folder)
            assert done.returncode == 1 and not done.stdout and folder in done.stderr, done


@case('--describe tells the options of a plugin', alone=True)
def _():
    done = holdfastd('--describe', 'ram')
    assert done.returncode == 0 and 'size' in done.stdout, done
    done = holdfastd('--describe', 'file')
    assert done.returncode == 0 and 'path' in done.stdout and 'size' in done.stdout, done
    done = holdfastd('--describe', 'no-such-plugin')
    assert done.returncode == 1 and 'no-such-plugin' in done.stderr, done


# --- what is wrong with a plugin is said in one line

@case('a plugin that is no plugin is named with its file and the cause', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        (pathlib.Path(folder) / 'odd.so').write_bytes(b'this is no shared object')
        text = GOOD.replace('handler: ram, options: { size: 1M }', 'handler: odd').replace(
            'version: 1\n', 'version: 1\ndaemon: { plugin-path: ["%s"] }\n' % folder)
        code, out, _ = check(text)
    assert code == 1
    lines = [line for line in out.splitlines() if folder + '/odd.so' in line]
    assert len(lines) == 1, out


@case('a shared object without the entry point is named with its file and the cause', alone=True)
def _():
    with tempfile.TemporaryDirectory(prefix='holdfast-test.') as folder:
        source = pathlib.Path(folder, 'odd.c')
        source.write_text('int something_else;\n', encoding='ascii')
        built = os.path.join(folder, 'odd.so')
        subprocess.run(['gcc', '-shared', '-fPIC', '-o', built, str(source)], check=True)
        text = GOOD.replace('handler: ram, options: { size: 1M }', 'handler: odd').replace(
            'version: 1\n', 'version: 1\ndaemon: { plugin-path: ["%s"] }\n' % folder)
        code, out, _ = check(text)
    assert code == 1
    assert any(built in line and 'hf_plugin_v1' in line for line in out.splitlines()), out


if __name__ == '__main__':
    main(__file__)
