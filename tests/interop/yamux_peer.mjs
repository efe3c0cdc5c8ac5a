// The independent implementation's side: usage: node yamux_peer.mjs PROGRAM client|server open|serve
//
// Starts PROGRAM (yamux_peer) in the other role and with the other part, joined by a socket, and speaks yamux with it
// through @chainsafe/libp2p-yamux. What the first line of a stream asks for is described in yamux_peer.c.
import { spawn } from 'node:child_process'
import { yamux } from '@chainsafe/libp2p-yamux'
import { AbstractMultiaddrConnection } from '@libp2p/utils'

const BULK_STREAMS = 90
const MIB = 1024 * 1024
const DEADLINE_MS = 60000

// What the implementation takes for granted and Node lacks: before version 19 (Debian 12 has 18) the events, before 22 the promises.
globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor (type, init) {
    super(type, init)
    this.detail = init?.detail ?? null
  }
}
Promise.withResolvers ??= function () {
  const made = {}
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

const say = (...args) => process.env.DEBUG && console.error(...args)
const log = Object.assign(say, { trace: say, error: say, newScope: () => log })

/** A socket as the connection that the multiplexer runs over. */
class SocketConnection extends AbstractMultiaddrConnection {
  constructor (socket, direction) {
    super({ log, direction, remoteAddr: 'peer' })
    this.socket = socket
    socket.on('data', data => this.onData(data))
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    socket.on('close', () => this.onTransportClosed())
    socket.on('error', () => this.onTransportClosed())
  }

  sendData (data) {
    let canSendMore = true
    for (const piece of data) canSendMore = this.socket.write(piece)
    return { sentBytes: data.byteLength, canSendMore }
  }

  async sendClose () { this.socket.end() }
  sendReset () { this.socket.destroy() }
  sendPause () { this.socket.pause() }
  sendResume () { this.socket.resume() }
}

const pattern = new Uint8Array(MIB)
for (let at = 0; at < MIB; at++) pattern[at] = at * 31 + (at >> 8) * 7
const bytesOf = text => new TextEncoder().encode(text)

class Counter {
  count = 0
  sum = 1
  add (bytes) {
    this.count += bytes.length
    for (const byte of bytes) this.sum = (Math.imul(this.sum, 31) + byte) >>> 0
  }
}

// --- what each stream's first line asks ---

let lastEarly = 0
let resets = 0
const held = []

function serve (stream) {
  const counter = new Counter()
  let line = ''
  let op = null
  const finish = async (text) => {
    if (text) stream.send(bytesOf(text))
    await stream.close()
  }
  const begin = () => {
    const [name, argument] = op.split(' ')
    switch (name) {
      case 'source': for (let left = Number(argument); left > 0; left -= MIB) stream.send(pattern.slice(0, Math.min(left, MIB))); return finish()
      case 'early': return finish('bye')
      case 'last': return finish(`${lastEarly}\n`)
      case 'resets': return finish(`${resets}\n`)
      case 'reset': return stream.abort(new Error('asked to'))
      case 'hold': stream.send(bytesOf('held\n')); held.push(stream); return stream.pause()
      case 'release': for (const s of held.splice(0)) s.resume(); return finish('released\n')
      case 'goaway': return muxer.close()
    }
  }
  stream.addEventListener('message', event => {
    let bytes = event.data.subarray()
    while (op === null && bytes.length > 0) {
      const char = String.fromCharCode(bytes[0])
      bytes = bytes.subarray(1)
      if (char === '\n') {
        op = line
        begin()
      } else {
        line += char
      }
    }
    counter.add(bytes)
    if (op === 'echo' && bytes.length > 0) stream.send(bytes)
  })
  stream.addEventListener('end', () => {
    if (stream.status !== 'open') return
    if (op === 'early') lastEarly = counter.count
    if (op === 'sink' || op === 'hold') finish(`${counter.count} ${counter.sum}\n`)
    if (op === 'echo') finish()
  })
  stream.addEventListener('close', event => { if (event.error && !event.local) resets++ })
}

// --- scenarios of the opener ---

function check (truth, what) {
  if (!truth) throw new Error(what)
}

async function call (line) {
  const stream = await muxer.createStream()
  const t = { stream, bytes: [], count: 0, reset: false }
  t.closed = new Promise(resolve => stream.addEventListener('close', event => {
    t.reset = event.error != null
    resolve()
  }))
  t.ended = new Promise(resolve => stream.addEventListener('end', resolve))
  stream.addEventListener('message', event => {
    t.bytes.push(event.data.subarray())
    t.count += event.data.byteLength
    t.onMessage?.()
  })
  t.received = n => new Promise(resolve => {
    t.onMessage = () => { if (t.count >= n) resolve() }
    t.onMessage()
  })
  t.text = () => Buffer.concat(t.bytes).toString()
  stream.send(bytesOf(line + '\n'))
  return t
}

async function ask (line) {
  const t = await call(line)
  await t.ended
  await t.stream.close()
  return t.text()
}

const scenarios = {
  async 'bulk' () {
    const calls = []
    for (let i = 0; i < BULK_STREAMS; i++) {
      const t = await call('echo')
      t.stream.send(pattern.slice())
      t.sent = t.stream.close()
      calls.push(t)
    }
    for (const t of calls) {
      await t.sent
      await t.closed
      check(Buffer.concat(t.bytes).equals(pattern), `stream ${t.stream.id}: ${t.count} bytes came back, or wrong ones`)
    }
  },
  async 'half-close-first-here' () {
    const t = await call('sink')
    const counter = new Counter()
    counter.add(pattern.slice(0, 300000))
    t.stream.send(pattern.slice(0, 300000))
    await t.stream.close()
    await t.closed
    check(t.text() === `300000 ${counter.sum}\n`, `sink answered ${t.text()}`)
  },
  async 'half-close-first-there' () {
    const t = await call('early')
    await t.ended
    check(t.text() === 'bye', `early answered ${t.text()}`)
    t.stream.send(pattern.slice(0, 100000))
    await t.stream.close()
    const count = await ask('last')
    check(count === '100000\n', `the other side counted ${count} after its own close`)
  },
  async 'source' () {
    const t = await call('source 700001')
    await t.ended
    await t.stream.close()
    check(Buffer.concat(t.bytes).equals(pattern.slice(0, 700001)), `${t.count} bytes of 700001, or wrong ones`)
  },
  async 'reset-there' () {
    const t = await call('reset')
    await t.closed
    check(t.reset, 'the stream was not reset')
  },
  async 'reset-here' () {
    const before = Number(await ask('resets'))
    const t = await call('echo')
    t.stream.send(pattern.slice(0, 10000))
    await t.received(1000)
    t.stream.abort(new Error('on purpose'))
    await muxer.ping()
    const after = Number(await ask('resets'))
    check(after === before + 1, `the other side saw ${after - before} resets`)
  },
  async 'exhausted-window' () {
    const t = await call('hold')
    await t.received(5)
    t.stream.send(pattern.slice())
    let left = t.stream.writeBufferLength
    // Full when nothing moved between two answered pings.
    for (let before = -1; before !== left; left = t.stream.writeBufferLength) {
      before = left
      await muxer.ping()
    }
    check(left > 0 && left < MIB, `${left} bytes are left of ${MIB}: the window never ended`)
    check(await ask('release') === 'released\n', 'release')
    await t.stream.close()
    await t.closed
    check(t.text().startsWith('held\n1048576 '), `hold answered ${t.text()}`)
  },
  async 'ping' () {
    check(await muxer.ping() >= 0, 'no answer')
  },
  async 'go-away' () {
    await call('goaway')
    while (muxer.status === 'open') await new Promise(resolve => setImmediate(resolve))
    let opened = true
    await muxer.createStream().catch(() => { opened = false })
    check(!opened, 'a stream was opened after the go-away')
  }
}

async function openAll () {
  for (const [name, run] of Object.entries(scenarios)) {
    await run().catch(error => { throw new Error(`${name}: ${error.message}`) })
    console.log(`ok ${name}`)
  }
}

const [program, role, part] = process.argv.slice(2)
const others = { client: 'server', server: 'client', open: 'serve', serve: 'open' }
const child = spawn(program, [others[role], others[part]], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
const exited = new Promise(resolve => child.on('exit', resolve))
const connection = new SocketConnection(child.stdio[3], role === 'client' ? 'outbound' : 'inbound')
const muxer = yamux({ enableKeepAlive: false, maxEarlyStreams: 256 })().createStreamMuxer(connection)
muxer.addEventListener('stream', event => serve(event.detail))

const deadline = setTimeout(() => {
  console.error(`yamux_peer.mjs: not done within ${DEADLINE_MS / 1000} s`)
  child.kill('SIGKILL')
  process.exit(1)
}, DEADLINE_MS)
try {
  if (part === 'open') await openAll()
  else process.exitCode = await exited
} catch (error) {
  console.error(`yamux_peer.mjs: ${error.message}`)
  process.exitCode = 1
}
clearTimeout(deadline)
child.stdio[3].destroy()
if (await exited !== 0) process.exitCode = 1
