// Two pages of the original hook in one room with a password: says what each is told, one a line.
//
// node rooms.mjs <ws url> <room> <password>

import WebSocket from 'ws'

const [url, room, password] = process.argv.slice(2)

class Page {
  told = []
  waiting = []

  constructor(name) {
    this.name = name
    this.user = { id: name, name }
    this.socket = new WebSocket(url)
    this.socket.on('error', (error) => { throw error })
    this.socket.on('message', (frame) => {
      this.told.push(JSON.parse(frame))
      this.waiting.shift()?.()
    })
  }

  open() {
    return new Promise((open) => this.socket.on('open', open))
  }

  send(frame) {
    this.socket.send(JSON.stringify({ ...frame, timestamp: Date.now() }))
  }

  join(password) {
    this.send({ type: 'room:join', payload: { roomId: room, user: this.user, password } })
  }

  // The next frame, which must be of this type.
  async next(type) {
    while (this.told.length === 0) await new Promise((told) => this.waiting.push(told))
    const frame = this.told.shift()
    if (frame.type !== type) throw new Error(`${this.name} expected ${type}, found ${JSON.stringify(frame)}`)
    return frame
  }
}

const joined = async (page) => {
  const { id, users, metadata, createdAt } = (await page.next('room:joined')).payload
  if (id !== room || !(new Date(createdAt) <= new Date())) throw new Error(`${id}, ${createdAt}`)
  console.log(`${page.name} joined ${metadata.title} ${users.map((user) => user.id).sort()}`)
}

const ann = new Page('ann')
await ann.open()
ann.send({ type: 'state:sync:request', room, payload: {} })
ann.join('open barley')
for (let refused = 0; refused < 2; refused++) {
  console.log(`ann error ${(await ann.next('room:error')).payload.code}`)
}
ann.join(password)
await joined(ann)

const bob = new Page('bob')
await bob.open()
bob.join(password)
await joined(bob)
console.log(`ann sees ${(await ann.next('room:user:joined')).payload.id} come`)

ann.send({ type: 'wave', room, payload: { hand: 'left' }, from: 'bob' })
const { from, payload } = await bob.next('wave')
console.log(`bob is told wave by ${from === 'bob' || payload.hand !== 'left' ? 'himself' : 'another'}`)

// Without a word.
bob.socket.terminate()
console.log(`ann sees ${(await ann.next('room:user:left')).payload} go`)
ann.socket.close()
