// Clients of the original hook in one room: each sets fields at random, without a pause. Says `sent` when all of them
// have, and tells what each shows, one a line, when all show the end.
//
// node clients.mjs <ws url> <room> <clients> <writes> <seed> <initial state>

import WebSocket from 'ws'

const [url, room, clients, writes, seed, initial] = process.argv.slice(2)

let random32 = Number(seed)
const random = (below) => {
  // xorshift32
  random32 ^= random32 << 13
  random32 ^= random32 >>> 17
  random32 ^= random32 << 5
  return (random32 >>> 0) % below
}

class Hook {
  state = JSON.parse(initial)
  version = 0

  constructor() {
    this.socket = new WebSocket(url)
    this.socket.on('open', () => this.send('state:sync:request', {}))
    this.socket.on('message', (frame) => this.receive(JSON.parse(frame)))
    this.socket.on('error', (error) => { throw error })
  }

  send(type, payload) {
    this.socket.send(JSON.stringify({ type, payload, room, timestamp: Date.now() }))
  }

  set(key, value) {
    this.state = { ...this.state, [key]: value }
    this.version += 1
    this.send('state:update', { key, value, version: this.version })
  }

  merge(data) {
    this.state = { ...this.state, ...data }
    this.version += 1
    this.send('state:merge', { data, version: this.version })
  }

  receive({ type, payload }) {
    if (type === 'state:sync') {
      this.state = payload.data
      this.version = payload.version
    } else if (type === 'state:update' && payload.version > this.version) {
      this.state = { ...this.state, [payload.key]: payload.value }
      this.version = payload.version
    } else if (type === 'state:merge' && payload.version > this.version) {
      this.state = { ...this.state, ...payload.data }
      this.version = payload.version
    }
    if (this.state.title === 'end') ended(this)
  }

  write() {
    const word = () => ['', 'a', 'ß', '界', 'line'][random(5)]
    switch (random(7)) {
      case 0: return this.set('size', random(256))
      case 1: return this.set('theme', word())
      case 2: return this.set('hits', random(100))
      case 3: return this.set('layout', { columns: random(9), wide: random(2) === 1 })
      case 4: return this.set('tags', Array.from({ length: random(4) }, word))
      case 5: return this.set('items', Array.from({ length: random(4) }, (_, id) => ({ id, label: word() })))
      default: return this.merge({ size: random(256), theme: word() })
    }
  }
}

const hooks = Array.from({ length: Number(clients) }, () => new Hook())
const done = new Set()

const ended = (hook) => {
  done.add(hook)
  if (done.size < hooks.length) return
  for (const { state } of hooks) console.log(JSON.stringify(state))
  for (const { socket } of hooks) socket.close()
}

await Promise.all(hooks.map(({ socket }) => new Promise((open) => socket.on('open', open))))
for (const hook of hooks) for (let write = 0; write < Number(writes); write++) hook.write()
console.log('sent')
