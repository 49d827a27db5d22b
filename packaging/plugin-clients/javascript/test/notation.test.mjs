import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const require = createRequire(import.meta.url)
const { event, env, text, version, words } = require('../lib/events.cjs')
const { json, statsd } = require('../lib/notation.cjs')

test('a request is one metric, and two when it says how long it took', () => {
  assert.equal(statsd(event.request(true), '1.2.3'), 'requests:1|c|#ok:true,version:1.2.3\n')
  assert.equal(statsd(event.request(false, 12.5)), 'requests:1|c|#ok:false\nlatency:12.5|ms\n')
  assert.equal(json(event.request(true, 12), '1.2.3'), '{"type":"request","ok":true,"ms":12,"version":"1.2.3"}\n')
})

test('a webhook, an error, a counter and a gauge have the names that the detectors know', () => {
  assert.equal(statsd(event.webhook(false)), 'webhook:1|c|#ok:false\n')
  assert.equal(statsd(event.error('words')), 'errors:1|c\n')
  assert.equal(statsd(event.counter('payments', 2)), 'payments:2|c\n')
  assert.equal(statsd(event.gauge('queue', -1)), 'queue:-1|g\n')
  assert.equal(json(event.error('card gateway: time-out')), '{"type":"error","message":"card gateway: time-out"}\n')
})

test('what DogStatsD can not say is left out there', () => {
  assert.equal(statsd(event.hello({ node: '20' }), '1.0.0'), '')
})

test('names, numbers and times that are not in order are refused before they are sent', () => {
  for (const name of ['', '9lives', 'a b', 'a|b', 'a\nb', 'x'.repeat(91), null, { toString: () => 'ok' }]) {
    assert.equal(event.counter(name, 1), null)
    assert.equal(event.gauge(name, 1), null)
  }
  for (const value of [NaN, Infinity, -1, '1', undefined]) assert.equal(event.counter('orders', value), null)
  for (const ms of [NaN, -1, 86_400_001, '5', null]) assert.equal(event.request(true, ms).ms, undefined)
  for (const bad of ['', 'a,b', '1.0|c', '1\n2', 'v'.repeat(65), 7]) assert.equal(version(bad), undefined)
})

test('no line is longer than the agent reads, whatever it is made of', () => {
  const worst = '\u0001'.repeat(10_000)
  const values = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${'e'.repeat(37)}${n}`, worst]))
  for (const said of [event.hello(values), event.error(worst), event.request(true, 1e-7)]) {
    assert.ok(Buffer.byteLength(json(said, 'v'.repeat(64))) <= 8192)
  }
  assert.equal(Object.keys(env(values)).length, 16)
})

test('text that UTF-8 can not write is mended, since the agent would refuse the line', () => {
  assert.equal(text('a\ud800b'), 'a\ufffdb')
  assert.equal(text('x'.repeat(199) + '😀').length, 200)
})

test('the words of an error are its first line, from whatever a plugin has at hand', () => {
  assert.equal(words('payment', new Error("declined\n    at pay('4242')")), 'payment: declined')
  assert.equal('message' in JSON.parse(json(event.error(null))), false)
  assert.equal(words('payment', new Error('declined')), 'payment: declined')
  assert.equal(words('payment', { message: 'declined', card: '4242' }), 'payment: declined')
  assert.equal(words('payment', 'declined'), 'payment: declined')
  assert.equal(words('payment', { card: '4242' }), 'payment')
  assert.equal(words(new Error('declined')), 'declined')
})
