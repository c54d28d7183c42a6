// A Yjs editor in a room: connects as PROTOCOL.md says, types at random, and tells its text when it sees the end.
//
// node editor.mjs <ws url> <room> <edits> <seed>

import WebSocket from 'ws'
import * as Y from 'yjs'

const [url, room, edits, seed] = process.argv.slice(2)

let state = Number(seed)
const random = (below) => {
  // xorshift32
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % below
}

const doc = new Y.Doc()
const text = doc.getText('text')
const socket = new WebSocket(url, 'shared-state.v1.json')
const send = (type, payload, inRoom = true) =>
  socket.send(JSON.stringify(inRoom ? { type, room, payload } : { type, payload }))

let version = 0
let seq = 0
let unanswered = 0
let left = Number(edits)
let window = 1

const fromServer = (updates) => {
  for (const { key, op, value } of updates) {
    if (key === 'body' && op === 'edit') {
      Y.applyUpdate(doc, Buffer.from(value, 'base64'), 'room')
    } else if (key === 'title') {
      console.log(JSON.stringify(text.toString()))
      socket.close()
    }
  }
}

const whole = (value) => {
  if (typeof value !== 'string') return Buffer.from(value.yjs, 'base64')
  // A text without a history was typed by 0.
  const initial = new Y.Doc()
  initial.clientID = 0
  initial.getText('text').insert(0, value)
  return Y.encodeStateAsUpdate(initial)
}

doc.on('update', (update, origin) => {
  if (origin === 'room') return
  seq += 1
  unanswered += 1
  const value = Buffer.from(update).toString('base64')
  send('state:change', { seq, base: version, updates: [{ key: 'body', op: 'edit', value }] })
})

const type = () => {
  while (left > 0 && unanswered < window) {
    left -= 1
    const chars = Array.from(text.toString())
    const at = random(chars.length + 1)
    const units = (count) => chars.slice(0, count).join('').length
    const pieces = ['a', 'b', ' ', 'ü', '語', '😀', 'word', '👩‍🚀']
    doc.transact(() => {
      if (random(3) === 0 && at < chars.length) {
        text.delete(units(at), units(Math.min(at + 1 + random(3), chars.length)) - units(at))
      }
      text.insert(units(at), pieces[random(pieces.length)])
    })
    if (random(4) === 0) break
  }
  if (left > 0) setTimeout(type, 1)
  else if (unanswered === 0) console.log('typed')
  else setTimeout(type, 5)
}

const messages = {
  welcome: (payload) => {
    window = payload.window
    send('room:join', {})
  },
  ping: () => send('pong', {}, false),
  'state:sync': (payload) => {
    version = payload.version
    Y.applyUpdate(doc, whole(payload.data.body), 'room')
    type()
  },
  'state:change': (payload) => {
    version = payload.version
    fromServer(payload.updates)
  },
  'state:ack': (payload) => {
    version = Math.max(version, payload.version)
    unanswered -= 1
    fromServer(payload.updates ?? [])
  }
}

socket.on('open', () => send('hello', { client: `yjs-${seed}-`.padEnd(32, 'x') }, false))
socket.on('message', (data) => {
  const { type, payload } = JSON.parse(data)
  const handle = messages[type]
  if (!handle) {
    console.error(`${data}`)
    process.exit(1)
  }
  handle(payload)
})
