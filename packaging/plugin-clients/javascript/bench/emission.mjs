// What one request of a shop pays for saying how it went, and a webhook: the calls, and the write that follows them in the
// same turn of the event loop; by the clock, and by the processor time that the process used (which on a busy machine says more).
// Needs no agent: receivers are made here.
//
//     node bench/emission.mjs [ROUNDS]
import { createRequire } from 'node:module'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'

const { createClient } = createRequire(import.meta.url)('../index.cjs')
const rounds = Number(process.argv[2] ?? 20_000)
const folder = mkdtempSync(join(tmpdir(), 'plugmend-bench-'))

function percentiles(times) {
  times.sort((a, b) => a - b)
  return [0.5, 0.99, 0.999, 1].map((share) => times[Math.floor(share * (rounds - 1))].toFixed(0).padStart(8)).join('')
}

async function measure(name, options) {
  const client = createClient({ pluginVersion: '1.2.3', ...options })
  await new Promise((resolve) => setTimeout(resolve, 100))
  const [wall, used] = [[], []]
  for (let n = 0; n < rounds; n += 1) {
    const before = process.cpuUsage()
    const began = process.hrtime.bigint()
    client.request(true, 12.5)
    client.webhook(true)
    // The client's own write is queued before this one, so it is on the clock.
    await new Promise(setImmediate)
    wall.push(Number(process.hrtime.bigint() - began) / 1000)
    const { user, system } = process.cpuUsage(before)
    used.push(user + system)
  }
  console.log(name.padEnd(32), percentiles(wall), ' |', percentiles(used), `  dropped ${client.dropped}`)
  await client.close()
}

const reading = createServer((socket) => socket.resume()).listen(join(folder, 'reading'))
const silent = createServer((socket) => socket.pause()).listen(join(folder, 'silent'))
await Promise.all([once(reading, 'listening'), once(silent, 'listening')])
const columns = '     p50     p99   p99.9 slowest'
console.log(`one request (µs), ${rounds} rounds`.padEnd(32), columns, ' |', columns, ' of processor time')
await measure('nobody', {})
await measure('agent reads', { socket: join(folder, 'reading') })
await measure('agent does not read', { socket: join(folder, 'silent') })
await measure('agent gone', { socket: join(folder, 'gone') })
await measure('UDP, nobody there', { udp: '127.0.0.1:9' })
rmSync(folder, { recursive: true })
process.exit()
