import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const require = createRequire(import.meta.url)
const { Queue, MAX_AGE_MS } = require('../lib/queue.cjs')
const { Rolling } = require('../lib/rolling.cjs')

test('a full queue gives up the oldest and counts them', () => {
  const queue = new Queue({ max: 3 })
  for (const line of ['a', 'b', 'c', 'd', 'e']) queue.push(line)
  assert.equal(queue.take(100), 'cde')
  assert.equal(queue.dropped, 2)
})

test('what has waited too long is given up: it would be counted as of now', () => {
  let now = 0
  const queue = new Queue({ now: () => now })
  queue.push('old')
  now = MAX_AGE_MS + 1
  queue.push('new')
  assert.equal(queue.take(100), 'new')
  assert.equal(queue.dropped, 1)
})

test('lines are taken up to the size asked for, and never none', () => {
  const queue = new Queue()
  for (const line of ['aaaa', 'bbbb', 'cc']) queue.push(line)
  assert.equal(queue.take(8), 'aaaabbbb')
  assert.equal(queue.take(1), 'cc')
  assert.equal(queue.take(1), '')
})

test('a rolling sum forgets what is older than its span', () => {
  const errors = new Rolling(24, 1000)
  errors.add(500, 3)
  errors.add(1500, 4)
  assert.equal(errors.sum(1500), 7)
  assert.equal(errors.sum(24_100), 4)
  assert.equal(errors.sum(25_100), 0)
  errors.add(10_000_000, 1)
  assert.equal(errors.sum(10_000_000), 1)
})
