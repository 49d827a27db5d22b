'use strict'
// The one rule of this client: whatever goes wrong in it, the shop does not notice.

/** Runs `work`; an exception ends here, and `otherwise` is the answer. */
function guard(work, otherwise) {
  try {
    return work()
  } catch {
    return otherwise
  }
}

/** The same for work that takes time. The promise never rejects. */
async function guardAsync(work, otherwise) {
  try {
    return await work()
  } catch {
    return otherwise
  }
}

/** A timer that does not keep the process alive. */
function later(ms, work) {
  const timer = setTimeout(() => guard(work), ms)
  timer.unref()
  return timer
}

module.exports = { guard, guardAsync, later }
