// kafka-go: writer, reader, group reader and the request-level client.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"milena.test/checks"
)

var bootstrap = os.Getenv("BOOTSTRAP")

func client() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: 60 * time.Second}
}

func create(topic string, partitions int) error {
	response, err := client().CreateTopics(context.Background(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}}})
	checks.Must(err)
	return response.Errors[topic]
}

func writer(topic string, balancer kafka.Balancer, codec compress.Compression) *kafka.Writer {
	return &kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: topic, Balancer: balancer, Compression: codec,
		BatchTimeout: 5 * time.Millisecond, RequiredAcks: kafka.RequireAll,
		// What is not answered by then it sends again, and nothing tells that from another message.
		ReadTimeout: 60 * time.Second, WriteTimeout: 60 * time.Second}
}

// The first `count` messages of partition 0.
func consume(topic string, count int) []kafka.Message {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: topic, Partition: 0,
		MaxWait: 100 * time.Millisecond, MaxBytes: 1 << 20})
	defer reader.Close()
	read, ctx := []kafka.Message{}, checks.Within(120)
	for len(read) < count {
		message, err := reader.ReadMessage(ctx)
		checks.Must(err)
		read = append(read, message)
	}
	return read
}

func roundTrip(name string, codec compress.Compression) {
	topic := "kafka-go-" + name
	checks.Must(create(topic, 1))
	messages, wanted, offsets := []kafka.Message{}, []string{}, []int64{}
	for n := 0; n < 500; n++ {
		key, value := fmt.Sprintf("key-%d", n), fmt.Sprintf("value %d %0*d", n, n%100, 0)
		messages = append(messages, kafka.Message{Key: []byte(key), Value: []byte(value)})
		wanted = append(wanted, key+":"+value)
		offsets = append(offsets, int64(n))
	}
	out := writer(topic, nil, codec)
	checks.Must(out.WriteMessages(checks.Within(120), messages...))
	checks.Must(out.Close())
	got, at := []string{}, []int64{}
	for _, message := range consume(topic, 500) {
		got = append(got, string(message.Key)+":"+string(message.Value))
		at = append(at, message.Offset)
	}
	checks.Equal(got, wanted, name+": all back, in order")
	checks.Equal(at, offsets, name+": offsets are contiguous")
}

// The connection-level interface speaks the oldest request versions of all.
func connection() {
	checks.Must(create("kafka-go-connection", 1))
	leader, err := kafka.DialLeader(context.Background(), "tcp", bootstrap, "kafka-go-connection", 0)
	checks.Must(err)
	defer leader.Close()
	_, err = leader.WriteMessages(kafka.Message{Value: []byte("one")}, kafka.Message{Value: []byte("two")})
	checks.Must(err)
	first, last, err := leader.ReadOffsets()
	checks.Must(err)
	checks.Equal([]int64{first, last}, []int64{0, 2}, "first and last offset")
	_, err = leader.Seek(0, kafka.SeekStart)
	checks.Must(err)
	batch := leader.ReadBatch(1, 1<<20)
	read := []string{}
	for len(read) < 2 {
		message, err := batch.ReadMessage()
		checks.Must(err)
		read = append(read, string(message.Value))
	}
	checks.Must(batch.Close())
	checks.Equal(read, []string{"one", "two"}, "a connection reads what it wrote")
}

func headersAndTime() {
	checks.Must(create("kafka-go-headers", 1))
	stamp := time.UnixMilli(1700000000123)
	out := writer("kafka-go-headers", nil, 0)
	checks.Must(out.WriteMessages(checks.Within(120), kafka.Message{Value: []byte("v"), Time: stamp, Headers: []kafka.Header{
		{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}}},
		kafka.Message{Key: []byte("gone"), Time: stamp.Add(time.Second)}))
	checks.Must(out.Close())
	read := consume("kafka-go-headers", 2)
	checks.Equal(fmt.Sprint(read[0].Headers), fmt.Sprint([]kafka.Header{{Key: "a", Value: []byte("1")},
		{Key: "a", Value: []byte("2")}}), "headers come back")
	checks.Equal(read[1].Value == nil, true, "a null value stays null")
	checks.Equal(read[0].Time.UnixMilli(), stamp.UnixMilli(), "the timestamp is the producer's")
	found, err := client().ListOffsets(context.Background(), &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{"kafka-go-headers": {kafka.TimeOffsetOf(0, stamp.Add(time.Millisecond))}}})
	checks.Must(err)
	_, there := found.Topics["kafka-go-headers"][0].Offsets[1]
	checks.That(there, "offset by time", found.Topics)
}

// A member of a group that reads until closed.
type member struct {
	reader *kafka.Reader
	done   chan struct{}
	mutex  sync.Mutex
	seen   []string
	last   map[int]bool
}

func join(topic, name string) *member {
	one := &member{done: make(chan struct{}), last: map[int]bool{}}
	one.reader = kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, GroupID: name, Topic: topic,
		StartOffset: kafka.FirstOffset, MaxWait: 100 * time.Millisecond, HeartbeatInterval: 500 * time.Millisecond,
		SessionTimeout: 60 * time.Second, RebalanceTimeout: 60 * time.Second,
		GroupBalancers: []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}}})
	go func() {
		defer close(one.done)
		for {
			message, err := one.reader.FetchMessage(context.Background())
			if err != nil {
				return
			}
			// Only what is committed counts as seen: who has seen all is closed, or disturbed by another member.
			if err := one.reader.CommitMessages(context.Background(), message); err != nil {
				return
			}
			one.mutex.Lock()
			one.seen = append(one.seen, string(message.Value))
			one.last[message.Partition] = true
			one.mutex.Unlock()
		}
	}()
	return one
}

func (one *member) count() int {
	one.mutex.Lock()
	defer one.mutex.Unlock()
	return len(one.seen)
}

func (one *member) close() {
	checks.Must(one.reader.Close())
	<-one.done
}

// How many partitions each member of the group owns, as the broker says.
func owned(name string) []int {
	described, err := client().DescribeGroups(context.Background(), &kafka.DescribeGroupsRequest{GroupIDs: []string{name}})
	if err != nil || described.Groups[0].GroupState != "Stable" {
		return nil
	}
	counts := []int{}
	for _, one := range described.Groups[0].Members {
		count := 0
		for _, topic := range one.MemberAssignments.Topics {
			count += len(topic.Partitions)
		}
		counts = append(counts, count)
	}
	return counts
}

func group() {
	const topic, name = "kafka-go-group", "kafka-go-readers"
	checks.Must(create(topic, 4))
	send := func(from, to int) {
		out := writer(topic, &kafka.RoundRobin{}, 0)
		messages := []kafka.Message{}
		for n := from; n < to; n++ {
			messages = append(messages, kafka.Message{Value: []byte(fmt.Sprint(n))})
		}
		checks.Must(out.WriteMessages(checks.Within(120), messages...))
		checks.Must(out.Close())
	}
	send(0, 200)
	one := join(topic, name)
	checks.That(checks.Eventually(func() bool { return one.count() == 200 }), "one member reads everything", one.count())
	two := join(topic, name)
	shared := checks.Eventually(func() bool { return fmt.Sprint(owned(name)) == "[2 2]" })
	checks.That(shared, "two members share the partitions", owned(name))
	one.close()
	taken := checks.Eventually(func() bool { return fmt.Sprint(owned(name)) == "[4]" })
	checks.That(taken, "when one leaves, the other takes all", owned(name))
	send(200, 300)
	checks.Eventually(func() bool { return two.count() >= 100 })
	two.close()
	checks.Equal(checks.Numbers(append(append([]string{}, one.seen...), two.seen...)), checks.Range(0, 300),
		"everything is read once")
	committed, err := client().OffsetFetch(context.Background(), &kafka.OffsetFetchRequest{GroupID: name,
		Topics: map[string][]int{topic: {0, 1, 2, 3}}})
	checks.Must(err)
	sum := int64(0)
	for _, partition := range committed.Topics[topic] {
		sum += partition.CommittedOffset
	}
	checks.Equal(sum, int64(300), "committed offsets")
	// A reader is closed when it has sent its LeaveGroup.
	deleted := checks.Eventually(func() bool {
		response, err := client().DeleteGroups(context.Background(), &kafka.DeleteGroupsRequest{GroupIDs: []string{name}})
		checks.Must(err)
		return response.Errors[name] == nil
	})
	checks.That(deleted, "a group without members is deleted", name)
	listed, err := client().ListGroups(context.Background(), &kafka.ListGroupsRequest{})
	checks.Must(err)
	for _, other := range listed.Groups {
		checks.That(other.GroupID != name, "a deleted group is gone", listed.Groups)
	}
}

func topics() {
	ctx := context.Background()
	checks.Must(create("kafka-go-admin", 2))
	again := create("kafka-go-admin", 2)
	checks.That(errors.Is(again, kafka.TopicAlreadyExists), "creating a topic again is refused", again)
	_, err := client().CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: "kafka-go-admin", Count: 5}}})
	checks.Must(err)
	fresh := client()
	fresh.Transport = &kafka.Transport{} // the shared one keeps metadata for some seconds
	metadata, err := fresh.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"kafka-go-admin"}})
	checks.Must(err)
	checks.Equal(len(metadata.Topics[0].Partitions), 5, "partitions are added")
	checks.Equal(len(metadata.Brokers), 1, "one broker")
	resource := []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic,
		ResourceName: "kafka-go-admin", ConfigNames: []string{"retention.ms"}}}
	_, err = client().IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic,
			ResourceName: "kafka-go-admin", Configs: []kafka.IncrementalAlterConfigsRequestConfig{
				{Name: "retention.ms", Value: "777", ConfigOperation: kafka.ConfigOperationSet}}}}})
	checks.Must(err)
	configs, err := client().DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: resource})
	checks.Must(err)
	checks.Equal(configs.Resources[0].ConfigEntries[0].ConfigValue, "777", "a changed configuration is described")
	deleted, err := client().DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{"kafka-go-admin"}})
	checks.Must(err)
	checks.Equal(deleted.Errors["kafka-go-admin"], error(nil), "a topic is deleted")
	gone, err := client().DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{"kafka-go-admin"}})
	checks.Must(err)
	checks.That(errors.Is(gone.Errors["kafka-go-admin"], kafka.UnknownTopicOrPartition),
		"deleting it again is refused", gone.Errors)
}

func main() {
	codecs := map[string]compress.Compression{"none": 0, "gzip": compress.Gzip, "snappy": compress.Snappy,
		"lz4": compress.Lz4, "zstd": compress.Zstd}
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		checks.Run(name, func() { roundTrip(name, codecs[name]) })
	}
	checks.Run("connection", connection)
	checks.Run("headers and time", headersAndTime)
	checks.Run("topics", topics)
	checks.Run("group", group)
}
