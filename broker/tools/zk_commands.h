// ZkCommands: what each command of ZooKeeper's shell does. For zk_shell.cc.
#pragma once

#include "broker/tools/zk_shell.h"

#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct ZkCommands {
    using Words = ZkShell::Words;

    struct Command {
        std::string_view name;
        std::string_view usage;
        void (*run)(ZkShell&, const Words&);
        bool is_old = false;  // Works, and is not shown.
    };

    static const std::vector<Command>& all();

private:
    static void add_auth(ZkShell& shell, const Words& words);
    static void add_watch(ZkShell& shell, const Words& words);
    static void close(ZkShell& shell, const Words& words);
    static void config(ZkShell& shell, const Words& words);
    static void connect(ZkShell& shell, const Words& words);
    static void create(ZkShell& shell, const Words& words);
    static void del(ZkShell& shell, const Words& words);
    static void delete_all(ZkShell& shell, const Words& words);
    static void del_quota(ZkShell& shell, const Words& words);
    static void get(ZkShell& shell, const Words& words);
    static void get_acl(ZkShell& shell, const Words& words);
    static void get_all_children_number(ZkShell& shell, const Words& words);
    static void get_ephemerals(ZkShell& shell, const Words& words);
    static void history(ZkShell& shell, const Words& words);
    static void list_quota(ZkShell& shell, const Words& words);
    static void ls(ZkShell& shell, const Words& words);
    static void ls2(ZkShell& shell, const Words& words);
    static void print_watches(ZkShell& shell, const Words& words);
    static void quit(ZkShell& shell, const Words& words);
    static void reconfig(ZkShell& shell, const Words& words);
    static void redo(ZkShell& shell, const Words& words);
    static void remove_watches(ZkShell& shell, const Words& words);
    static void set(ZkShell& shell, const Words& words);
    static void set_acl(ZkShell& shell, const Words& words);
    static void set_quota(ZkShell& shell, const Words& words);
    static void stat(ZkShell& shell, const Words& words);
    static void sync(ZkShell& shell, const Words& words);
    static void version(ZkShell& shell, const Words& words);
    static void who_am_i(ZkShell& shell, const Words& words);

    // The nodes at and below `path`, a node before its children.
    static std::vector<std::string> subtree(ZkShell& shell, const std::string& path);
    static void delete_below(ZkShell& shell, const std::string& path, std::size_t batch);
};

}  // namespace broker
