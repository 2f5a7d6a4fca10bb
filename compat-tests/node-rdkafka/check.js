// node-rdkafka: librdkafka with its callbacks, from JavaScript.
'use strict';

const kafka = require('node-rdkafka');
const { checks, Waiter, range } = require('../harness/checks.js');

const { BOOTSTRAP } = process.env;
const TIMEOUT = 60000;
const call = (object, method, ...rest) => new Promise((resolve, reject) => {
  object[method](...rest, (error, value) => (error ? reject(error) : resolve(value)));
});
const admin = kafka.AdminClient.create({ 'bootstrap.servers': BOOTSTRAP });

const create = (topic, partitions) => call(admin, 'createTopic',
  { topic, num_partitions: partitions, replication_factor: 1, config: {} }, TIMEOUT);

async function connected(client) {
  await call(client, 'connect', { timeout: TIMEOUT });
  return client;
}

// Produce [key, value, partition, headers]; resolves with the delivery reports in order.
async function produce(topic, sent, options = {}) {
  const producer = await connected(new kafka.Producer({ 'bootstrap.servers': BOOTSTRAP, dr_cb: true, ...options }));
  const waiter = new Waiter();
  const reports = [];
  const errors = [];
  producer.setPollInterval(20);
  producer.on('delivery-report', (error, report) => { (error ? errors : reports).push(error || report); waiter.poke(); });
  for (const [key, value, partition, headers] of sent) {
    producer.produce(topic, partition, value === null ? null : Buffer.from(value), key, Date.now(), undefined, headers);
  }
  await waiter.until(() => reports.length + errors.length === sent.length);
  await call(producer, 'disconnect');
  if (errors.length) throw errors[0];
  return reports;
}

class Member {
  constructor(topic, group, waiter, options = {}) {
    this.seen = [];
    this.waiter = waiter;
    this.consumer = new kafka.KafkaConsumer({
      'bootstrap.servers': BOOTSTRAP, 'group.id': group, 'auto.commit.interval.ms': 100, 'session.timeout.ms': 60000,
      'heartbeat.interval.ms': 500,
      rebalance_cb: true,
      ...options,
    }, { 'auto.offset.reset': 'earliest' });
    this.topic = topic;
  }

  owned() { return this.consumer.assignments().map(({ partition }) => partition).sort(); }

  async start() {
    await connected(this.consumer);
    this.consumer.on('data', (message) => { this.seen.push(message); this.waiter.poke(); });
    this.consumer.subscribe([this.topic]);
    this.consumer.consume();
    return this;
  }

  stop() { return call(this.consumer, 'disconnect'); }
}

async function consume(topic, count) {
  const waiter = new Waiter();
  const member = await new Member(topic, `read-${topic}`, waiter).start();
  await waiter.until(() => member.seen.length >= count);
  await member.stop();
  return member.seen;
}

async function roundTrip(codec, idempotent) {
  const topic = `node-rdkafka-${codec}-${idempotent ? 'idempotent' : 'plain'}`;
  await create(topic, 1);
  const sent = range(0, 1000).map((n) => [`key-${n}`, `value ${n} ${'x'.repeat(n % 100)}`, 0]);
  const reports = await produce(topic, sent, { 'compression.codec': codec, 'enable.idempotence': idempotent });
  checks.equal(reports.map(({ offset }) => offset), range(0, 1000), `${topic}: acknowledged offsets are contiguous`);
  const read = await consume(topic, 1000);
  checks.equal(read.map(({ key, value }) => [String(key), String(value)]), sent.map((row) => row.slice(0, 2)),
    `${topic}: all back, in order`);
}

async function headersAndNulls() {
  await create('node-rdkafka-headers', 1);
  await produce('node-rdkafka-headers', [[null, 'v', 0, [{ a: '1' }, { a: '2' }]], ['gone', null, 0]]);
  const [first, second] = await consume('node-rdkafka-headers', 2);
  checks.equal(first.headers.map((header) => Object.entries(header).map(([k, v]) => `${k}=${v}`)[0]), ['a=1', 'a=2'],
    'headers come back');
  checks.equal([first.key, second.value], [null, null], 'null key and null value stay null');
}

async function group() {
  const topic = 'node-rdkafka-group';
  await create(topic, 4);
  const messages = (from, to) => range(from, to).map((n) => [null, String(n), n % 4]);
  await produce(topic, messages(0, 200));
  const waiter = new Waiter();
  const one = await new Member(topic, 'node-rdkafka-readers', waiter).start();
  checks.that(await waiter.until(() => one.seen.length === 200), 'one member reads everything', one.seen.length);
  const two = await new Member(topic, 'node-rdkafka-readers', waiter).start();
  checks.that(await waiter.until(() => one.owned().length === 2 && two.owned().length === 2),
    'two members share the partitions', [one.owned(), two.owned()]);
  await one.stop();
  checks.that(await waiter.until(() => two.owned().length === 4), 'when one leaves, the other takes all', two.owned());
  await produce(topic, messages(200, 300));
  checks.that(await waiter.until(() => one.seen.length + two.seen.length >= 300), 'it reads on', two.seen.length);
  await two.stop();
  const values = [...one.seen, ...two.seen].map(({ value }) => Number(value)).sort((a, b) => a - b);
  checks.equal(values, range(0, 300), 'everything is read once');
}

async function topics() {
  await create('node-rdkafka-admin', 2);
  const again = await create('node-rdkafka-admin', 2).then(() => 'it was not', ({ code }) => code);
  checks.equal(again, kafka.CODES.ERRORS.ERR_TOPIC_ALREADY_EXISTS, 'creating a topic again is refused');
  await call(admin, 'createPartitions', 'node-rdkafka-admin', 5, TIMEOUT);
  const producer = await connected(new kafka.Producer({ 'bootstrap.servers': BOOTSTRAP }));
  const metadata = await call(producer, 'getMetadata', { topic: 'node-rdkafka-admin', timeout: TIMEOUT });
  const described = metadata.topics.find(({ name }) => name === 'node-rdkafka-admin');
  checks.equal(described.partitions.length, 5, 'partitions are added');
  await call(producer, 'disconnect');
  await call(admin, 'deleteTopic', 'node-rdkafka-admin', TIMEOUT);
  const gone = await call(admin, 'deleteTopic', 'node-rdkafka-admin', TIMEOUT).then(() => 'it was not', ({ code }) => code);
  checks.equal(gone, kafka.CODES.ERRORS.ERR_UNKNOWN_TOPIC_OR_PART, 'deleting a topic again is refused');
}

(async () => {
  console.log(`librdkafka ${kafka.librdkafkaVersion}`);
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    if (codec !== 'none' && !kafka.features.includes(codec) && !(codec === 'gzip')) {
      console.log(`this build of librdkafka has no ${codec}`);
      continue;
    }
    await checks.run(`${codec}: round trip`, roundTrip, codec, false);
  }
  await checks.run('idempotent: round trip', roundTrip, 'none', true);
  await checks.run('headers and nulls', headersAndNulls);
  await checks.run('group', group);
  await checks.run('topics', topics);
  admin.disconnect();
  process.exit(0);
})();
