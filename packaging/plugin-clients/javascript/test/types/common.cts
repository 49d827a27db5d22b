// The same package by require.
import plugmend = require('../../index.cjs')

const client: plugmend.Client = plugmend.init({ udp: '127.0.0.1:8125' })
client.count('orders', 2)
client.gauge('queue', 17)
client.observe({ statusCode: 200, once: () => undefined })
