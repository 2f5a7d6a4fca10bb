// A producer and a consumer with nothing but default settings, until somebody says that it is enough.
//
//     Defaults BOOTSTRAP TOPIC     on standard input: a line. Then what was sent is sent and read to the end, and told:
//     sent 812 acknowledged 812 read 812 rounds 45
//     trouble ...                  a line for each send that failed, and for each exception of poll

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Defaults {
    private static final Queue<String> trouble = new ConcurrentLinkedQueue<>();
    private static final Set<String> read = ConcurrentHashMap.newKeySet();
    private static final AtomicInteger acknowledged = new AtomicInteger();
    private static volatile boolean enough;
    private static volatile int wanted = Integer.MAX_VALUE;

    private static int produce(String bootstrap, String topic) throws InterruptedException {
        int sent = 0;
        try (var producer = new KafkaProducer<>(Map.<String, Object>of("bootstrap.servers", bootstrap),
                new StringSerializer(), new StringSerializer())) {
            while (!enough) {
                producer.send(new ProducerRecord<>(topic, "value-" + sent++), (metadata, problem) -> {
                    if (problem == null) {
                        acknowledged.incrementAndGet();
                    } else {
                        trouble.add("send: " + problem);
                    }
                });
                if (sent % 1000 == 1) System.out.println("sending");
                Thread.sleep(2);    // A load, not a flood.
            }
        }
        return sent;
    }

    private static int consume(String bootstrap, String topic) {
        int rounds = 0;
        try (var consumer = new KafkaConsumer<>(
                Map.<String, Object>of("bootstrap.servers", bootstrap, "group.id", "defaults", "auto.offset.reset", "earliest"),
                new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (read.size() < wanted) {
                try {
                    for (var record : consumer.poll(Duration.ofMillis(200))) read.add(record.value());
                } catch (RuntimeException problem) {
                    trouble.add("poll: " + problem);
                }
                rounds++;
            }
        }
        return rounds;
    }

    public static void main(String[] words) throws Exception {
        var sent = new AtomicInteger();
        var rounds = new AtomicInteger();
        var producer = new Thread(() -> {
            try {
                sent.set(produce(words[0], words[1]));
            } catch (InterruptedException | RuntimeException problem) {
                trouble.add("producer: " + problem);
            }
        });
        var consumer = new Thread(() -> rounds.set(consume(words[0], words[1])));
        producer.start();
        consumer.start();
        System.in.read();
        enough = true;
        producer.join();
        wanted = acknowledged.get();
        consumer.join();
        System.out.printf("sent %d acknowledged %d read %d rounds %d%n", sent.get(), acknowledged.get(), read.size(), rounds.get());
        trouble.forEach(each -> System.out.println("trouble " + each));
        System.exit(0);
    }
}
