// kafkajs: producer, consumer groups and admin client.
'use strict';

const { Kafka, logLevel, CompressionTypes, CompressionCodecs, ConfigResourceTypes } = require('kafkajs');
const { checks, Waiter, range } = require('../harness/checks.js');

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy');
const timeout = 60000;
const kafka = new Kafka({ clientId: 'check', brokers: [process.env.BOOTSTRAP], logLevel: logLevel.ERROR,
  connectionTimeout: 60000, requestTimeout: 120000 });
const admin = kafka.admin();

const create = (topic, numPartitions, configEntries) => admin.createTopics({
  timeout,
  topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }],
});

async function produce(topic, messages, options = {}, made = {}) {
  const producer = kafka.producer(made);
  await producer.connect();
  const results = [];
  for (let at = 0; at < messages.length; at += 100) {
    results.push(...await producer.send({ topic, messages: messages.slice(at, at + 100), ...options }));
  }
  await producer.disconnect();
  return results;
}

// A member of a group: what it saw, and what it owns.
async function member(topic, groupId, waiter, seen) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 60000, heartbeatInterval: 500, maxWaitTimeInMs: 100 });
  consumer.owned = [];
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    consumer.owned = payload.memberAssignment[topic] || [];
    waiter.poke();
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => { seen.push({ partition, ...message }); waiter.poke(); },
  });
  return consumer;
}

async function consume(topic, count) {
  const waiter = new Waiter();
  const seen = [];
  const consumer = await member(topic, `read-${topic}`, waiter, seen);
  await waiter.until(() => seen.length >= count);
  await consumer.disconnect();
  return seen;
}

async function roundTrip(name, compression, idempotent) {
  const topic = `kafkajs-${name}-${idempotent ? 'idempotent' : 'plain'}`;
  await create(topic, 1);
  const sent = range(0, 500).map((n) => ({ key: `key-${n}`, value: `value ${n} ${'x'.repeat(n % 100)}`, partition: 0 }));
  const results = await produce(topic, sent, { compression, acks: -1 }, { idempotent, maxInFlightRequests: 1 });
  checks.equal(results.map(({ baseOffset }) => baseOffset), ['0', '100', '200', '300', '400'],
    `${topic}: acknowledged offsets`);
  const read = await consume(topic, 500);
  checks.equal(read.map(({ key, value }) => [String(key), String(value)]), sent.map(({ key, value }) => [key, value]),
    `${topic}: all back, in order`);
  checks.equal(read.map(({ offset }) => Number(offset)), range(0, 500), `${topic}: offsets are contiguous`);
}

async function headersAndTime() {
  await create('kafkajs-headers', 1);
  await produce('kafkajs-headers', [
    { value: 'v', headers: { a: '1', b: ['x', 'y'] }, timestamp: '1700000000123' },
    { key: 'gone', value: null, timestamp: '1700000000999' }]);
  const [first, second] = await consume('kafkajs-headers', 2);
  checks.equal([String(first.headers.a), first.headers.b.map(String)], ['1', ['x', 'y']], 'headers come back');
  checks.equal([first.key, second.value], [null, null], 'null key and null value stay null');
  checks.equal(first.timestamp, '1700000000123', 'the timestamp is the producer\'s');
  const found = await admin.fetchTopicOffsetsByTimestamp('kafkajs-headers', 1700000000124);
  checks.equal(found, [{ partition: 0, offset: '1' }], 'offsets by time');
}

async function group() {
  const topic = 'kafkajs-group';
  await create(topic, 4);
  const messages = (from, to) => range(from, to).map((n) => ({ value: String(n), partition: n % 4 }));
  await produce(topic, messages(0, 200));
  const waiter = new Waiter();
  const seen = [];
  const one = await member(topic, 'kafkajs-readers', waiter, seen);
  checks.that(await waiter.until(() => seen.length === 200), 'one member reads everything', seen.length);
  const two = await member(topic, 'kafkajs-readers', waiter, seen);
  checks.that(await waiter.until(() => one.owned.length === 2 && two.owned.length === 2),
    'two members share the partitions', [one.owned, two.owned]);
  await one.disconnect();
  checks.that(await waiter.until(() => two.owned.length === 4), 'when one leaves, the other takes all', two.owned);
  await produce(topic, messages(200, 300));
  checks.that(await waiter.until(() => seen.length >= 300), 'it reads on', seen.length);
  await two.disconnect();
  checks.equal(seen.map(({ value }) => Number(value)).sort((a, b) => a - b), range(0, 300), 'everything is read once');
  const [{ partitions }] = await admin.fetchOffsets({ groupId: 'kafkajs-readers', topics: [topic] });
  checks.equal(partitions.map(({ offset }) => offset), ['75', '75', '75', '75'], 'committed offsets');
  const { groups } = await admin.describeGroups(['kafkajs-readers']);
  checks.equal(groups[0].state, 'Empty', 'the group is empty at the end');
  await admin.resetOffsets({ groupId: 'kafkajs-readers', topic, earliest: true });
  await admin.deleteGroups(['kafkajs-readers']);
  const listed = (await admin.listGroups()).groups.map(({ groupId }) => groupId);
  checks.that(!listed.includes('kafkajs-readers'), 'a deleted group is gone', listed);
}

async function topics() {
  checks.equal(await create('kafkajs-admin', 2, [{ name: 'retention.ms', value: '12345' }]), true, 'a topic is created');
  checks.equal(await create('kafkajs-admin', 2), false, 'creating it again is refused');
  await admin.createPartitions({ timeout, topicPartitions: [{ topic: 'kafkajs-admin', count: 5 }] });
  const described = await admin.fetchTopicMetadata({ topics: ['kafkajs-admin'] });
  checks.equal(described.topics[0].partitions.length, 5, 'partitions are added');
  const resource = { type: ConfigResourceTypes.TOPIC, name: 'kafkajs-admin' };
  const retention = async () => (await admin.describeConfigs({ resources: [resource], includeSynonyms: true }))
    .resources[0].configEntries.find(({ configName }) => configName === 'retention.ms').configValue;
  checks.equal(await retention(), '12345', 'its configuration is described');
  await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '99' }] }] });
  checks.equal(await retention(), '99', 'a changed configuration is described');
  await create('kafkajs-trim', 1);
  await produce('kafkajs-trim', range(0, 10).map((n) => ({ value: String(n), partition: 0 })));
  await admin.fetchTopicOffsets('kafkajs-trim'); // kafkajs looks for the leader before it asks for the topic.
  await admin.deleteTopicRecords({ topic: 'kafkajs-trim', partitions: [{ partition: 0, offset: '4' }] });
  const [offsets] = await admin.fetchTopicOffsets('kafkajs-trim');
  checks.equal([offsets.low, offsets.high], ['4', '10'], 'deleted records move the log start');
  await admin.deleteTopics({ timeout, topics: ['kafkajs-admin'] });
  checks.that(!(await admin.listTopics()).includes('kafkajs-admin'), 'a deleted topic is gone');
  const cluster = await admin.describeCluster();
  checks.equal(cluster.brokers.map(({ host, port }) => `${host}:${port}`), [process.env.BOOTSTRAP], 'one broker');
}

(async () => {
  await admin.connect();
  for (const [name, codec] of [['none', CompressionTypes.None], ['gzip', CompressionTypes.GZIP],
    ['snappy', CompressionTypes.Snappy]]) {
    await checks.run(`${name}: round trip`, roundTrip, name, codec, false);
  }
  await checks.run('idempotent: round trip', roundTrip, 'none', CompressionTypes.None, true);
  await checks.run('headers and time', headersAndTime);
  await checks.run('group', group);
  await checks.run('topics', topics);
  await admin.disconnect();
  process.exit(0);
})();
