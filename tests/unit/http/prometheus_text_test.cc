#include "server/http/prometheus_text.h"

#include "absl/strings/str_split.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(PrometheusTextTest, TellsWhatTheStatusSays) {
  ScrapedRun run;
  v1::RunStatus& status = run.status;
  status.set_run("one");
  status.set_state(v1::RUNNING);
  status.set_round(7);
  status.set_rounds(40);
  status.set_loss(0.5);
  status.set_bytes_up(3'000'000'000);
  status.set_bytes_down(12);
  status.set_clients(3);
  status.set_asked(2);
  status.set_done(1);
  for (const char* state : {"training", "done", "training"}) {
    v1::ClientStatus& client = *status.add_client();
    client.set_name("\"}\n<script>");
    client.set_state(state);
    client.set_reason("evil\n1 2 3");
  }
  run.last_seconds = {{"train", 1.5}, {"aggregate", 0.25}};
  ScrapedRun other;
  other.status.set_run("two");
  other.status.set_state(v1::FINISHED);
  other.status.set_round(40);

  const std::string text = PrometheusText(std::vector{run, other});
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (const char* line : {
           "# TYPE parley_rounds_total counter",
           R"(parley_rounds_total{run="one"} 6)",  // the seventh is under way
           R"(parley_rounds_total{run="two"} 40)",
           R"(parley_uploaded_bytes_total{run="one"} 3000000000)",
           R"(parley_downloaded_bytes_total{run="one"} 12)",
           "# TYPE parley_round gauge",
           R"(parley_round{run="one"} 7)",
           R"(parley_planned_rounds{run="one"} 40)",
           R"(parley_loss{run="one"} 0.5)",
           R"(parley_clients{run="one"} 3)",
           R"(parley_asked{run="one"} 2)",
           R"(parley_done{run="one"} 1)",
           R"(parley_run_state{run="one",state="running"} 1)",
           R"(parley_run_state{run="one",state="failed"} 0)",
           R"(parley_run_state{run="two",state="finished"} 1)",
           R"(parley_clients_by_state{run="one",state="training"} 2)",
           R"(parley_clients_by_state{run="one",state="done"} 1)",
           R"(parley_last_round_seconds{run="one",phase="train"} 1.5)",
           R"(parley_last_round_seconds{run="one",phase="aggregate"} 0.25)",
       }) {
    EXPECT_THAT(lines, Contains(line)) << text;
  }
  // What a run does not know it does not tell; what clients say it never tells.
  EXPECT_THAT(text, AllOf(Not(HasSubstr("parley_loss{run=\"two\"")),
                          Not(HasSubstr("parley_accuracy{")),
                          Not(HasSubstr("script")), Not(HasSubstr("evil"))));
}

}  // namespace
}  // namespace parley
