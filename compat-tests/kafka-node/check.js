// kafka-node: KafkaClient, Producer, Consumer, ConsumerGroup, Offset and Admin, with callbacks as people wrote them.
'use strict';

// kafka-node calls snappy as its version 6 was, with callbacks; the versions that a Node of today can load give promises.
const { callbackify } = require('util');
const snappy = require('snappy');

snappy.compress = callbackify(snappy.compress);
snappy.uncompress = callbackify(snappy.uncompress);

const kafka = require('kafka-node');
const { checks, Waiter, range } = require('../harness/checks.js');

const old = require(process.env.KAFKA_NODE_2);
const { BOOTSTRAP, ZOOKEEPER } = process.env;
const call = (object, method, ...rest) => new Promise((resolve, reject) => {
  object[method](...rest, (error, value) => (error ? reject(error) : resolve(value)));
});
const client = () => new kafka.KafkaClient({ kafkaHost: BOOTSTRAP });

async function producer(options) {
  const made = new kafka.Producer(client(), options);
  if (!made.ready) await new Promise((resolve, reject) => made.once('ready', resolve).once('error', reject));
  return made;
}

const create = (topic, partitions) => call(client(), 'createTopics', [{ topic, partitions, replicationFactor: 1 }]);

// The first `count` messages of partition 0, in the order they came.
async function consume(topic, count, options = {}) {
  const waiter = new Waiter();
  const read = [];
  const consumer = new kafka.Consumer(client(), [{ topic, partition: 0, offset: 0 }],
    { autoCommit: false, fromOffset: true, fetchMaxWaitMs: 100, ...options });
  consumer.on('message', (message) => { read.push(message); waiter.poke(); });
  consumer.on('error', (error) => { console.log(`${topic}: ${error}`); });
  await waiter.until(() => read.length >= count);
  await call(consumer, 'close', true);
  return read;
}

async function roundTrip(name, attributes) {
  const topic = `kafka-node-${name}`;
  await create(topic, 1);
  const sent = range(0, 500).map((n) => [`key-${n}`, `value ${n} ${'x'.repeat(n % 100)}`]);
  const sender = await producer({ requireAcks: 1 });
  const messages = sent.map(([key, value]) => new kafka.KeyedMessage(key, value));
  for (let at = 0; at < 500; at += 100) {
    await call(sender, 'send', [{ topic, partition: 0, attributes, messages: messages.slice(at, at + 100) }]);
  }
  await call(sender, 'close');
  const read = await consume(topic, 500);
  checks.equal(read.map(({ key, value }) => [key, value]), sent, `${name}: all back, in order`);
  checks.equal(read.map(({ offset }) => offset), range(0, 500), `${name}: offsets are contiguous`);
}

async function offsets() {
  const topic = 'kafka-node-none';
  const offset = new kafka.Offset(client());
  const latest = await call(offset, 'fetchLatestOffsets', [topic]);
  const earliest = await call(offset, 'fetchEarliestOffsets', [topic]);
  checks.equal([earliest[topic][0], latest[topic][0]], [0, 500], 'earliest and latest offsets');
}

function member(topic, groupId, waiter, seen) {
  const group = new kafka.ConsumerGroup({
    kafkaHost: BOOTSTRAP, groupId, fromOffset: 'earliest', autoCommit: false, sessionTimeout: 60000,
    heartbeatInterval: 500, protocol: ['roundrobin'], fetchMaxWaitMs: 100,
  }, [topic]);
  group.owned = new Set();
  group.on('message', ({ partition, offset, value }) => { seen.push({ partition, offset, value }); waiter.poke(); });
  group.on('rebalanced', () => {
    group.owned = new Set(group.topicPayloads.map(({ partition }) => partition));
    waiter.poke();
  });
  group.on('error', (error) => { checks.that(false, 'a member meets no error', error); });
  return group;
}

async function group() {
  const topic = 'kafka-node-group';
  await create(topic, 4);
  const sender = await producer({ requireAcks: 1 });
  const send = (from, to) => Promise.all(range(0, 4).map((partition) => call(sender, 'send', [{
    topic, partition, messages: range(from, to).filter((n) => n % 4 === partition).map(String),
  }])));
  await send(0, 200);
  const waiter = new Waiter();
  const seen = [];
  const one = member(topic, 'kafka-node-readers', waiter, seen);
  checks.that(await waiter.until(() => seen.length === 200), 'one member reads everything', seen.length);
  await call(one, 'commit', true);
  const two = member(topic, 'kafka-node-readers', waiter, seen);
  checks.that(await waiter.until(() => one.owned.size === 2 && two.owned.size === 2),
    'two members share the partitions', [[...one.owned], [...two.owned]]);
  await call(one, 'close', false);
  checks.that(await waiter.until(() => two.owned.size === 4), 'when one leaves, the other takes all', [...two.owned]);
  await send(200, 300);
  checks.that(await waiter.until(() => seen.length >= 300), 'it reads on from the committed offsets', seen.length);
  await call(two, 'commit', true);
  await call(two, 'close', false);
  await call(sender, 'close');
  checks.equal(seen.map(({ value }) => Number(value)).sort((a, b) => a - b), range(0, 300), 'everything is read once');
  const committed = await call(new kafka.Offset(client()), 'fetchCommitsV1', 'kafka-node-readers',
    range(0, 4).map((partition) => ({ topic, partition })));
  checks.equal(committed[topic], { 0: 75, 1: 75, 2: 75, 3: 75 }, 'committed offsets');
}

// A group of version 2.6, which meets in ZooKeeper and commits there, beside one that the broker coordinates.
async function eras() {
  const topic = 'kafka-node-eras';
  await create(topic, 4);
  const waiter = new Waiter();
  const seen = { old: [], new: [] };
  const elder = () => {
    const made = new old.HighLevelConsumer(new old.Client(ZOOKEEPER), [{ topic }],
      { groupId: 'old', autoCommit: false, fetchMaxWaitMs: 100, rebalanceRetry: { retries: 100, minTimeout: 100, maxTimeout: 1000 } });
    made.on('rebalanced', () => { made.settled = true; waiter.poke(); });
    made.on('rebalancing', () => { made.settled = false; });
    made.on('message', ({ value }) => { seen.old.push(value); waiter.poke(); });
    made.on('error', (error) => { checks.that(false, 'a member of 2.6 meets no error', error); });
    return made;
  };
  const zookeeper = new old.Client(ZOOKEEPER);
  await waiter.until(() => zookeeper.zk.client.getState().name === 'SYNC_CONNECTED');
  const nodes = zookeeper.zk.client;
  let owners = [];
  const look = () => nodes.getChildren(`/consumers/old/owners/${topic}`, look, async (error, names) => {
    if (error) { setTimeout(look, 100); return; }
    owners = await Promise.all(names.map((name) => call(nodes, 'getData', `/consumers/old/owners/${topic}/${name}`).catch(() => '')));
    waiter.poke();
  });
  const members = [elder(), elder()];
  const newer = member(topic, 'new', waiter, seen.new);
  look();
  // Who rebalances once more reads again what was not committed.
  const settled = () => members.every((each) => each.settled && !each.rebalancing && each.pendingRebalances === 0
    && each.topicPayloads.length === 2);
  checks.that(await waiter.until(() => settled() && owners.length === 4 && new Set(owners.map(String)).size === 2),
    'two members of 2.6 share the partitions', owners.map(String));
  const sender = await producer({ requireAcks: 1 });
  await Promise.all(range(0, 4).map((partition) => call(sender, 'send', [{
    topic, partition, messages: range(0, 200).filter((n) => n % 4 === partition).map(String),
  }])));
  await waiter.until(() => seen.old.length >= 200 && seen.new.length >= 200);
  const sorted = (values) => values.map(Number).sort((a, b) => a - b);
  checks.equal(sorted(seen.old), range(0, 200), 'the group of 2.6 reads everything once');
  checks.equal(sorted(seen.new.map(({ value }) => value)), range(0, 200), 'and so does the group of today');
  await Promise.all(members.map((each) => call(each, 'commit', true)));
  const offsets = await Promise.all(range(0, 4).map((partition) => call(nodes, 'getData', `/consumers/old/offsets/${topic}/${partition}`)));
  checks.equal(offsets.map(String), ['50', '50', '50', '50'], 'its offsets are in ZooKeeper');
  await call(newer, 'close', false);
}

async function admin() {
  const made = new kafka.Admin(client());
  const topics = (await call(made, 'listTopics'))[1].metadata;
  checks.equal(Object.keys(topics['kafka-node-group']).length, 4, 'a created topic is listed');
  const groups = await call(made, 'listGroups');
  checks.equal(groups['kafka-node-readers'], 'consumer', 'the group is listed');
  const described = await call(made, 'describeGroups', ['kafka-node-readers']);
  checks.equal(described['kafka-node-readers'].state, 'Empty', 'and described as empty');
}

(async () => {
  for (const [name, attributes] of [['none', 0], ['gzip', 1], ['snappy', 2]]) {
    await checks.run(`${name}: round trip`, roundTrip, name, attributes);
  }
  await checks.run('offsets', offsets);
  await checks.run('group', group);
  await checks.run('eras', eras);
  await checks.run('admin', admin);
  process.exit(0);
})();
