import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Apache ZooKeeper's own client: sessions, watches, multi, ephemerals, and a server that is killed. */
public class Check {
    static final int PATIENCE_S = 120;

    /** A session, its states and its events as they come. */
    static class Session {
        final LinkedBlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();
        final LinkedBlockingQueue<String> told = new LinkedBlockingQueue<>();
        final ZooKeeper zk;

        Session(String address) throws Exception {
            zk = new ZooKeeper(address, 20000, this::see);
        }

        void see(WatchedEvent event) {
            if (event.getType() == EventType.None) {
                states.add(event.getState());
            } else {
                told.add(event.getType() + " " + event.getPath());
            }
        }

        boolean reaches(KeeperState wanted) throws Exception {
            KeeperState state;
            do {
                state = states.poll(PATIENCE_S, TimeUnit.SECONDS);
            } while (state != null && state != wanted);
            return state == wanted;
        }

        String next() throws Exception {
            return told.poll(PATIENCE_S, TimeUnit.SECONDS);
        }
    }

    static void that(boolean holds, String name, Object seen) {
        System.out.println(holds ? "ok " + name : "FAILED " + name + ": saw " + seen);
    }

    static void equal(Object seen, Object expected, String name) {
        that(String.valueOf(seen).equals(String.valueOf(expected)), name, seen + ", expected " + expected);
    }

    static Code codeOf(Callable<?> call) throws Exception {
        try {
            call.call();
            return Code.OK;
        } catch (KeeperException error) {
            return error.code();
        }
    }

    static Callable<?> deletes(ZooKeeper zk, String path) {
        return () -> {
            zk.delete(path, -1);
            return null;
        };
    }

    static String create(ZooKeeper zk, String path, String data, CreateMode mode) throws Exception {
        return zk.create(path, data == null ? null : data.getBytes(), Ids.OPEN_ACL_UNSAFE, mode);
    }

    static void nodes(ZooKeeper zk) throws Exception {
        Stat stat = new Stat();
        equal(zk.create("/java", "one".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, stat), "/java", "create2");
        equal(stat.getCzxid() == stat.getMzxid() && stat.getCzxid() > 0, true, "and its Stat");
        equal(codeOf(() -> create(zk, "/java", "", CreateMode.PERSISTENT)), Code.NODEEXISTS, "create again");
        equal(zk.setData("/java", "two".getBytes(), 0).getVersion(), 1, "set");
        equal(codeOf(() -> zk.setData("/java", new byte[0], 7)), Code.BADVERSION, "set of another version");
        equal(new String(zk.getData("/java", false, stat)), "two", "get");
        equal(create(zk, "/java/s-", null, CreateMode.PERSISTENT_SEQUENTIAL), "/java/s-0000000000", "a sequence number");
        equal(zk.getChildren("/java", false, stat) + " " + stat.getNumChildren(), "[s-0000000000] 1", "children");
        equal(create(zk, "/java/c", null, CreateMode.CONTAINER), "/java/c", "a container");
        equal(zk.create("/java/t", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 3600000), "/java/t",
              "a node with a time to live");
        equal(codeOf(deletes(zk, "/java")), Code.NOTEMPTY, "delete of a parent");
        equal(zk.getAllChildrenNumber("/java"), 3, "all below are counted");
    }

    static void multi(ZooKeeper zk) throws Exception {
        List<OpResult> done = zk.multi(List.of(
            Op.create("/java/m", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.setData("/java/m", new byte[0], 0),
            Op.check("/java/m", 1)));
        equal(((OpResult.SetDataResult) done.get(1)).getStat().getVersion(), 1, "multi");
        List<Integer> codes = new ArrayList<>();
        try {
            zk.multi(List.of(Op.delete("/java/m", -1), Op.check("/java", 99), Op.delete("/java/c", -1)));
        } catch (KeeperException error) {
            for (OpResult each : error.getResults()) codes.add(((OpResult.ErrorResult) each).getErr());
        }
        equal(codes, "[0, -103, -2]", "a multi that fails says where");
        that(zk.exists("/java/m", false) != null, "and leaves nothing", "no node");
        done = zk.multi(List.of(Op.getData("/java/m"), Op.getChildren("/java/none")));
        equal(((OpResult.ErrorResult) done.get(1)).getErr(), -101, "reads in a multi fail one by one");
    }

    static void watches(Session session) throws Exception {
        ZooKeeper zk = session.zk;
        zk.exists("/java/w", true);
        create(zk, "/java/w", null, CreateMode.PERSISTENT);
        equal(session.next(), "NodeCreated /java/w", "a creation is told");
        zk.getChildren("/java/w", true);
        create(zk, "/java/w/a", null, CreateMode.PERSISTENT);
        equal(session.next(), "NodeChildrenChanged /java/w", "and a child");
        zk.addWatch("/java/w", AddWatchMode.PERSISTENT_RECURSIVE);
        zk.setData("/java/w/a", new byte[1], -1);
        zk.delete("/java/w/a", -1);
        equal(session.next() + ", " + session.next(), "NodeDataChanged /java/w/a, NodeDeleted /java/w/a",
              "a watch for all below stays");
    }

    static void ephemerals(Session session, String address) throws Exception {
        Session other = new Session(address);
        create(other.zk, "/java/e", null, CreateMode.EPHEMERAL);
        equal(session.zk.exists("/java/e", true).getEphemeralOwner(), other.zk.getSessionId(),
              "an ephemeral's owner is its session");
        other.zk.close();
        equal(session.next(), "NodeDeleted /java/e", "it goes with it");
    }

    static void restart(Session session) throws Exception {
        ZooKeeper zk = session.zk;
        long id = zk.getSessionId();
        create(zk, "/java/mine", null, CreateMode.EPHEMERAL);
        create(zk, "/java/kept", "1", CreateMode.PERSISTENT);
        zk.getData("/java/kept", true, null);
        session.states.clear();
        System.out.println("RESTART");
        that(session.reaches(KeeperState.Disconnected), "the connection is lost", "no");
        that(session.reaches(KeeperState.SyncConnected), "and found again", "no");
        equal(zk.getSessionId(), id, "with the same session");
        that(zk.exists("/java/mine", false) != null, "its ephemeral is there", "no node");
        equal(zk.setData("/java/kept", new byte[0], 0).getVersion(), 1, "what was written is there");
        equal(session.next(), "NodeDataChanged /java/kept", "its watch too");
        create(zk, "/java/w/b", null, CreateMode.PERSISTENT);
        equal(session.next(), "NodeCreated /java/w/b", "and the watch that stays");
    }

    public static void main(String[] words) throws Exception {
        Session session = new Session(words[0]);
        that(session.reaches(KeeperState.SyncConnected), "a session", "no");
        nodes(session.zk);
        multi(session.zk);
        watches(session);
        ephemerals(session, words[0]);
        restart(session);
        session.zk.close();
        System.out.println("END");
        System.exit(0);
    }
}
