// go-zookeeper/zk: sessions, watches, multi, ephemerals, and a server that is killed.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-zookeeper/zk"

	"milena.test/checks"
)

const patience = 120 * time.Second

var open = zk.WorldACL(zk.PermAll)

type silent struct{}

func (silent) Printf(string, ...any) {}

// A connection and the states that its session comes to. The channel that zk.Connect returns drops what is not fetched at once.
func connect() (*zk.Conn, chan zk.State) {
	states := make(chan zk.State, 10000)
	connection, _, err := zk.Connect([]string{os.Args[1]}, 20*time.Second, zk.WithLogger(silent{}),
		zk.WithEventCallback(func(event zk.Event) {
			if event.Type == zk.EventSession {
				states <- event.State
			}
		}))
	checks.Must(err)
	reaches(states, zk.StateHasSession)
	return connection, states
}

// Wait for a state of the session. False when it does not come.
func reaches(states <-chan zk.State, wanted zk.State) bool {
	for deadline := time.After(patience); ; {
		select {
		case state := <-states:
			if state == wanted {
				return true
			}
		case <-deadline:
			return false
		}
	}
}

func told(events <-chan zk.Event) string {
	select {
	case event := <-events:
		return fmt.Sprintf("%v %s", event.Type, event.Path)
	case <-time.After(patience):
		return "nothing"
	}
}

func nodes(c *zk.Conn) {
	path, err := c.Create("/go", []byte("one"), 0, open)
	checks.Equal(fmt.Sprint(path, err), "/go<nil>", "create")
	_, err = c.Create("/go", nil, 0, open)
	checks.That(errors.Is(err, zk.ErrNodeExists), "create again", err)
	stat, err := c.Set("/go", []byte("two"), 0)
	checks.Must(err)
	checks.Equal(stat.Version, int32(1), "set")
	_, err = c.Set("/go", nil, 7)
	checks.That(errors.Is(err, zk.ErrBadVersion), "set of another version", err)
	data, stat, err := c.Get("/go")
	checks.Equal(fmt.Sprint(string(data), stat.DataLength, err), "two3 <nil>", "get")
	path, err = c.Create("/go/s-", nil, zk.FlagSequence, open)
	checks.Equal(fmt.Sprint(path, err), "/go/s-0000000000<nil>", "a sequence number")
	names, stat, err := c.Children("/go")
	checks.Equal(fmt.Sprint(names, stat.NumChildren, err), "[s-0000000000] 1 <nil>", "children")
	path, err = c.CreateContainer("/go/c", nil, zk.FlagContainer, open)
	checks.Equal(fmt.Sprint(path, err), "/go/c<nil>", "a container")
	path, err = c.CreateTTL("/go/t", nil, zk.FlagTTL, open, time.Hour)
	checks.Equal(fmt.Sprint(path, err), "/go/t<nil>", "a node with a time to live")
	checks.That(errors.Is(c.Delete("/go", -1), zk.ErrNotEmpty), "delete of a parent", nil)
}

func multi(c *zk.Conn) {
	results, err := c.Multi(&zk.CreateRequest{Path: "/go/m", Acl: open}, &zk.SetDataRequest{Path: "/go/m", Data: []byte("2")},
		&zk.CheckVersionRequest{Path: "/go/m", Version: 1})
	checks.Must(err)
	checks.Equal(fmt.Sprint(results[0].String, results[1].Stat.Version), "/go/m1", "multi")
	results, err = c.Multi(&zk.DeleteRequest{Path: "/go/m", Version: -1}, &zk.CheckVersionRequest{Path: "/go", Version: 99})
	checks.That(errors.Is(err, zk.ErrBadVersion), "a multi that fails says why", err)
	there, _, err := c.Exists("/go/m")
	checks.Equal(fmt.Sprint(there, err, len(results)), "true <nil> 2", "and leaves nothing")
}

func watches(c *zk.Conn) {
	_, _, created, err := c.ExistsW("/go/w")
	checks.Must(err)
	_, err = c.Create("/go/w", nil, 0, open)
	checks.Must(err)
	checks.Equal(told(created), "EventNodeCreated /go/w", "a creation is told")
	_, _, children, err := c.ChildrenW("/go/w")
	checks.Must(err)
	_, err = c.Create("/go/w/a", nil, 0, open)
	checks.Must(err)
	checks.Equal(told(children), "EventNodeChildrenChanged /go/w", "and a child")
}

func ephemerals(c *zk.Conn) {
	other, _ := connect()
	_, err := other.Create("/go/e", nil, zk.FlagEphemeral, open)
	checks.Must(err)
	_, stat, gone, err := c.ExistsW("/go/e")
	checks.Must(err)
	checks.Equal(stat.EphemeralOwner, other.SessionID(), "an ephemeral's owner is its session")
	other.Close()
	checks.Equal(told(gone), "EventNodeDeleted /go/e", "it goes with it")
}

func restart(c *zk.Conn, states <-chan zk.State) {
	session := c.SessionID()
	_, err := c.Create("/go/mine", nil, zk.FlagEphemeral, open)
	checks.Must(err)
	_, err = c.Create("/go/kept", []byte("1"), 0, open)
	checks.Must(err)
	_, _, changed, err := c.GetW("/go/kept")
	checks.Must(err)
	for len(states) > 0 {
		<-states
	}
	fmt.Println("RESTART")
	checks.That(reaches(states, zk.StateDisconnected), "the connection is lost", nil)
	checks.That(reaches(states, zk.StateHasSession), "and found again", nil)
	checks.Equal(c.SessionID(), session, "with the same session")
	there, _, err := c.Exists("/go/mine")
	checks.Equal(fmt.Sprint(there, err), "true <nil>", "its ephemeral is there")
	// Another writes: a write of its own that overtakes it setting its watches again is no news to this client.
	other, _ := connect()
	_, err = other.Set("/go/kept", []byte("2"), 0)
	checks.Equal(err, nil, "what was written is there")
	checks.Equal(told(changed), "EventNodeDataChanged /go/kept", "its watch too")
	other.Close()
}

func main() {
	c, states := connect()
	checks.That(c.SessionID() != 0, "a session", c.SessionID())
	checks.Run("nodes", func() { nodes(c) })
	checks.Run("multi", func() { multi(c) })
	checks.Run("watches", func() { watches(c) })
	checks.Run("ephemerals", func() { ephemerals(c) })
	checks.Run("restart", func() { restart(c, states) })
	c.Close()
	fmt.Println("END")
}
