// The Java producer, consumer and admin client, with their defaults: idempotent, acks=all.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Check {
    private static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static int made;

    interface Body {
        void run() throws Exception;
    }

    static void that(boolean holds, String name, Object seen) {
        made++;
        String text = String.valueOf(seen);
        System.out.println(holds ? "ok " + name
                : "FAILED " + name + ": saw " + text.substring(0, Math.min(300, text.length())).replace('\n', ' '));
    }

    static void equal(Object seen, Object expected, String name) {
        that(Objects.equals(seen, expected), name, seen + ", expected " + expected);
    }

    static void run(String name, Body body) {
        int before = made;
        try {
            body.run();
            if (made == before) that(false, name, "that it checked nothing");
        } catch (Throwable problem) {
            problem.printStackTrace(System.out);
            that(false, name, problem);
        }
    }

    /** The exception that a future ends with, or null. */
    static Class<?> failure(Future<?> future) throws InterruptedException {
        try {
            future.get();
            return null;
        } catch (ExecutionException error) {
            return error.getCause().getClass();
        }
    }

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", BOOTSTRAP));
    }

    static void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
        }
    }

    static List<RecordMetadata> produce(List<ProducerRecord<String, String>> records, Map<String, Object> more)
            throws Exception {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", BOOTSTRAP, "linger.ms", 5));
        settings.putAll(more);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        List<RecordMetadata> acknowledged = new ArrayList<>();
        try (Producer<String, String> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (ProducerRecord<String, String> record : records) sent.add(producer.send(record));
            for (Future<RecordMetadata> one : sent) acknowledged.add(one.get());
        }
        return acknowledged;
    }

    static KafkaConsumer<String, String> consumer(Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", BOOTSTRAP,
                "auto.offset.reset", "earliest", "enable.auto.commit", false));
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    /** Up to `count` records of partition 0. */
    static List<ConsumerRecord<String, String>> consume(String topic, int count, Map<String, Object> more) {
        List<ConsumerRecord<String, String>> read = new ArrayList<>();
        try (Consumer<String, String> consumer = consumer(more)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.seekToBeginning(consumer.assignment());
            long over = System.nanoTime() + Duration.ofSeconds(120).toNanos();
            while (read.size() < count && System.nanoTime() < over) {
                consumer.poll(Duration.ofMillis(500)).forEach(read::add);
            }
        }
        return read;
    }

    static void roundTrip(String name, Map<String, Object> settings) throws Exception {
        String topic = "java-" + name;
        create(topic, 1, Map.of());
        List<ProducerRecord<String, String>> sent = new ArrayList<>();
        List<String> wanted = new ArrayList<>();
        for (int n = 0; n < 1000; n++) {
            sent.add(new ProducerRecord<>(topic, 0, "key-" + n, "value " + n + " " + "x".repeat(n % 100)));
            wanted.add(n + " key-" + n + " value " + n + " " + "x".repeat(n % 100));
        }
        List<RecordMetadata> acknowledged = produce(sent, settings);
        List<String> offsets = acknowledged.stream().map(one -> String.valueOf(one.offset())).toList();
        equal(offsets, IntStream.range(0, 1000).mapToObj(String::valueOf).toList(),
                name + ": acknowledged offsets are contiguous");
        List<String> got = consume(topic, 1000, Map.of("isolation.level", "read_committed")).stream()
                .map(one -> one.offset() + " " + one.key() + " " + one.value()).toList();
        equal(got, wanted, name + ": all back, in order");
    }

    static void headersAndTime() throws Exception {
        create("java-headers", 1, Map.of());
        ProducerRecord<String, String> first = new ProducerRecord<>("java-headers", 0, 1700000000123L, null, "v");
        first.headers().add("a", "1".getBytes(StandardCharsets.UTF_8)).add("b", null).add("a", new byte[0]);
        produce(List.of(first, new ProducerRecord<>("java-headers", 0, 1700000000999L, "gone", (String) null)), Map.of());
        List<ConsumerRecord<String, String>> read = consume("java-headers", 2, Map.of());
        StringBuilder shown = new StringBuilder();
        for (Header header : read.get(0).headers()) {
            shown.append(header.key()).append('=')
                    .append(header.value() == null ? "null" : new String(header.value(), StandardCharsets.UTF_8)).append(' ');
        }
        equal(shown.toString(), "a=1 b=null a= ", "headers come back, null, empty and repeated ones too");
        equal(read.get(0).key(), null, "a null key stays null");
        equal(read.get(1).value(), null, "a null value stays null");
        equal(read.get(0).timestamp(), 1700000000123L, "the timestamp is the producer's");
        equal(read.get(0).leaderEpoch(), Optional.of(0), "the leader epoch is the first");
        TopicPartition partition = new TopicPartition("java-headers", 0);
        try (Consumer<String, String> consumer = consumer(Map.of())) {
            equal(consumer.offsetsForTimes(Map.of(partition, 1700000000124L)).get(partition).offset(), 1L, "offsetsForTimes");
            equal(consumer.beginningOffsets(Set.of(partition)), Map.of(partition, 0L), "beginningOffsets");
            equal(consumer.endOffsets(Set.of(partition)), Map.of(partition, 2L), "endOffsets");
        }
        try (Admin admin = admin()) {
            var latest = admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition).get();
            equal(latest.offset() + " at " + latest.timestamp(), "1 at 1700000000999", "listOffsets by maximal timestamp");
        }
        create("java-append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        produce(List.of(new ProducerRecord<>("java-append-time", 0, 1L, "k", "v")), Map.of());
        ConsumerRecord<String, String> stamped = consume("java-append-time", 1, Map.of()).get(0);
        equal(stamped.timestampType().toString(), "LogAppendTime", "a topic may stamp records itself");
        that(stamped.timestamp() > 1700000000000L, "with its own clock", stamped.timestamp());
    }

    static void tooLarge() throws Exception {
        create("java-small", 1, Map.of("max.message.bytes", "1000"));
        String value = "x".repeat(3000);
        try {
            produce(List.of(new ProducerRecord<>("java-small", 0, "k", value)), Map.of());
            that(false, "a batch over max.message.bytes is refused", "that it was not");
        } catch (ExecutionException error) {
            equal(error.getCause().getClass(), RecordTooLargeException.class, "a batch over max.message.bytes is refused");
        }
    }

    /** A member of a group, what it read, polled by the test's one thread. */
    static final class Member implements AutoCloseable {
        final KafkaConsumer<String, String> consumer;
        final List<Integer> seen = new ArrayList<>();

        Member(String topic, String group, Class<?> assignor, Map<String, Object> more) {
            Map<String, Object> settings = new HashMap<>(Map.of("group.id", group, "session.timeout.ms", 60000,
                    "heartbeat.interval.ms", 500, "partition.assignment.strategy", assignor.getName()));
            settings.putAll(more);
            consumer = consumer(settings);
            consumer.subscribe(List.of(topic));
        }

        void poll() {
            var records = consumer.poll(Duration.ofMillis(50));
            records.forEach(record -> seen.add(Integer.parseInt(record.value())));
            if (!records.isEmpty()) consumer.commitSync();
        }

        int owned() {
            return consumer.assignment().size();
        }

        @Override
        public void close() {
            consumer.close();
        }
    }

    static boolean pollUntil(Collection<Member> members, BooleanSupplier condition) {
        long over = System.nanoTime() + Duration.ofSeconds(120).toNanos();
        while (!condition.getAsBoolean() && System.nanoTime() < over) members.forEach(Member::poll);
        return condition.getAsBoolean();
    }

    static void group(String name, Class<?> assignor) throws Exception {
        String topic = "java-group-" + name;
        String readers = "java-readers-" + name;
        create(topic, 4, Map.of());
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int n = 0; n < 300; n++) records.add(new ProducerRecord<>(topic, n % 4, null, String.valueOf(n)));
        produce(records.subList(0, 200), Map.of());
        Member one = new Member(topic, readers, assignor, Map.of());
        that(pollUntil(List.of(one), () -> one.seen.size() == 200), name + ": one member reads everything", one.seen.size());
        Member two = new Member(topic, readers, assignor, Map.of());
        that(pollUntil(List.of(one, two), () -> one.owned() == 2 && two.owned() == 2),
                name + ": two members share the partitions", one.owned() + " and " + two.owned());
        one.close();
        that(pollUntil(List.of(two), () -> two.owned() == 4), name + ": when one leaves, the other takes all", two.owned());
        produce(records.subList(200, 300), Map.of());
        pollUntil(List.of(two), () -> one.seen.size() + two.seen.size() >= 300);
        two.close();
        List<Integer> all = new ArrayList<>(one.seen);
        all.addAll(two.seen);
        equal(all.stream().sorted().toList(), IntStream.range(0, 300).boxed().toList(), name + ": everything is read once");
        try (Admin admin = admin()) {
            Map<Integer, Long> committed = new TreeMap<>();
            admin.listConsumerGroupOffsets(readers).partitionsToOffsetAndMetadata().get()
                    .forEach((partition, offset) -> committed.put(partition.partition(), offset.offset()));
            equal(committed, Map.of(0, 75L, 1, 75L, 2, 75L, 3, 75L), name + ": committed offsets");
            var described = admin.describeConsumerGroups(List.of(readers)).all().get().get(readers);
            equal(described.members().size(), 0, name + ": the group is empty at the end");
            admin.deleteConsumerGroupOffsets(readers, Set.of(new TopicPartition(topic, 0))).all().get();
            equal(admin.listConsumerGroupOffsets(readers).partitionsToOffsetAndMetadata().get().size(), 3,
                    name + ": one partition's offset is deleted");
            admin.deleteConsumerGroups(List.of(readers)).all().get();
            that(admin.listConsumerGroups().all().get().stream().noneMatch(listed -> listed.groupId().equals(readers)),
                    name + ": a deleted group is gone", "it");
        }
    }

    static void staticMembers() throws Exception {
        create("java-static", 2, Map.of());
        produce(List.of(new ProducerRecord<>("java-static", 0, null, "1")), Map.of());
        Member one = new Member("java-static", "java-static", RangeAssignor.class, Map.of("group.instance.id", "one"));
        Member two = new Member("java-static", "java-static", RangeAssignor.class, Map.of("group.instance.id", "two"));
        that(pollUntil(List.of(one, two), () -> one.owned() == 1 && two.owned() == 1), "static members share", one.owned());
        Set<TopicPartition> before = one.consumer.assignment();
        one.close();
        Member again = new Member("java-static", "java-static", RangeAssignor.class, Map.of("group.instance.id", "one"));
        pollUntil(List.of(again, two), () -> again.owned() == 1);
        equal(again.consumer.assignment(), before, "a static member comes back to what it had");
        again.close();
        two.close();
    }

    static void topics() throws Exception {
        try (Admin admin = admin()) {
            NewTopic topic = new NewTopic("java-admin", 2, (short) 1);
            var created = admin.createTopics(List.of(topic.configs(Map.of("retention.ms", "12345"))));
            created.all().get();
            equal(created.numPartitions("java-admin").get(), 2, "a created topic's partitions are told");
            equal(created.config("java-admin").get().get("retention.ms").value(), "12345", "and its configuration");
            equal(failure(admin.createTopics(List.of(topic)).all()), TopicExistsException.class, "creating it again is refused");
            equal(failure(admin.createTopics(List.of(new NewTopic("java-far", 1, (short) 3))).all()),
                    InvalidReplicationFactorException.class, "more replicas than brokers are refused");
            admin.createPartitions(Map.of("java-admin", NewPartitions.increaseTo(5))).all().get();
            var described = admin.describeTopics(List.of("java-admin")).allTopicNames().get().get("java-admin");
            equal(described.partitions().size(), 5, "partitions are added");
            var byId = admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(described.topicId())));
            equal(byId.allTopicIds().get().get(described.topicId()).name(), "java-admin", "a topic is found by its id");

            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, "java-admin");
            admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "777"),
                    AlterConfigOp.OpType.SET)))).all().get();
            ConfigEntry entry = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms");
            equal(entry.value() + " " + entry.source(), "777 DYNAMIC_TOPIC_CONFIG", "a changed configuration is described");

            TopicPartition partition = new TopicPartition("java-admin", 0);
            produce(List.of(new ProducerRecord<>("java-admin", 0, "a", "1"), new ProducerRecord<>("java-admin", 0, "b", "2")),
                    Map.of());
            equal(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(1))).lowWatermarks().get(partition).get()
                    .lowWatermark(), 1L, "deleted records move the log start");
            var producers = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
            equal(producers.size(), 1, "the idempotent producer is described");
            var directories = admin.describeLogDirs(List.of(admin.describeCluster().controller().get().id())).allDescriptions().get();
            that(directories.values().stream().flatMap(one -> one.values().stream())
                    .anyMatch(one -> one.replicaInfos().containsKey(partition)), "describeLogDirs shows the partition", directories);

            admin.deleteTopics(List.of("java-admin")).all().get();
            equal(failure(admin.deleteTopics(List.of("java-admin")).all()), UnknownTopicOrPartitionException.class,
                    "deleting it again is refused");
            equal(admin.describeCluster().nodes().get().size(), 1, "one broker");
        }
    }

    public static void main(String[] arguments) {
        System.out.println("kafka-clients " + String.join(" ", arguments));
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            run(codec, () -> roundTrip(codec, Map.of("compression.type", codec)));
        }
        run("acks=1", () -> roundTrip("acks1", Map.of("acks", "1", "enable.idempotence", false)));
        run("headers and time", Check::headersAndTime);
        run("too large", Check::tooLarge);
        run("range", () -> group("range", RangeAssignor.class));
        run("cooperative", () -> group("cooperative", CooperativeStickyAssignor.class));
        run("static members", Check::staticMembers);
        run("topics", Check::topics);
        System.exit(0);
    }
}
