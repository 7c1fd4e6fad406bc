// supervisor_parent LOG: starts two children, one of which ignores SIGTERM,
// says their process ids once both are set up, and waits to be killed.
#include <cstdio>

#include "tools/cli/supervisor.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto supervisor = parley::Supervisor::Create();
  if (!supervisor.ok()) return 1;
  // The children write to the pipe that this program's output is.
  for (const char* script : {"echo $$ >&1; exec sleep 1000",
                             "trap '' TERM; echo $$; exec sleep 1000"}) {
    if (!(*supervisor)
             ->Start({"child", {"/bin/sh", "-c", script}, argv[1]})
             .ok()) {
      return 1;
    }
  }
  while (true) (*supervisor)->Wait(absl::InfiniteDuration());
}
