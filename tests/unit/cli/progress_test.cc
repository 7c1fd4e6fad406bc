#include "tools/cli/progress.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

v1::RunStatus Running() {
  v1::RunStatus status;
  status.set_run("demo");
  status.set_state(v1::RUNNING);
  status.set_round(11);
  status.set_rounds(40);
  status.set_phase("train");
  status.set_asked(10);
  status.set_done(3);
  status.set_loss(0.51234);
  status.set_accuracy(0.8125);
  status.set_bytes_up(12345678);
  status.set_bytes_down(999);
  status.set_seconds(75);
  status.set_eta_seconds(225);
  return status;
}

// What a printer writes during `f`.
template <typename F>
std::string Printed(bool terminal, F f) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    ProgressPrinter printer(out, terminal, 60);
    f(printer);
  }
  std::fclose(out);
  const std::string all(text, size);
  std::free(text);
  return all;
}

TEST(ProgressTest, Sizes) {
  EXPECT_EQ(FormatSize(0), "0 B");
  EXPECT_EQ(FormatSize(999), "999 B");
  EXPECT_EQ(FormatSize(1000), "1.0 kB");
  EXPECT_EQ(FormatSize(99949), "99.9 kB");
  EXPECT_EQ(FormatSize(99950), "100 kB");
  EXPECT_EQ(FormatSize(999499), "999 kB");
  EXPECT_EQ(FormatSize(999500), "1.0 MB");
  EXPECT_EQ(FormatSize(12345678), "12.3 MB");
  EXPECT_EQ(FormatSize(~uint64_t{0}), "18.4 EB");
}

TEST(ProgressTest, Spans) {
  EXPECT_EQ(FormatSpan(absl::ZeroDuration()), "0:00");
  EXPECT_EQ(FormatSpan(absl::Seconds(-5)), "0:00");
  EXPECT_EQ(FormatSpan(absl::Seconds(7.6)), "0:08");
  EXPECT_EQ(FormatSpan(absl::Seconds(59.6)), "1:00");
  EXPECT_EQ(FormatSpan(absl::Seconds(3599)), "59:59");
  EXPECT_EQ(FormatSpan(absl::Seconds(3723)), "1:02:03");
}

TEST(ProgressTest, LiveLine) {
  EXPECT_EQ(FormatLiveLine(Running(), 200),
            "round 11/40 [#####...............]  loss 0.5123  acc 81.2 %  "
            "train 3/10  ↑12.3 MB ↓999 B  ETA 3:45");
}

TEST(ProgressTest, LinesOfGossipTellHowFarApartPeersAre) {
  v1::RunStatus status;
  status.set_state(v1::RUNNING);
  status.set_phase("gossip");
  status.set_round(7);
  status.set_rounds(40);
  status.set_asked(8);
  status.set_done(3);
  status.set_consensus_distance(0.012345);
  status.set_contraction(0.79);
  status.set_bytes_up(8000);
  status.set_bytes_down(16000);
  status.add_client()->set_progress(0.1);  // of the run, not of a task
  EXPECT_EQ(FormatLiveLine(status, 200).substr(0, 6), "round ");
  EXPECT_THAT(
      FormatLiveLine(status, 200),
      testing::HasSubstr("consensus 0.0123  contraction 0.790  gossip 3/8  "
                         "↑1.0 kB ↓2.0 kB a peer"));
  status.set_expected_contraction(0.8047);
  EXPECT_THAT(FormatRoundLine(status),
              testing::HasSubstr("contraction 0.790 (ρ 0.805)  ↑1.0 kB"));
  status.set_accuracy(0.8);
  status.set_detail("peers 70.1 to 85.0 %");
  EXPECT_THAT(FormatRoundLine(status),
              testing::HasSubstr("80.0 %  peers 70.1 to 85.0 %  consensus"));
  EXPECT_THAT(FormatLiveLine(status, 200),
              testing::HasSubstr("80.0 %  peers 70.1 to 85.0 %  consensus"));
  // It is no word of whom the run waits for.
  EXPECT_EQ(Printed(false,
                    [&](ProgressPrinter& printer) {
                      printer.Update(status);
                      printer.Update(status);
                    }),
            FormatRoundLine(status) + "\n");
  status.set_state(v1::FINISHED);
  EXPECT_THAT(FormatRoundLine(status),
              testing::Not(testing::HasSubstr("peers 70.1")));
}

TEST(ProgressTest, LinesTellWhereTheDirectionIsMeasured) {
  v1::RunStatus status = Running();
  status.clear_accuracy();
  status.set_direction_gap(0.123456);
  status.set_log_loss(-1803.44);
  EXPECT_THAT(FormatLiveLine(status, 200),
              testing::HasSubstr(
                  "  loss 0.5123  gap 0.1235  log-loss -1803.4  train 3/10"));
  EXPECT_THAT(FormatRoundLine(status),
              testing::HasSubstr(
                  "  loss 0.5123  gap 0.1235  log-loss -1803.4  ↑12.3 MB"));
  status.clear_direction_gap();  // there is no reference
  EXPECT_THAT(FormatRoundLine(status),
              testing::HasSubstr("  loss 0.5123  log-loss -1803.4  ↑12.3 MB"));
}

TEST(ProgressTest, LiveLineTellsHowFarTheSlowestIs) {
  v1::RunStatus status = Running();
  status.add_client();
  status.add_client()->set_progress(0.75);
  status.add_client()->set_progress(0.129);
  EXPECT_THAT(FormatLiveLine(status, 200),
              testing::HasSubstr("  train 3/10, slowest 12 %  "));
}

TEST(ProgressTest, LiveLineWithoutWhatIsNotKnown) {
  v1::RunStatus status;
  status.set_state(v1::WAITING);
  status.set_rounds(5);
  status.set_detail("waits for 2 more clients");
  EXPECT_EQ(FormatLiveLine(status, 200),
            "round 0/5 [....................]  waits for 2 more clients  "
            "↑0 B ↓0 B");
}

TEST(ProgressTest, LiveLineOfTheEnd) {
  v1::RunStatus status = Running();
  status.set_state(v1::FINISHED);
  status.set_round(40);
  status.set_asked(0);
  status.clear_eta_seconds();
  status.clear_accuracy();
  EXPECT_EQ(FormatLiveLine(status, 200),
            "round 40/40 [####################]  loss 0.5123  "
            "↑12.3 MB ↓999 B");
}

TEST(ProgressTest, LiveLineShrinksToTheTerminal) {
  const std::string rest =
      "  loss 0.5123  acc 81.2 %  train 3/10  ↑12.3 MB ↓999 B  ETA 3:45";
  EXPECT_EQ(FormatLiveLine(Running(), 83),
            absl::StrCat("round 11/40 [#....]", rest));
  EXPECT_EQ(FormatLiveLine(Running(), 82), absl::StrCat("round 11/40", rest));
  EXPECT_EQ(FormatLiveLine(Running(), 74),
            "round 11/40  loss 0.5123  acc 81.2 %  3/10  ↑12.3 MB ↓999 B  "
            "ETA 3:45");
  // Cut between characters: the arrow has three bytes.
  EXPECT_EQ(FormatLiveLine(Running(), 44),
            "round 11/40  loss 0.5123  acc 81.2 %  3/10  ");
  EXPECT_EQ(FormatLiveLine(Running(), 45),
            "round 11/40  loss 0.5123  acc 81.2 %  3/10  ↑");
  EXPECT_EQ(FormatLiveLine(Running(), 0), "");
}

TEST(ProgressTest, RoundLine) {
  EXPECT_EQ(FormatRoundLine(Running()),
            "round 10/40  loss 0.5123  accuracy 81.2 %  ↑12.3 MB ↓999 B  1:15");
}

TEST(ProgressTest, WithoutATerminalEachRoundIsToldOnce) {
  const std::string text = Printed(false, [](ProgressPrinter& printer) {
    v1::RunStatus status;
    status.set_state(v1::WAITING);
    status.set_rounds(3);
    status.set_detail("waits for clients");
    printer.Update(status);
    status.set_detail("waits for other clients");
    printer.Update(status);
    status.set_state(v1::RUNNING);
    status.clear_detail();
    for (const int round : {1, 1, 2, 2, 3}) {
      status.set_round(round);
      printer.Update(status);
    }
    printer.Say("a word");
    status.set_state(v1::FINISHED);
    printer.Update(status);
    printer.Update(status);
  });
  EXPECT_EQ(text,
            "waits for clients\n"
            "round 1/3  ↑0 B ↓0 B  0:00\n"
            "round 2/3  ↑0 B ↓0 B  0:00\n"
            "a word\n"
            "round 3/3  ↑0 B ↓0 B  0:00\n");
}

TEST(ProgressTest, TellsWhoFailedOnceAndWhomItWaitsFor) {
  v1::RunStatus status = Running();
  const std::string live = FormatLiveLine(status, 59);
  const std::string text = Printed(true, [&](ProgressPrinter& printer) {
    printer.Update(status);
    v1::ClientStatus& client = *status.add_client();
    client.set_name("client-7");
    client.set_state("lost");
    client.set_reason("its lease is over");
    printer.Update(status);
    printer.Update(status);
    status.set_detail("round 11: waiting for 1 of 10 answers: client-3");
    printer.Update(status);
    printer.Update(status);
  });
  const std::string clear = "\r\x1b[K";
  EXPECT_EQ(text,
            absl::StrCat(live, clear, "client-7 lost: its lease is over\n",
                         live, clear, status.detail(), "\n", live, "\n"));
}

TEST(ProgressTest, ManyFailuresAreCounted) {
  v1::RunStatus status = Running();
  for (int i = 1; i <= 9; ++i) {
    v1::ClientStatus& client = *status.add_client();
    client.set_name(absl::StrCat("c", i));
    client.set_state("failed");
    client.set_reason("no");
  }
  const std::string text = Printed(false, [&](ProgressPrinter& printer) {
    printer.Update(status);
    printer.Update(status);
  });
  EXPECT_EQ(text, absl::StrCat("c1 failed: no\nc2 failed: no\nc3 failed: no\n"
                               "c4 failed: no\nc5 failed: no\n"
                               "and 4 more clients\n",
                               FormatRoundLine(status), "\n"));
}

TEST(ProgressTest, OnATerminalOneLineLives) {
  v1::RunStatus status = Running();
  const std::string first = FormatLiveLine(status, 59);
  status.set_round(21);
  const std::string second = FormatLiveLine(status, 59);
  const std::string text = Printed(true, [&](ProgressPrinter& printer) {
    printer.Update(Running());
    printer.Update(Running());
    printer.Say("a word");
    printer.Update(status);
  });
  EXPECT_EQ(text, absl::StrCat(first, "\r\x1b[K", "a word\n", first, "\r\x1b[K",
                               second, "\n"));
}

}  // namespace
}  // namespace parley
