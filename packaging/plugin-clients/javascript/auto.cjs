'use strict'
// Starts itself from the environment: `node --require @plugmend/plugin-client/auto shop.js`.
const { init } = require('./index.cjs')

const { MOLAM_PLUGIN_CONFIG, PLUGMEND_SOCKET, PLUGMEND_UDP } = process.env
if (MOLAM_PLUGIN_CONFIG || PLUGMEND_SOCKET || PLUGMEND_UDP) init()
