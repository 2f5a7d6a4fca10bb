// TreeWatcher: what others write into the tree is acted on, as Kafka's controller and brokers do.
//
//     store --tell--> pending (what to look at) --post--> controller thread: read, judge, act
//
//     /brokers/topics/T                    created, partitions added, or gone: rmr deletes the
//     topic /config/changes/config_change_N      read the configuration that it names
//     /admin/delete_topics/T               delete the topic, if delete.topic.enable
//     /admin/preferred_replica_election    elect, delete the node
//     /admin/reassign_partitions           move replicas, delete the node
//     /isr_change_notification/*, /log_dir_event_notification/*     taken note of and deleted
//     /controller, /brokers/ids/N          made again when somebody deletes them
//
// Another broker under /brokers/ids means company: from then on all but registration and
// configurations is told to the ControllerOffice instead, which acts if it is in office.
//
// An event only says where to look: what is done follows from what the tree says then and from
// the image. So changes of our own, which are told too, find nothing to do, and changes that went
// by unseen are found by looking everywhere. What makes no sense gets one line in the log and is
// left as it is.
//
// Threads: tell() from the store's; everything else is the controller's.
//
// Limits: what is pending is a set of names that are in the tree.
#pragma once

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/config_control.h"
#include "broker/cluster/controller_office.h"
#include "broker/cluster/membership.h"
#include "broker/cluster/topic_control.h"

#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace broker {

class TreeWatcher {
public:
    // `topics_gone`: called after topics were deleted because of what others wrote;
    // `company_came`: when another broker has registered, before anything else is done.
    struct Parts {
        ClusterCore& core;
        Membership& membership;
        TopicControl& topics;
        ConfigControl& configs;
        ControllerOffice& office;
        boost::asio::thread_pool& controller;
        std::function<void(const std::set<std::string>&)> topics_gone;
        std::function<void()> company_came;
    };

    explicit TreeWatcher(Parts parts) : parts_(std::move(parts)) {}

    // Where the store is to watch.
    static std::vector<std::string> roots();

    void tell(const StoreEvent& event);

    // From now on act, and first on all that the tree says. Controller thread.
    void begin();

private:
    // What to look at.
    struct Pending {
        std::set<std::string> topics;
        std::set<std::string> deleted_topics;  // Those whose nodes were seen to go.
        std::set<std::string> config_changes;  // Paths.
        std::set<std::string> brokers;         // Nodes of /brokers/ids that came or went.
        bool everything = false;
        bool session = false;
        bool membership = false;
        bool deletions = false;
        bool elections = false;
        bool reassignments = false;
        bool notes = false;
    };

    void note(const StoreEvent& event);
    void act();
    bool has_company(const Pending& pending);
    void act_in_company(Pending& pending);
    void tell_office(Pending& pending);
    void add_everything(Pending& pending);
    void check_topics(const Pending& pending);
    void check_topic(const std::string& name, const std::optional<coordinator::NodeView>& node);
    void check_known(const TopicPointer& known, const std::optional<coordinator::NodeView>& node,
                     bool was_deleted);
    void delete_marked();
    void elect_preferred();
    void reassign();
    void clear_notes();
    void forget(const std::string& topic);

    const Parts parts_;
    std::mutex mutex_;  // Of the three below.
    Pending pending_;
    bool posted_ = false;
    bool begun_ = false;
};

}  // namespace broker
