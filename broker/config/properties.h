// Properties: Java's .properties syntax, as server.properties and zoo.cfg use it.
//
//     # or ! begin a comment        key=value   key:value   key value
//     a line that ends in \         goes on in the next, whose leading blanks are dropped
//     \t \n \r \f \uXXXX            and \x is x for every other character
//
// Text is taken as UTF-8. A byte that cannot be UTF-8 is read as ISO-8859-1, so files
// in either encoding come out right.
#pragma once

#include "protocol/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct Property {
    std::string key;
    std::string value;
    int line = 0;  // Of its first line, from 1.

    friend bool operator==(const Property&, const Property&) = default;
};

struct PropertiesFault {
    int line = 0;
    std::string detail;
};

// Every assignment in the order of the file, repeated keys included: the last one wins,
// and who reads may say so. The only thing that Java refuses is a \u without four hex
// digits, so that is the only fault.
[[nodiscard]] base::Result<std::vector<Property>, PropertiesFault> parse_properties(
    std::string_view text);

}  // namespace broker
