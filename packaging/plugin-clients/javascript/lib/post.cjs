'use strict'

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

/** Reads at most `MAX_ANSWER` bytes of an answer. */
async function read(response) {
  const chunks = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_ANSWER) throw new Error('the answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Posts JSON; the answer as data. Throws on anything but success. Redirects are not followed: the secret stays here. */
async function post(url, headers, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  const answer = await read(response)
  if (!response.ok) throw new Error(`the control plane answered ${response.status}`)
  return answer === '' ? {} : JSON.parse(answer)
}

module.exports = { base, post }
