module milena.test/zookeeper

go 1.23

require (
	github.com/go-zookeeper/zk v1.0.4
	milena.test/checks v0.0.0
)

replace milena.test/checks => ../../harness/go
