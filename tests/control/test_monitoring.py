#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Grafana dashboard and the alert rules for Prometheus speak of what a daemon has, and of nothing else."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

from client import LIMIT, run
import openmetrics
from peer import IQN, Skip, case, main, ram

CONF = pathlib.Path(__file__).resolve().parents[2] / 'conf'
DASHBOARD = CONF / 'grafana/holdfast.json'
RULES = CONF / 'prometheus/holdfast.rules.yml'
ODD = 'iqn.2026-11.org.example:odd'
TARGETS = {IQN: {'luns': {0: ram()}}, ODD: {'initiators': ['iqn.nobody:*'], 'luns': {0: ram('1M')}}}
NAME = re.compile(r'\bholdfast_[a-z0-9_]+')
MATCHERS = re.compile(r'(\w+)\{([^}]*)\}')
GROUPS = re.compile(r'\b(?:by|on|without|ignoring) \(([^)]*)\)')
OUTSIDE = {'instance', 'job'}       # given by Prometheus


def labels_by_sample(target):
    """What every sample is called in Prometheus, and which labels it has."""
    target.login().alive()
    target.refused(0x0202, lambda: target.login(iqn=ODD))
    samples = {}
    for family in openmetrics.parse(run(target.daemon, 'metrics')).values():
        for suffix, labels in family.samples:
            samples.setdefault(family.name + suffix, set()).update(name for name, _ in labels)
    return samples


def check(expression, samples, legend=''):
    names = NAME.findall(expression)
    assert names or 'up{' in expression, expression
    for name in names:
        assert name in samples, 'no such metric: %s in %s' % (name, expression)
    known = set().union(OUTSIDE, *(samples[name] for name in names))
    for name, matchers in MATCHERS.findall(expression):
        mine = samples.get(name, set()) | OUTSIDE
        for label in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)', matchers):
            assert label in mine, '%s has no label %s: %s' % (name, label, expression)
    for group in GROUPS.findall(expression):
        for label in filter(None, re.split(r'[ ,]+', group)):
            assert label in known, 'no label %s: %s' % (label, expression)
    for label in re.findall(r'\{\{ *(\w+) *\}\}', legend):
        assert label in known, 'no label %s: %s' % (label, legend)


@case('the checks of this test find what is wrong', own={'targets': TARGETS})
def _(target):
    samples = labels_by_sample(target)
    check('rate(holdfast_logins_total{instance="a"}[5m])', samples)
    for wrong in ('holdfast_logins', 'holdfast_login_total', 'rate(holdfast_logins_total{target="a"}[5m])',
                  'sum by (lun) (holdfast_sessions)', '5'):
        try:
            check(wrong, samples)
        except AssertionError:
            continue
        raise AssertionError('taken: ' + wrong)


@case('every panel of the dashboard shows something that exists', own={'targets': TARGETS})
def _(target):
    samples = labels_by_sample(target)
    dashboard = json.loads(DASHBOARD.read_text(encoding='utf-8'))
    panels = dashboard['panels']
    assert len({panel['id'] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel['gridPos']
        assert place['x'] + place['w'] <= 24, panel['title']
        if panel['type'] == 'row':
            continue
        assert panel['title'] and panel['description'] and panel['targets'], panel['id']
        for query in panel['targets']:
            check(query['expr'], samples, query['legendFormat'])
    for variable in dashboard['templating']['list']:
        if variable['type'] == 'query':
            name, label = re.fullmatch(r'label_values\((\w+).*, (\w+)\)', variable['definition']).groups()
            assert name in samples and label in samples[name] | OUTSIDE, variable['definition']


@case('no panel lies upon another', own={'start': False})
def _(_):
    taken = {}
    for panel in json.loads(DASHBOARD.read_text(encoding='utf-8'))['panels']:
        place = panel['gridPos']
        for x in range(place['x'], place['x'] + place['w']):
            for y in range(place['y'], place['y'] + place['h']):
                assert (x, y) not in taken, '%s upon %s' % (panel['title'], taken[x, y])
                taken[x, y] = panel['title']


@case('every alert asks for something that exists, says what is wrong and how bad it is', own={'targets': TARGETS})
def _(target):
    samples = labels_by_sample(target)
    sys.path.append('/usr/lib/python3/dist-packages')       # Debian's, whichever python3 this is
    try:
        import yaml
    except ImportError:
        raise Skip('no python3-yaml') from None
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding='utf-8'))['groups'] for rule in group['rules']]
    assert len({rule['alert'] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert set(rule) <= {'alert', 'expr', 'for', 'labels', 'annotations'}, rule
        assert re.fullmatch('Holdfast[A-Za-z]+', rule['alert'])
        assert rule['labels']['severity'] in ('warning', 'critical'), rule
        summary = re.sub(r'\$labels\.', '', rule['annotations']['summary']).replace('{{ $value }}', '')
        check(rule['expr'], samples, summary)


@case('promtool takes the alert rules', own={'start': False})
def _(_):
    if not shutil.which('promtool'):
        raise Skip('no promtool')
    done = subprocess.run(['promtool', 'check', 'rules', str(RULES)], timeout=LIMIT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout


if __name__ == '__main__':
    main(__file__)
