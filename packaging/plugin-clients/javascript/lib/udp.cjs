'use strict'
const dgram = require('node:dgram')
const net = require('node:net')
const { statsd } = require('./notation.cjs')
const { Queue } = require('./queue.cjs')
const { guard } = require('./guard.cjs')

/** Fits a packet on every loopback; the agent takes up to 8,192. */
const MAX_DATAGRAM = 1400

/** `127.0.0.1:8125` or `[::1]:8125`. Names are not looked up: that can block, and telemetry stays on this machine. */
function address(text) {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  const loopback = host === '::1' || (net.isIPv4(host ?? '') && host.startsWith('127.'))
  return loopback && port > 0 && port < 65536 ? { host, port } : null
}

/** DogStatsD over UDP on loopback. Nobody learns whether the agent is there. */
class UdpTransport {
  #to
  #queue = new Queue()
  #socket
  #scheduled = false
  #closed = false
  #lost = 0
  #sending = 0

  constructor(to) {
    this.#to = to
    this.#socket = dgram.createSocket(net.isIPv6(to.host) ? 'udp6' : 'udp4')
    this.#socket.unref()
    this.#socket.on('error', () => {})
  }

  get dropped() {
    return this.#queue.dropped + this.#lost
  }

  get waiting() {
    return this.#queue.length + this.#sending
  }

  send(event, version) {
    const lines = statsd(event, version)
    if (this.#closed || lines === '') return
    this.#queue.push(lines)
    if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => guard(() => this.#write()))
    }
  }

  async flush(ms) {
    const until = performance.now() + ms
    guard(() => this.#write())
    while (this.waiting > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5))
    return this.waiting === 0
  }

  close() {
    if (this.#closed) return
    this.#closed = true
    this.#socket.close()
  }

  #write() {
    this.#scheduled = false
    while (this.#queue.length > 0 && !this.#closed) {
      const datagram = this.#queue.take(MAX_DATAGRAM)
      if (datagram === '') continue
      this.#sending += 1
      this.#socket.send(datagram, this.#to.port, this.#to.host, (error) => {
        this.#sending -= 1
        if (error) this.#lost += 1
      })
    }
  }
}

module.exports = { UdpTransport, address }
