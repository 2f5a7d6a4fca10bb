"""Our shell of ZooKeeper and Apache's say the same, command by command, on our server and on Apache's.

Both read the same commands from a pipe. `printwatches` stands between them and tells where the answer to one ends.
"""

import os
import re
import subprocess
import sys
import threading

from harness import brokers, kafka
from harness.checks import Checks

checks = Checks()
BETWEEN = "printwatches is off\n"

COMMANDS = """
ls /
create /a one
create -s /a/s- x
create -e /a/e
create -es /a/es-
create -c /cont
create -t 100000 /ttl d
create /quoted "two words"
create -c -s /c
create -t 100 -e /c
create -t many /c
create /a two
create /none/b
create /a/e/x
create a
create /a/
create /a//b
create /a/../b
create
get /quoted
get -s /a
get /none
get
get /cont
ls -s /a
ls -R /a
ls /none
ls
ls a
ls /a true
stat /a
stat /none
stat
set /a three
set -s /a four
set -v 7 /a five
set -v 2 /a six
set /a
set /none x
getAcl /a
getAcl -s /a
setAcl /a bogus
setAcl -s /a world:anyone:cdrwa
setAcl -v 9 /a world:anyone:cdrwa
setAcl -R /a world:anyone:cdrwa
create /acl d digest:u:xx:cdrwa
getAcl /acl
get /acl
setAcl /acl world:anyone:r
sync /
sync
delete /a
delete -v 3 /cont
delete /cont
delete /none
delete
delquota /a
setquota -n 5 /a
listquota /a
setquota -b 100 /a
listquota /a
setquota -n 5 /a/s-0000000000
setquota -N 9 /a
listquota /a
setquota -n 1 /zookeeper/quota
setquota -n 1 /none
setquota /a
delquota -n /a
listquota /a
delquota /a
listquota /a
ls -R /zookeeper
addauth digest u:p
addauth
create /mine d auth::cdrwa
getAcl /mine
whoami
getEphemerals /q
getAllChildrenNumber /
getAllChildrenNumber /none
config
config -s
config -c
reconfig -add server.1=a:1:2;3
reconfig -members a -add b
reconfig -v x -add b
removewatches /a
addWatch /a
addWatch -m PERSISTENT /a
addWatch -m bogus /a
removewatches /a
removewatches /a -c
get -w /a
removewatches /a -d
redo 2
redo 9999
redo
history
deleteall /a
deleteall /none
deleteall
ls /
""".strip().splitlines()

# What is another at each run, and what only a JVM has to say.
MASKS = [(re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}"), "DATE"),
         (re.compile(r"ephemeralOwner = 0x\w{5,}"), "ephemeralOwner = SESSION"),
         (re.compile(r"Zxid = 0x\w+"), "Zxid = ZXID"),
         (re.compile(r"org\.apache\.\S+?: "), ""),
         (re.compile(r"\[.*ERROR Exiting JVM.*\n"), "")]


def masked(text):
    for pattern, put in MASKS:
        text = pattern.sub(put, text)
    return text


class Shell:
    def __init__(self, words, environment=None):
        self.words, self.environment = words, {**os.environ, **(environment or {})}

    def run(self, words, text="", timeout=120):
        return subprocess.run([*self.words, *words], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=timeout, env=self.environment)

    def answers(self, server, commands):
        """What each command says, errors among it."""
        lines = "printwatches off\nprintwatches\n" + "".join(f"{each}\nprintwatches\n" for each in commands)
        done = subprocess.run([*self.words, "-waitforconnection", "-server", server], input=lines, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, env=self.environment)
        return done.stdout.split(BETWEEN)[1:-1]


def compare(ours, theirs, address, what):
    """The same commands, each shell below a chroot of its own, which keeps what others made out."""
    said = []
    for shell, chroot in ((ours, "/ours"), (theirs, "/theirs")):
        for path in ("", "/zookeeper", "/zookeeper/quota"):
            ours.run(["-waitforconnection", "-server", address, "create", chroot + path])
        said.append(shell.answers(address + chroot, COMMANDS))
    checks.equal([len(each) for each in said], [len(COMMANDS)] * 2, f"{what}: every command is answered")
    for command, one, other in zip(COMMANDS, *said):
        checks.equal(masked(one), masked(other), f"{what}: {command}")


def one_shot(ours, theirs, server):
    """Exit codes, and which stream says what."""
    for words in (["create", "/one", "x"], ["get", "/one"], ["get", "/none"], ["get"],
                  ["ls", "-q", "/"], ["deleteall", "/one"]):
        # What changes nodes is said twice by each, and both find what the other left.
        a = ours.run(["-waitforconnection", "-server", server, *words])
        b = theirs.run(["-waitforconnection", "-server", server, *words])
        if words[0] in ("create", "deleteall"):
            checks.equal((a.returncode, b.returncode), (0, 1), f"{words[0]} once and again")
            a = ours.run(["-waitforconnection", "-server", server, *words])
        seen, expected = ((done.returncode, masked(done.stderr), done.stdout.splitlines()[-1]) for done in (a, b))
        checks.equal(seen, expected, f"one command: {' '.join(words)}")


def events(ours, server):
    """What a watch tells."""
    done = ours.run(["-waitforconnection", "-server", server],
                    "create /w\nget -w /w\nset /w 1\nls -w /w\ncreate /w/a\nstat -w /v\ncreate /v\naddWatch /w\nset /w/a 2\n"
                    "delete /v\ndeleteall /w\nquit\n")
    told = re.findall(r"WATCHER::\n\nWatchedEvent state:(\w+) type:(\w+) path:(\S+)", done.stdout)
    checks.equal(told, [("SyncConnected", "None", "null"), ("SyncConnected", "NodeDataChanged", "/w"),
                        ("SyncConnected", "NodeChildrenChanged", "/w"), ("SyncConnected", "NodeCreated", "/v"),
                        ("SyncConnected", "NodeDataChanged", "/w/a"), ("SyncConnected", "NodeDeleted", "/w/a"),
                        ("SyncConnected", "NodeDeleted", "/w"), ("Closed", "None", "null")], "events of watches")
    checks.equal(done.returncode, 0, "quit ends with 0")


def reconnect(shell, ours, server, restart):
    """The server is killed under a shell's session: it goes on, its ephemeral stays, and its watches tell what was missed."""
    child = subprocess.Popen([*shell.words, "-waitforconnection", "-server", server], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=shell.environment)
    seen = []
    patience = threading.Timer(300, child.kill)      # Ends what waits for a line that does not come.
    patience.start()

    def say(text):
        child.stdin.write(text + "\n")
        child.stdin.flush()

    def hears(wanted):
        for line in child.stdout:
            seen.append(line)
            if wanted in line:
                return True
        return False

    say("create -e /alive\ncreate /kept 1\nget -w /kept\naddWatch /alive\nprintwatches")
    checks.that(hears("printwatches is on"), "a session with an ephemeral and watches", seen)
    restart()
    checks.that(hears("state:Disconnected"), "the shell loses its server", seen)
    checks.that(hears("state:SyncConnected type:None"), "and finds it again", seen)
    other = ours.run(["-waitforconnection", "-server", server, "get", "-s", "/alive"])
    checks.that("ephemeralOwner = 0x" in other.stdout, "the ephemeral is there", other.stdout + other.stderr)
    for command, event in (("set /kept 2", "NodeDataChanged path:/kept"), ("set /alive 2", "NodeDataChanged path:/alive")):
        ours.run(["-waitforconnection", "-server", server, *command.split()])
        checks.that(hears(event), f"{command} is told", seen)
    say("quit")
    child.stdin.close()
    checks.equal(child.wait(), 0, "it ends")
    patience.cancel()
    gone = ours.run(["-waitforconnection", "-server", server, "get", "/alive"])
    checks.equal(gone.stderr, "Node does not exist: /alive\n", "and its ephemeral with it")


def old_commands(ours, server):
    said = ours.answers(server, ["create /o", "create /o/p", "ls2 /o", "rmr /o", "ls /o"])
    checks.that(said[2].startswith("[p]\ncZxid = 0x"), "ls2 shows children and Stat", said[2])
    checks.equal(said[3:], ["", "Node does not exist: /o\n"], "rmr deletes with all below")
    down = ours.run(["-server", "127.0.0.1:1", "-timeout", "2000", "ls", "/"])
    checks.equal((down.returncode, down.stderr), (1, "KeeperErrorCode = ConnectionLoss for /\n"), "without a server")
    unknown = ours.run(["-server", server, "bogus"])
    checks.equal((unknown.returncode, unknown.stderr.splitlines()[-1]), (127, "Command not found: Command not found bogus"),
                 "an unknown command")


def restart_zookeeper(apache):
    apache.zookeeper.kill()
    apache.zookeeper.start()


def main():
    home = kafka.home("3.9.1")
    binary = os.environ.get("MILENA_BINARY", str(brokers.ROOT / "build/milena"))
    ours = Shell([str(brokers.ROOT / "scripts/zkCli.sh")], {"MILENA": binary})
    theirs = Shell(["java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/libs/*",
                    f"-Dlog4j.configuration=file:{brokers.ROOT}/compat-tests/harness/log4j-tools.properties",
                    "org.apache.zookeeper.ZooKeeperMain"])
    port = brokers.free_port()
    with brokers.make("milena", {"milena.metadata.port": str(port)}) as broker:
        compare(ours, theirs, f"127.0.0.1:{port}", "our server")
        server = f"127.0.0.1:{port}/ours"
        for each in (events, old_commands):
            checks.run(each.__name__, each, ours, server)
        checks.run("one command", one_shot, ours, theirs, server)
        for name, each in (("our", ours), ("Apache's", theirs)):
            checks.run(f"{name} shell reconnects", reconnect, each, ours, server, lambda: (broker.kill(), broker.start()))
    apache = brokers.make("kafka39")
    try:
        apache.start_zookeeper()
        server = f"127.0.0.1:{apache.zookeeper_port}"
        compare(ours, theirs, server, "Apache ZooKeeper")
        checks.run("events", events, ours, server)
        checks.run("reconnect", reconnect, ours, ours, server, lambda: restart_zookeeper(apache))
    finally:
        apache.__exit__(None, None, None)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
