// sarama: producers, partition consumer, consumer group and cluster admin.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"milena.test/checks"
)

var bootstrap = []string{os.Getenv("BOOTSTRAP")}

func config(version sarama.KafkaVersion) *sarama.Config {
	made := sarama.NewConfig()
	made.Version = version
	made.Producer.Return.Successes = true
	made.Producer.Partitioner = sarama.NewManualPartitioner
	made.Producer.RequiredAcks = sarama.WaitForAll
	made.Consumer.Offsets.Initial = sarama.OffsetOldest
	made.Consumer.Group.Session.Timeout = time.Minute
	made.Admin.Timeout = time.Minute
	made.Net.DialTimeout, made.Net.ReadTimeout, made.Net.WriteTimeout = 2*time.Minute, 2*time.Minute, 2*time.Minute
	made.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	made.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	return made
}

func admin() sarama.ClusterAdmin {
	made, err := sarama.NewClusterAdmin(bootstrap, config(sarama.V2_4_0_0))
	checks.Must(err)
	return made
}

func create(topic string, partitions int32) {
	one := admin()
	defer one.Close()
	checks.Must(one.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
}

func produce(settings *sarama.Config, messages []*sarama.ProducerMessage) {
	producer, err := sarama.NewSyncProducer(bootstrap, settings)
	checks.Must(err)
	defer producer.Close()
	checks.Must(producer.SendMessages(messages))
}

// The first `count` messages of partition 0.
func consume(settings *sarama.Config, topic string, count int) []*sarama.ConsumerMessage {
	consumer, err := sarama.NewConsumer(bootstrap, settings)
	checks.Must(err)
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	checks.Must(err)
	defer partition.Close()
	read := []*sarama.ConsumerMessage{}
	for over := time.After(120 * time.Second); len(read) < count; {
		select {
		case message := <-partition.Messages():
			read = append(read, message)
		case <-over:
			return read
		}
	}
	return read
}

func roundTrip(name string, codec sarama.CompressionCodec, version sarama.KafkaVersion, idempotent bool) {
	topic := fmt.Sprintf("sarama-%s-%s-%v", name, version, idempotent)
	create(topic, 1)
	settings := config(version)
	settings.Producer.Compression = codec
	if idempotent {
		settings.Producer.Idempotent = true
		settings.Net.MaxOpenRequests = 1
	}
	messages, wanted, offsets := []*sarama.ProducerMessage{}, []string{}, []int64{}
	for n := 0; n < 500; n++ {
		key, value := fmt.Sprintf("key-%d", n), fmt.Sprintf("value %d %0*d", n, n%100, 0)
		messages = append(messages, &sarama.ProducerMessage{Topic: topic, Partition: 0,
			Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(value)})
		wanted = append(wanted, key+":"+value)
		offsets = append(offsets, int64(n))
	}
	produce(settings, messages)
	acknowledged, got, at := []int64{}, []string{}, []int64{}
	for _, message := range messages {
		acknowledged = append(acknowledged, message.Offset)
	}
	for _, message := range consume(settings, topic, 500) {
		got = append(got, string(message.Key)+":"+string(message.Value))
		at = append(at, message.Offset)
	}
	checks.Equal(acknowledged, offsets, topic+": acknowledged offsets are contiguous")
	checks.Equal(got, wanted, topic+": all back, in order")
	checks.Equal(at, offsets, topic+": at contiguous offsets")
}

func headersAndTime() {
	create("sarama-headers", 1)
	settings := config(sarama.V2_1_0_0)
	stamp := time.UnixMilli(1700000000123)
	produce(settings, []*sarama.ProducerMessage{{Topic: "sarama-headers", Value: sarama.StringEncoder("v"), Timestamp: stamp,
		Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")}}}})
	produce(settings, []*sarama.ProducerMessage{{Topic: "sarama-headers", Key: sarama.StringEncoder("gone"),
		Timestamp: stamp.Add(time.Second)}})
	read := consume(settings, "sarama-headers", 2)
	checks.Equal(fmt.Sprintf("%s=%s %s=%s", read[0].Headers[0].Key, read[0].Headers[0].Value, read[0].Headers[1].Key,
		read[0].Headers[1].Value), "a=1 a=2", "headers come back")
	checks.Equal([]bool{read[0].Key == nil, read[1].Value == nil}, []bool{true, true}, "null key and null value stay null")
	checks.Equal(read[0].Timestamp.UnixMilli(), stamp.UnixMilli(), "the timestamp is the producer's")
	client, err := sarama.NewClient(bootstrap, settings)
	checks.Must(err)
	defer client.Close()
	at, err := client.GetOffset("sarama-headers", 0, 1700000000124)
	checks.Must(err)
	checks.Equal(at, int64(1), "offset by time")
}

// A member of a group: what it saw, and what it owns.
type member struct {
	group  sarama.ConsumerGroup
	cancel context.CancelFunc
	done   chan struct{}
	mutex  sync.Mutex
	seen   []string
	owned  int
}

func (one *member) Setup(session sarama.ConsumerGroupSession) error {
	one.mutex.Lock()
	defer one.mutex.Unlock()
	one.owned = 0
	for _, partitions := range session.Claims() {
		one.owned += len(partitions)
	}
	return nil
}

func (one *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (one *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			one.mutex.Lock()
			one.seen = append(one.seen, string(message.Value))
			one.mutex.Unlock()
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (one *member) count() (seen, owned int) {
	one.mutex.Lock()
	defer one.mutex.Unlock()
	return len(one.seen), one.owned
}

func (one *member) close() {
	one.cancel()
	<-one.done
	checks.Must(one.group.Close())
}

func join(topic, name string) *member {
	settings := config(sarama.V2_1_0_0)
	settings.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRoundRobin()}
	group, err := sarama.NewConsumerGroup(bootstrap, name, settings)
	checks.Must(err)
	ctx, cancel := context.WithCancel(context.Background())
	one := &member{group: group, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(one.done)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{topic}, one); err != nil && ctx.Err() == nil {
				checks.That(false, "a member meets no error", err)
				return
			}
		}
	}()
	return one
}

func group() {
	const topic, name = "sarama-group", "sarama-readers"
	create(topic, 4)
	send := func(from, to int) {
		messages := []*sarama.ProducerMessage{}
		for n := from; n < to; n++ {
			messages = append(messages, &sarama.ProducerMessage{Topic: topic, Partition: int32(n % 4),
				Value: sarama.StringEncoder(fmt.Sprint(n))})
		}
		produce(config(sarama.V2_1_0_0), messages)
	}
	send(0, 200)
	one := join(topic, name)
	checks.That(checks.Eventually(func() bool { seen, _ := one.count(); return seen == 200 }),
		"one member reads everything", len(one.seen))
	two := join(topic, name)
	shared := checks.Eventually(func() bool {
		_, first := one.count()
		_, second := two.count()
		return first == 2 && second == 2
	})
	checks.That(shared, "two members share the partitions", []int{one.owned, two.owned})
	one.close()
	checks.That(checks.Eventually(func() bool { _, owned := two.count(); return owned == 4 }),
		"when one leaves, the other takes all", two.owned)
	send(200, 300)
	checks.Eventually(func() bool { seen, _ := two.count(); return seen >= 100 })
	two.close()
	checks.Equal(checks.Numbers(append(append([]string{}, one.seen...), two.seen...)), checks.Range(0, 300),
		"everything is read once")
	cluster := admin()
	defer cluster.Close()
	committed, err := cluster.ListConsumerGroupOffsets(name, map[string][]int32{topic: {0, 1, 2, 3}})
	checks.Must(err)
	at := []int64{}
	for partition := int32(0); partition < 4; partition++ {
		at = append(at, committed.GetBlock(topic, partition).Offset)
	}
	checks.Equal(at, []int64{75, 75, 75, 75}, "committed offsets")
	described, err := cluster.DescribeConsumerGroups([]string{name})
	checks.Must(err)
	checks.Equal(described[0].State, "Empty", "the group is empty at the end")
	checks.Must(cluster.DeleteConsumerGroup(name))
	listed, err := cluster.ListConsumerGroups()
	checks.Must(err)
	_, there := listed[name]
	checks.That(!there, "a deleted group is gone", listed)
}

func topics() {
	create("sarama-admin", 2)
	cluster := admin()
	defer cluster.Close()
	again := cluster.CreateTopic("sarama-admin", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	checks.That(errors.Is(again, sarama.ErrTopicAlreadyExists), "creating a topic again is refused", again)
	checks.Must(cluster.CreatePartitions("sarama-admin", 5, nil, false))
	listed, err := cluster.ListTopics()
	checks.Must(err)
	checks.Equal(listed["sarama-admin"].NumPartitions, int32(5), "partitions are added")
	value := "777"
	checks.Must(cluster.IncrementalAlterConfig(sarama.TopicResource, "sarama-admin",
		map[string]sarama.IncrementalAlterConfigsEntry{
			"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false))
	configs, err := cluster.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "sarama-admin",
		ConfigNames: []string{"retention.ms"}})
	checks.Must(err)
	checks.Equal(configs[0].Value, "777", "a changed configuration is described")
	produce(config(sarama.V2_1_0_0), []*sarama.ProducerMessage{
		{Topic: "sarama-admin", Value: sarama.StringEncoder("a")}, {Topic: "sarama-admin", Value: sarama.StringEncoder("b")}})
	checks.Must(cluster.DeleteRecords("sarama-admin", map[int32]int64{0: 1}))
	client, err := sarama.NewClient(bootstrap, config(sarama.V2_1_0_0))
	checks.Must(err)
	defer client.Close()
	low, err := client.GetOffset("sarama-admin", 0, sarama.OffsetOldest)
	checks.Must(err)
	checks.Equal(low, int64(1), "deleted records move the log start")
	checks.Must(cluster.DeleteTopic("sarama-admin"))
	listed, err = cluster.ListTopics()
	checks.Must(err)
	_, there := listed["sarama-admin"]
	checks.That(!there, "a deleted topic is gone", listed)
	brokers, _, err := cluster.DescribeCluster()
	checks.Must(err)
	checks.Equal(len(brokers), 1, "one broker")
}

func main() {
	codecs := map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}
	// What it sends goes by the version it is told: message sets v0 and v1, then batches.
	for _, version := range []sarama.KafkaVersion{sarama.V0_8_2_2, sarama.V0_10_2_1, sarama.V2_1_0_0, sarama.V4_0_0_0} {
		for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
			if name == "lz4" && !version.IsAtLeast(sarama.V0_10_0_0) || name == "zstd" && !version.IsAtLeast(sarama.V2_1_0_0) {
				continue
			}
			checks.Run(name+" "+version.String(), func() { roundTrip(name, codecs[name], version, false) })
		}
	}
	checks.Run("idempotent", func() { roundTrip("none", sarama.CompressionNone, sarama.V2_1_0_0, true) })
	checks.Run("headers and time", headersAndTime)
	checks.Run("group", group)
	checks.Run("topics", topics)
}
