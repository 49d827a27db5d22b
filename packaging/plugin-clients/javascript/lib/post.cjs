'use strict'
const http = require('node:http')
const https = require('node:https')
const { guard, later } = require('./guard.cjs')

/** Of the whole exchange. */
const PATIENCE_MS = 10_000
/** The longest answer that is read, in bytes. */
const MAX_ANSWER = 256 * 1024

/** The address to post to, or `null`: the secret goes over HTTPS, or to this machine. */
function base(text) {
  let url
  try {
    url = new URL(text)
  } catch {
    return null
  }
  const here = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  const fine = (url.protocol === 'https:' || (url.protocol === 'http:' && here)) && !url.username && !url.password
  return fine ? url.href.replace(/\/+$/, '') : null
}

/** The whole answer as data, when it is a success of at most `MAX_ANSWER` bytes. */
function read(response, resolve) {
  const chunks = []
  let length = 0
  response.on('data', (chunk) => {
    length += chunk.length
    if (length > MAX_ANSWER) response.destroy(new Error('the answer is too long'))
    else chunks.push(chunk)
  })
  response.on('end', () => {
    const text = Buffer.concat(chunks).toString('utf8')
    const fine = response.statusCode >= 200 && response.statusCode < 300
    guard(() => fine && resolve(text === '' ? {} : JSON.parse(text)))
  })
}

/**
 * Posts JSON; the answer as data. Rejects on anything but success: redirects too, since the secret stays here. It does not
 * keep the process alive: a shop's script that is done ends, whether or not a heartbeat was under way.
 */
function post(url, headers, body) {
  return new Promise((resolve, reject) => {
    const data = Buffer.from(JSON.stringify(body))
    const all = { 'content-type': 'application/json', 'content-length': data.length, accept: 'application/json', ...headers }
    const { request } = url.startsWith('https:') ? https : http
    const sent = request(url, { method: 'POST', headers: all, agent: false }, (response) => {
      response.on('error', reject)
      read(response, resolve)
    })
    const deadline = later(PATIENCE_MS, () => sent.destroy(new Error('no answer in time')))
    sent.on('socket', (socket) => socket.unref())
    sent.on('error', reject)
    sent.on('close', () => {
      clearTimeout(deadline)
      reject(new Error('no answer that can be used'))
    })
    sent.end(data)
  })
}

module.exports = { base, post }
