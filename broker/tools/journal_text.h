// Journal text: keys and values of __consumer_offsets and __transaction_state as JSON, in the
// form that kafka-dump-log.sh prints.
//
//     {"type":"1","data":{"group":"g","topic":"t","partition":0}}
//     {"version":"3","data":{"offset":10,"leaderEpoch":-1,"metadata":"","commitTimestamp":17…}}
#pragma once

#include "protocol/records/record.h"

#include <optional>
#include <string>

namespace broker {

struct JournalText {
    std::string key;
    std::string payload;
};

// What cannot be decoded is said in words; a null value is <DELETE>.
JournalText offsets_text(const records::Record& record);
JournalText transaction_text(const records::Record& record);

}  // namespace broker
