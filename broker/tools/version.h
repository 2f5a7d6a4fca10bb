// Version: of this build, made by Meson from the project's version and the commit.
#pragma once

namespace broker {

extern const char* const milena_version;
extern const char* const milena_commit;

}  // namespace broker
