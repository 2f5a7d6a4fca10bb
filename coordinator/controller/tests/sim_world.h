// SimWorld: a few nodes, each a broker and a candidate for the office of controller, over a network
// and a tree, from a seed.
//
// Network: what a controller sends to a broker arrives in order, maybe late, twice or not at all,
// and so do the answers. What a broker asks of a controller arrives in order, too; it asks again
// when it hears nothing, and counts on the answer to its last request only. Nodes die and return,
// lose their sessions, and go on as controllers for a while after they were deposed.
//
// Watched after each step, besides what SimTree watches: one leader in a leader epoch; whoever is
// elected has all that was acknowledged before, and no two leaders acknowledge different records.
#pragma once

#include "coordinator/controller/controller.h"
#include "coordinator/controller/tests/sim_broker.h"
#include "coordinator/controller/tests/sim_tree.h"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace test {

struct SimNode {
    SimBroker broker;
    bool registered = false;  // Its session lives.
    std::optional<Controller> controller;
    std::optional<WriteBatch> writing;
    Reads reads;
    std::set<std::uint64_t> open;  // Requests whose answer it waits for.
    bool retires = false;
};

class SimWorld {
public:
    explicit SimWorld(std::uint64_t seed, int nodes = 4);

    void step();   // Anything may happen.
    void heal();   // Everything is well from now on, until nothing is left to do.
    void check();  // What must hold after that.

    const std::string& fault() const { return tree.fault; }

    SimTree tree;
    std::map<BrokerId, SimNode> nodes;
    std::size_t elections = 0, acknowledgements = 0, depositions = 0, deletions = 0, moves = 0;

private:
    struct Letter {
        BrokerId from;
        Term term;
        BrokerRequest request;
    };
    struct Reply {
        BrokerId to;
        std::int32_t term = 0;
        std::uint64_t request = 0;
        SimBroker::Answer answer;
    };
    struct Question {
        BrokerId broker;
        std::int64_t broker_epoch = 0;
        BrokerId to;
        IsrChange change;
        std::uint64_t attempt = 0;
    };

    struct Promise {
        SimRecord record;
        base::LeaderEpoch by;  // The leader that acknowledged it.
    };

    std::uint64_t draw(std::uint64_t below) { return random_() % below; }
    bool chance(std::uint64_t percent) { return draw(100) < percent; }
    SimNode& any_node();
    Brokers some_brokers();
    std::optional<std::string> any_topic();

    void elect();
    void look(SimNode& node, bool at_everything);
    void act(SimNode& node);
    void write(SimNode& node, bool may_fail);
    void answer_reads(SimNode& node);
    void deliver_letter(std::size_t place, bool again);
    void deliver_reply(std::size_t place, bool again);
    void deliver_question(std::size_t place);
    void give_up_waiting(SimNode& node);
    void network();
    void trouble();
    void administer();
    void reassign_something();

    void replicate(bool eagerly);
    void replicate(SimNode& node, const base::TopicPartition& at, SimReplica& replica,
                   bool eagerly);
    void acknowledge(const base::TopicPartition& at, SimReplica& replica);
    void ask_for_isr(SimNode& node, const base::TopicPartition& at, SimReplica& replica);
    void became_leader(BrokerId id, const base::TopicPartition& at, const SimReplica& replica);
    void take_answers(const Effects& effects);
    bool is_assigned(BrokerId id, const base::TopicPartition& at) const;
    std::string unrest() const;

    void expire(SimNode& node);
    void join(SimNode& node);
    std::string incarnation(const base::TopicPartition& at, const base::Uuid& id) const;

    std::mt19937_64 random_;
    std::map<std::pair<std::int32_t, BrokerId>, std::deque<Letter>>
        letters_;  // By term and broker.
    std::vector<Reply> replies_;
    std::vector<Question> questions_;
    std::map<Ticket, Question> asked_;
    std::map<std::string, std::map<std::int32_t, BrokerId>> leaders_;  // By incarnation and epoch.
    std::map<std::string, std::vector<Promise>> acknowledged_;         // By incarnation.
    Ticket next_ticket_ = 1;
    std::uint64_t next_attempt_ = 1;
    std::uint64_t next_value_ = 1;
    int next_topic_ = 1;
};

}  // namespace test
