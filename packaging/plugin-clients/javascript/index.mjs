// One client a process, however it is loaded: this hands on what the CommonJS module has.
import client from './index.cjs'

export const {
  createClient, init, request, error, webhook, payment, count, gauge, observe, logError, trackWebhookCall,
  sendHeartbeat, processCommands, flush, close,
} = client
