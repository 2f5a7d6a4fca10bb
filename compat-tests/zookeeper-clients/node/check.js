// node-zookeeper-client: sessions, watches, multi, ephemerals, and a server that is killed.
'use strict';

const { promisify } = require('util');
const zookeeper = require('node-zookeeper-client');
const { checks, Waiter } = require('../../harness/checks.js');

const address = process.argv[2];
const patienceSeconds = 120;
const { Exception, CreateMode } = zookeeper;

class Client {
  constructor() {
    this.zk = zookeeper.createClient(address, { sessionTimeout: 20000, spinDelay: 100, retries: 0 });
    this.told = [];
    this.states = [];
    this.waiter = new Waiter();
    this.zk.on('state', (state) => { this.states.push(state.name); this.waiter.poke(); });
    this.watch = (event) => { this.told.push(`${event.name} ${event.path}`); this.waiter.poke(); };
    for (const name of ['create', 'setData', 'remove']) this[name] = promisify(this.zk[name]).bind(this.zk);
  }

  async connect() {
    this.zk.connect();
    return this.reaches('SYNC_CONNECTED');
  }

  // A state that comes from now on, or is among those not looked at yet.
  async reaches(state) {
    const there = await this.waiter.until(() => this.states.includes(state), patienceSeconds);
    this.states.splice(0, this.states.indexOf(state) + 1);
    return there !== false;
  }

  async hears(event) { return (await this.waiter.until(() => this.told.includes(event), patienceSeconds)) !== false; }

  exists(path, watcher) { return promisify(this.zk.exists).call(this.zk, path, watcher || null); }

  get(path, watcher) {
    return new Promise((resolve, reject) => this.zk.getData(path, watcher || null,
      (error, data, stat) => (error ? reject(error) : resolve({ data: String(data), stat }))));
  }

  children(path, watcher) {
    return new Promise((resolve, reject) => this.zk.getChildren(path, watcher || null,
      (error, names, stat) => (error ? reject(error) : resolve({ names, stat }))));
  }

  commit(transaction) {
    return new Promise((resolve) => transaction.commit((error, results) => resolve({ error, results })));
  }
}

const codeOf = (promise) => promise.then(() => Exception.OK, (error) => error.getCode());

async function nodes(client) {
  checks.equal(await client.create('/node', Buffer.from('one')), '/node', 'create');
  checks.equal(await codeOf(client.create('/node')), Exception.NODE_EXISTS, 'create again');
  const stat = await client.setData('/node', Buffer.from('two'), 0);
  checks.equal(stat.version, 1, 'set');
  checks.equal(await codeOf(client.setData('/node', Buffer.from(''), 7)), Exception.BAD_VERSION, 'set of another version');
  checks.equal((await client.get('/node')).data, 'two', 'get');
  const made = await client.create('/node/s-', null, CreateMode.PERSISTENT_SEQUENTIAL);
  checks.equal(made, '/node/s-0000000000', 'a sequence number');
  const { names, stat: parent } = await client.children('/node');
  checks.equal([names, parent.numChildren], [['s-0000000000'], 1], 'children');
  checks.equal(await codeOf(client.remove('/node', -1)), Exception.NOT_EMPTY, 'delete of a parent');
}

async function multi(client) {
  const done = await client.commit(client.zk.transaction().create('/node/m').setData('/node/m', Buffer.from('2'), 0)
    .check('/node/m', 1));
  checks.equal([done.error || null, done.results[0].path, done.results[1].stat.version], [null, '/node/m', 1], 'multi');
  const failed = await client.commit(client.zk.transaction().remove('/node/m', -1).check('/node', 99));
  checks.that(failed.error && failed.error.getCode() === Exception.BAD_VERSION, 'a multi that fails says why', failed);
  checks.that(await client.exists('/node/m'), 'and leaves nothing');
}

async function watches(client) {
  await client.exists('/node/w', client.watch);
  await client.create('/node/w');
  checks.that(await client.hears('NODE_CREATED /node/w'), 'a creation is told', client.told);
  await client.children('/node/w', client.watch);
  await client.create('/node/w/a');
  checks.that(await client.hears('NODE_CHILDREN_CHANGED /node/w'), 'and a child', client.told);
}

async function ephemerals(client) {
  const other = new Client();
  await other.connect();
  await other.create('/node/e', null, CreateMode.EPHEMERAL);
  const stat = await client.exists('/node/e', client.watch);
  checks.equal(stat.ephemeralOwner.toString('hex'), other.zk.getSessionId().toString('hex'), "an ephemeral's owner is its session");
  other.zk.close();
  checks.that(await client.hears('NODE_DELETED /node/e'), 'it goes with it', client.told);
}

async function restart(client) {
  const session = client.zk.getSessionId().toString('hex');
  await client.create('/node/mine', null, CreateMode.EPHEMERAL);
  await client.create('/node/kept', Buffer.from('1'));
  await client.get('/node/kept', client.watch);
  client.states.length = 0;
  console.log('RESTART');
  checks.that(await client.reaches('DISCONNECTED'), 'the connection is lost');
  checks.that(await client.reaches('SYNC_CONNECTED'), 'and found again');
  checks.equal(client.zk.getSessionId().toString('hex'), session, 'with the same session');
  checks.that(await client.exists('/node/mine'), 'its ephemeral is there');
  checks.equal((await client.setData('/node/kept', Buffer.from('2'), 0)).version, 1, 'what was written is there');
  checks.that(await client.hears('NODE_DATA_CHANGED /node/kept'), 'its watch too', client.told);
}

(async () => {
  const client = new Client();
  checks.that(await client.connect(), 'a session');
  for (const each of [nodes, multi, watches, ephemerals, restart]) await checks.run(each.name, each, client);
  client.zk.close();
  console.log('END');
})();
