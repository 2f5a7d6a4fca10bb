// franz-go: producer, groups and admin client.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"milena.test/checks"
)

var bootstrap = os.Getenv("BOOTSTRAP")

func client(options ...kgo.Opt) *kgo.Client {
	patient := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.DialTimeout(time.Minute), kgo.RequestTimeoutOverhead(time.Minute),
		kgo.ProduceRequestTimeout(time.Minute), kgo.RetryTimeout(2 * time.Minute)}
	made, err := kgo.NewClient(append(patient, options...)...)
	checks.Must(err)
	return made
}

func newAdmin() *kadm.Client {
	made := kadm.NewClient(client())
	made.SetTimeoutMillis(60000)
	return made
}

func create(topic string, partitions int32, configs map[string]*string) {
	admin := newAdmin()
	defer admin.Close()
	response, err := admin.CreateTopic(context.Background(), partitions, 1, configs, topic)
	checks.Must(err)
	checks.Must(response.Err)
}

func record(topic string, partition int32, key, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)}
}

func produce(records []*kgo.Record, options ...kgo.Opt) kgo.ProduceResults {
	producer := client(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
	defer producer.Close()
	results := producer.ProduceSync(checks.Within(120), records...)
	checks.Must(results.FirstErr())
	return results
}

// The first `count` records of partition 0.
func consume(topic string, count int) []*kgo.Record {
	consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer consumer.Close()
	read := []*kgo.Record{}
	context := checks.Within(120)
	for len(read) < count && context.Err() == nil {
		read = append(read, consumer.PollFetches(context).Records()...)
	}
	return read
}

func roundTrip(name string, codec kgo.CompressionCodec, options ...kgo.Opt) {
	topic := "franz-" + name
	create(topic, 1, nil)
	sent, wanted, offsets := []*kgo.Record{}, []string{}, []int64{}
	for n := 0; n < 1000; n++ {
		one := record(topic, 0, fmt.Sprintf("key-%d", n), fmt.Sprintf("value %d %0*d", n, n%100, 0))
		sent = append(sent, one)
		wanted = append(wanted, string(one.Key)+":"+string(one.Value))
		offsets = append(offsets, int64(n))
	}
	acknowledged, got, at := []int64{}, []string{}, []int64{}
	for _, result := range produce(sent, append(options, kgo.ProducerBatchCompression(codec))...) {
		acknowledged = append(acknowledged, result.Record.Offset)
	}
	sort.Slice(acknowledged, func(a, b int) bool { return acknowledged[a] < acknowledged[b] })
	for _, one := range consume(topic, 1000) {
		got = append(got, string(one.Key)+":"+string(one.Value))
		at = append(at, one.Offset)
	}
	checks.Equal(acknowledged, offsets, name+": acknowledged offsets are contiguous")
	checks.Equal(got, wanted, name+": all back, in order")
	checks.Equal(at, offsets, name+": at contiguous offsets")
}

func headersAndTime() {
	create("franz-headers", 1, nil)
	stamp := time.UnixMilli(1700000000123)
	produce([]*kgo.Record{{Topic: "franz-headers", Value: []byte("v"), Timestamp: stamp,
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}, {Key: "a", Value: []byte{}}}}})
	produce([]*kgo.Record{{Topic: "franz-headers", Key: []byte("gone"), Timestamp: stamp.Add(time.Second)}})
	read := consume("franz-headers", 2)
	shown := []string{}
	for _, header := range read[0].Headers {
		shown = append(shown, fmt.Sprintf("%s=%q", header.Key, header.Value))
	}
	checks.Equal(shown, []string{`a="1"`, `b=""`, `a=""`}, "headers come back")
	checks.Equal(read[0].Headers[1].Value == nil, true, "a null header value stays null")
	checks.Equal([]bool{read[0].Key == nil, read[1].Value == nil}, []bool{true, true}, "null key and null value stay null")
	checks.Equal(read[0].Timestamp.UnixMilli(), int64(1700000000123), "the timestamp is the producer's")
	admin := newAdmin()
	defer admin.Close()
	found, err := admin.ListOffsetsAfterMilli(context.Background(), 1700000000124, "franz-headers")
	checks.Must(err)
	offset, _ := found.Lookup("franz-headers", 0)
	checks.Equal(offset.Offset, int64(1), "offsets by time")
}

// A member of a group that reads until closed.
type member struct {
	client *kgo.Client
	mutex  sync.Mutex
	seen   []string
	owned  map[int32]bool
}

func join(topic, group string, balancer kgo.GroupBalancer) *member {
	one := &member{owned: map[int32]bool{}}
	change := func(now bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			one.mutex.Lock()
			defer one.mutex.Unlock()
			for _, partition := range partitions[topic] {
				if now {
					one.owned[partition] = true
				} else {
					delete(one.owned, partition)
				}
			}
		}
	}
	one.client = client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.SessionTimeout(time.Minute), kgo.BlockRebalanceOnPoll(), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	go func() {
		for {
			fetches := one.client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			// Only what is committed counts as seen: who has seen all is closed.
			if err := one.client.CommitRecords(context.Background(), fetches.Records()...); err != nil {
				checks.That(false, "a commit succeeds", err)
			}
			one.mutex.Lock()
			fetches.EachRecord(func(read *kgo.Record) { one.seen = append(one.seen, string(read.Value)) })
			one.mutex.Unlock()
			one.client.AllowRebalance()
		}
	}()
	return one
}

func (one *member) count() (seen, owned int) {
	one.mutex.Lock()
	defer one.mutex.Unlock()
	return len(one.seen), len(one.owned)
}

func group(name string, balancer kgo.GroupBalancer) {
	topic, readers := "franz-group-"+name, "franz-readers-"+name
	create(topic, 4, nil)
	send := func(from, to int) {
		records := []*kgo.Record{}
		for n := from; n < to; n++ {
			records = append(records, record(topic, int32(n%4), "", fmt.Sprint(n)))
		}
		produce(records)
	}
	send(0, 200)
	one := join(topic, readers, balancer)
	all := checks.Eventually(func() bool { seen, _ := one.count(); return seen == 200 })
	checks.That(all, name+": one member reads everything", len(one.seen))
	two := join(topic, readers, balancer)
	shared := checks.Eventually(func() bool {
		_, first := one.count()
		_, second := two.count()
		return first == 2 && second == 2
	})
	checks.That(shared, name+": two members share the partitions", []any{one.owned, two.owned})
	one.client.CloseAllowingRebalance()
	taken := checks.Eventually(func() bool { _, owned := two.count(); return owned == 4 })
	checks.That(taken, name+": when one leaves, the other takes all", two.owned)
	send(200, 300)
	checks.Eventually(func() bool {
		first, _ := one.count()
		second, _ := two.count()
		return first+second >= 300
	})
	two.client.CloseAllowingRebalance()
	values := append(append([]string{}, one.seen...), two.seen...)
	checks.Equal(checks.Numbers(values), checks.Range(0, 300), name+": everything is read once")

	admin := newAdmin()
	defer admin.Close()
	committed, err := admin.FetchOffsets(context.Background(), readers)
	checks.Must(err)
	at := map[int32]int64{}
	committed.Each(func(offset kadm.OffsetResponse) { at[offset.Partition] = offset.At })
	checks.Equal(at, map[int32]int64{0: 75, 1: 75, 2: 75, 3: 75}, name+": committed offsets")
	var described kadm.DescribedGroups
	checks.Eventually(func() bool {
		described, err = admin.DescribeGroups(context.Background(), readers)
		checks.Must(err)
		return described[readers].State == "Empty"
	})
	checks.Equal(described[readers].State, "Empty", name+": the group is empty at the end")
	_, err = admin.DeleteGroups(context.Background(), readers)
	checks.Must(err)
	listed, err := admin.ListGroups(context.Background())
	checks.Must(err)
	_, there := listed[readers]
	checks.That(!there, name+": a deleted group is gone", listed)
}

func topics() {
	ctx := context.Background()
	admin := newAdmin()
	defer admin.Close()
	create("franz-admin", 2, map[string]*string{"retention.ms": kadm.StringPtr("12345")})
	again, err := admin.CreateTopic(ctx, 2, 1, nil, "franz-admin")
	checks.That(errors.Is(err, kerr.TopicAlreadyExists) || errors.Is(again.Err, kerr.TopicAlreadyExists),
		"creating a topic again is refused", err)
	_, err = admin.UpdatePartitions(ctx, 5, "franz-admin")
	checks.Must(err)
	listed, err := admin.ListTopics(ctx)
	checks.Must(err)
	checks.Equal(len(listed["franz-admin"].Partitions), 5, "partitions are added")
	checks.That(listed["franz-admin"].ID != kadm.TopicID{}, "a topic has an id", listed["franz-admin"].ID)
	configs, err := admin.DescribeTopicConfigs(ctx, "franz-admin")
	checks.Must(err)
	for _, config := range configs[0].Configs {
		if config.Key == "retention.ms" {
			checks.Equal(config.MaybeValue(), "12345", "its configuration is described")
		}
	}
	produce([]*kgo.Record{record("franz-admin", 0, "", "a"), record("franz-admin", 0, "", "b")})
	trimmed, err := admin.DeleteRecords(ctx, kadm.Offsets{"franz-admin": {0: {Topic: "franz-admin", Partition: 0, At: 1}}})
	checks.Must(err)
	low, _ := trimmed.Lookup("franz-admin", 0)
	checks.Equal(low.LowWatermark, int64(1), "deleted records move the log start")
	_, err = admin.DeleteTopics(ctx, "franz-admin")
	checks.Must(err)
	listed, err = admin.ListTopics(ctx)
	checks.Must(err)
	checks.That(!listed.Has("franz-admin"), "a deleted topic is gone", listed.Names())
	brokers, err := admin.ListBrokers(ctx)
	checks.Must(err)
	checks.Equal(len(brokers), 1, "one broker")
}

func main() {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		checks.Run(name, func() { roundTrip(name, codecs[name]) })
	}
	checks.Run("acks=1", func() {
		roundTrip("acks1", kgo.NoCompression(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	})
	checks.Run("headers and time", headersAndTime)
	checks.Run("topics", topics)
	checks.Run("range", func() { group("range", kgo.RangeBalancer()) })
	checks.Run("cooperative", func() { group("cooperative", kgo.CooperativeStickyBalancer()) })
}
