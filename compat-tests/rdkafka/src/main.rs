//! rdkafka: librdkafka's producer, consumer groups and admin client, from Rust.

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::env;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Prints the lines of checks.py.
fn check(holds: bool, name: &str, seen: impl Debug) {
    if holds {
        println!("ok {name}");
    } else {
        let seen: String = format!("{seen:?}").chars().take(300).collect();
        println!("FAILED {name}: saw {seen}");
    }
}

fn equal<T: PartialEq + Debug>(seen: T, expected: T, name: &str) {
    check(seen == expected, name, (&seen, &expected));
}

fn run(name: &str, body: impl FnOnce() -> Outcome) {
    if let Err(problem) = body() {
        check(false, name, problem);
    }
}

fn config() -> ClientConfig {
    let mut made = ClientConfig::new();
    made.set("bootstrap.servers", env::var("BOOTSTRAP").expect("BOOTSTRAP names the broker"));
    made
}

fn admin() -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    config().create()
}

/// Waits for a future that librdkafka's own threads complete.
fn wait<F: std::future::Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Wake};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn create(topic: &str, partitions: i32) -> Result<(), Box<dyn std::error::Error>> {
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for result in wait(admin()?.create_topics([&wanted], &AdminOptions::new()))? {
        result.map_err(|(name, code)| format!("{name}: {code}"))?;
    }
    Ok(())
}

/// Keeps what the broker said about each record.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Result<i64, KafkaError>>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult, _: ()) {
        let outcome = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().unwrap().push(outcome);
    }
}

struct Sent {
    key: Option<String>,
    value: Option<String>,
    partition: i32,
    headers: Option<OwnedHeaders>,
}

fn sent(key: Option<String>, value: Option<String>, partition: i32) -> Sent {
    Sent { key, value, partition, headers: None }
}

/// Produces and returns the acknowledged offsets.
fn produce(topic: &str, records: &[Sent], settings: &[(&str, &str)]) -> Result<Vec<i64>, Box<dyn std::error::Error>> {
    let deliveries = Deliveries::default();
    let mut made = config();
    for (key, value) in settings {
        made.set(*key, *value);
    }
    let producer: BaseProducer<Deliveries> = made.create_with_context(deliveries.clone())?;
    for record in records {
        let mut wanted: BaseRecord<String, String> = BaseRecord::to(topic).partition(record.partition);
        if let Some(key) = &record.key {
            wanted = wanted.key(key);
        }
        if let Some(value) = &record.value {
            wanted = wanted.payload(value);
        }
        if let Some(headers) = &record.headers {
            wanted = wanted.headers(headers.clone());
        }
        producer.send(wanted).map_err(|(error, _)| error)?;
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(120))?;
    let outcomes = deliveries.0.lock().unwrap();
    Ok(outcomes.iter().cloned().collect::<Result<_, _>>()?)
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Up to `count` messages of partition 0.
fn consume(topic: &str, count: usize) -> Result<Vec<OwnedMessage>, Box<dyn std::error::Error>> {
    let consumer: BaseConsumer = config().set("group.id", "unused").set("enable.auto.commit", "false").create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let (mut read, over) = (Vec::new(), Instant::now() + Duration::from_secs(120));
    while read.len() < count && Instant::now() < over {
        if let Some(message) = consumer.poll(Duration::from_millis(500)) {
            read.push(message?.detach());
        }
    }
    Ok(read)
}

fn round_trip(codec: &str, idempotent: &str) -> Outcome {
    let topic = format!("rust-{codec}-{idempotent}");
    create(&topic, 1)?;
    let records: Vec<Sent> = (0..1000)
        .map(|n| sent(Some(format!("key-{n}")), Some(format!("value {n} {}", "x".repeat(n % 100))), 0))
        .collect();
    let offsets = produce(&topic, &records, &[("compression.codec", codec), ("enable.idempotence", idempotent)])?;
    equal(offsets, (0..1000).collect(), &format!("{topic}: acknowledged offsets are contiguous"));
    let read = consume(&topic, 1000)?;
    let got: Vec<_> = read.iter().map(|message| (text(message.key()), text(message.payload()), message.offset())).collect();
    let wanted: Vec<_> = records.iter().zip(0..).map(|(one, at)| (one.key.clone(), one.value.clone(), at)).collect();
    equal(got, wanted, &format!("{topic}: all back, in order"));
    Ok(())
}

fn headers_and_nulls() -> Outcome {
    create("rust-headers", 1)?;
    let mut first = sent(None, Some("v".into()), 0);
    first.headers = Some(OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "b", value: None::<&str> }));
    produce("rust-headers", &[first, sent(Some("gone".into()), None, 0)], &[])?;
    let read = consume("rust-headers", 2)?;
    let shown: Vec<_> = read[0].headers().ok_or("no headers")?.iter().map(|one| (one.key.to_string(), text(one.value))).collect();
    equal(shown, vec![("a".into(), Some("1".into())), ("b".into(), None)], "headers come back");
    equal((text(read[0].key()), text(read[1].payload())), (None, None), "null key and null value stay null");
    Ok(())
}

/// A member of a group and what it read.
struct Member {
    consumer: BaseConsumer,
    seen: Vec<i32>,
}

impl Member {
    fn join(topic: &str, group: &str) -> Result<Member, KafkaError> {
        let consumer: BaseConsumer = config()
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("auto.commit.interval.ms", "100")
            .set("session.timeout.ms", "60000")
            .set("heartbeat.interval.ms", "500")
            .create()?;
        consumer.subscribe(&[topic])?;
        Ok(Member { consumer, seen: Vec::new() })
    }

    fn poll(&mut self) -> Outcome {
        if let Some(message) = self.consumer.poll(Duration::from_millis(50)) {
            self.seen.push(text(message?.payload()).ok_or("no value")?.parse()?);
        }
        Ok(())
    }

    fn owned(&self) -> usize {
        self.consumer.assignment().map_or(0, |partitions| partitions.count())
    }
}

fn poll_until(members: &mut [&mut Member], condition: impl Fn(&[&mut Member]) -> bool) -> Result<bool, Box<dyn std::error::Error>> {
    let over = Instant::now() + Duration::from_secs(120);
    while !condition(members) && Instant::now() < over {
        for member in members.iter_mut() {
            member.poll()?;
        }
    }
    Ok(condition(members))
}

fn group() -> Outcome {
    let (topic, name) = ("rust-group", "rust-readers");
    create(topic, 4)?;
    let records = |from: i32, to: i32| (from..to).map(|n| sent(None, Some(n.to_string()), n % 4)).collect::<Vec<_>>();
    produce(topic, &records(0, 200), &[])?;
    let mut one = Member::join(topic, name)?;
    check(poll_until(&mut [&mut one], |all| all[0].seen.len() == 200)?, "one member reads everything", one.seen.len());
    let mut two = Member::join(topic, name)?;
    let shared = poll_until(&mut [&mut one, &mut two], |all| all.iter().all(|member| member.owned() == 2))?;
    check(shared, "two members share the partitions", (one.owned(), two.owned()));
    let mut seen = std::mem::take(&mut one.seen);
    drop(one);
    check(poll_until(&mut [&mut two], |all| all[0].owned() == 4)?, "when one leaves, the other takes all", two.owned());
    produce(topic, &records(200, 300), &[])?;
    let before = seen.len();
    poll_until(&mut [&mut two], |all| all[0].seen.len() + before >= 300)?;
    seen.append(&mut two.seen);
    seen.sort_unstable();
    equal(seen, (0..300).collect(), "everything is read once");
    drop(two);
    let consumer: BaseConsumer = config().set("group.id", name).create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(topic, 0, 3);
    let committed = consumer.committed_offsets(partitions, Duration::from_secs(120))?;
    let offsets: Vec<_> = committed.elements().iter().map(|one| one.offset()).collect();
    equal(offsets, vec![Offset::Offset(75); 4], "committed offsets");
    Ok(())
}

fn topics() -> Outcome {
    create("rust-admin", 2)?;
    let again = create("rust-admin", 2).err().map(|error| error.to_string()).unwrap_or_default();
    check(again.contains("already exists"), "creating a topic again is refused", again);
    let client = admin()?;
    let options = AdminOptions::new();
    wait(client.create_partitions([&NewPartitions::new("rust-admin", 5)], &options))?;
    let metadata = client.inner().fetch_metadata(Some("rust-admin"), Duration::from_secs(120))?;
    equal(metadata.topics()[0].partitions().len(), 5, "partitions are added");
    let deleted = wait(client.delete_topics(&["rust-admin"], &options))?;
    equal(deleted, vec![Ok("rust-admin".into())], "a topic is deleted");
    let gone = wait(client.delete_topics(&["rust-admin"], &options))?;
    equal(gone, vec![Err(("rust-admin".into(), RDKafkaErrorCode::UnknownTopicOrPartition))], "deleting it again is refused");
    Ok(())
}

fn main() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        run(codec, || round_trip(codec, "false"));
    }
    run("idempotent", || round_trip("none", "true"));
    run("headers and nulls", headers_and_nulls);
    run("group", group);
    run("topics", topics);
}
